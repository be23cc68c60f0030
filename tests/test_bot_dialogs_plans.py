"""Dialogues over five real plans and the laws around them: staff read the tables, the house has to answer as they say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.app import House, build
from bot.config import DataSettings, Settings
from bot.rehearsal import Script, read_dialogs, rehearse
from knowledge.model import DisclosureAttribute

_TABLES = Path(__file__).parent / "dialogs" / "plans"
_GAPS = read_dialogs(_TABLES / "known_gaps.toml")
_SCRIPTS = [s for s in read_dialogs(_TABLES) if not s.name.startswith("known_gaps.toml")]


@pytest.fixture(scope="module")
def plans_house(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house that holds the real plans and laws as public documents, taken in once."""
    files = sorted(p for part in ("corpus", "law") for p in (shared / part).iterdir())
    built = build(replace(Settings(), data=DataSettings(folder=tmp_path_factory.mktemp("plans") / "data")))
    try:
        rejected = [o for o in built.library.ingest(files, attribute=DisclosureAttribute.PUBLIC) if o.error]
        assert not rejected, rejected
        yield built
    finally:
        built.close()


def test_the_tables_hold_at_least_sixty_turns() -> None:
    assert sum(len(s.lines) for s in _SCRIPTS) >= 60


@pytest.mark.parametrize("script", _SCRIPTS, ids=lambda s: s.name)
def test_a_dialogue_goes_as_its_table_says(plans_house: House, script: Script) -> None:
    outcomes = rehearse(plans_house, [script]).outcomes
    assert [(o.text, o.wrong) for o in outcomes if o.wrong] == []


@pytest.mark.xfail(reason="a known gap, see its note in known_gaps.toml", raises=AssertionError, strict=False)
@pytest.mark.parametrize("script", _GAPS, ids=lambda s: s.name)
def test_a_known_gap_is_mended(plans_house: House, script: Script) -> None:
    outcomes = rehearse(plans_house, [script]).outcomes
    assert [(o.text, o.wrong) for o in outcomes if o.wrong] == []
