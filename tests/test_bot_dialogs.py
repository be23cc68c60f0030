"""The dialogue tables of ``tests/dialogs`` over the demo county, turn by turn.

Every turn must come out as its table says. ``known_gaps.toml`` holds the turns that do not yet, with what they should be.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bot.app import House, build
from bot.config import DataSettings, Settings
from bot.rehearsal import Outcome, Rehearsal, Script, read_dialogs, rehearse
from register.inquiry import ReplyKind
from replies import triage
from replies.model import TriageKind

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "tests" / "dialogs"
GAPS = "known_gaps.toml"
FILES = sorted(path.name for path in FOLDER.glob("*.toml") if path.name != GAPS)
FORBIDDEN = ("不存在", "不予公开", "不予处理")


@dataclass(frozen=True, slots=True)
class Played:
    """All tables, played once."""

    scripts: tuple[Script, ...]
    report: Rehearsal

    def of(self, name: str) -> list[Outcome]:
        return [outcome for outcome in self.report.outcomes if outcome.script.startswith(f"{name}, ")]

    def required(self) -> list[Outcome]:
        return [outcome for outcome in self.report.outcomes if not outcome.script.startswith(f"{GAPS}, ")]


@pytest.fixture(scope="module")
def demo(demo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    copy = tmp_path_factory.mktemp("dialogs") / "data"
    shutil.copytree(demo_folder, copy)
    built = build(replace(Settings(), data=DataSettings(folder=copy)))
    yield built
    built.close()


@pytest.fixture(scope="module")
def played(demo: House) -> Played:
    scripts = read_dialogs(FOLDER)
    return Played(tuple(scripts), rehearse(demo, scripts))


def lines(outcomes: list[Outcome]) -> str:
    return "\n".join(f"{o.script}: {o.text}: {'; '.join(o.wrong)}" for o in outcomes)


@pytest.mark.parametrize("name", FILES)
def test_every_turn_of_a_table_comes_out_as_it_says(played: Played, name: str) -> None:
    turns = played.of(name)
    assert turns, f"{name} holds no turns"
    wrong = [turn for turn in turns if turn.wrong]
    assert not wrong, f"{len(wrong)} of {len(turns)} turns are wrong:\n{lines(wrong)}"


def test_at_least_250_turns_are_required_to_be_right(played: Played) -> None:
    assert len(played.required()) >= 250


def test_known_gaps_are_named_and_stay_the_smaller_part(played: Played) -> None:
    gaps = played.of(GAPS)
    for script in dict.fromkeys(outcome.script for outcome in gaps):
        if not any(outcome.wrong for outcome in gaps if outcome.script == script):
            warnings.warn(f"{script} is right now; move it to its table", stacklevel=1)
    assert len(gaps) <= 0.2 * len(played.report.outcomes)


def test_every_kind_of_reply_occurs(played: Played, house: House) -> None:
    kinds = {outcome.kind for outcome in played.required()}
    # A library in which nothing is published yet: it holds one document that citizens may not see.
    house.library.ingest([ROOT / "demo" / "held" / "b-政务公开工作联系人调整通知.txt"])
    house.library.ensure_index()
    empty = rehearse(house, read_dialogs(FOLDER / "空库"))
    wrong = [outcome for outcome in empty.outcomes if outcome.wrong]
    assert not wrong, lines(wrong)
    assert kinds | {outcome.kind for outcome in empty.outcomes} == {kind.value for kind in ReplyKind}


def test_every_line_and_every_kind_of_triage_occurs(played: Played) -> None:
    heard = {o.rule.removeprefix("triage.") for o in played.required() if o.rule.startswith("triage.")}
    rules = {rule.name: rule.kind for rule in triage.shipped()}
    assert {name for name in rules if name not in heard} == set()
    assert {rules[name] for name in heard} == set(TriageKind)


def test_every_turn_says_what_kind_it_expects(played: Played) -> None:
    silent = [(s.name, line.text) for s in played.scripts for line in s.lines if not line.expected.kinds]
    assert silent == []


def test_every_convenience_reply_is_watched_for_words_the_assistant_must_not_say(played: Played) -> None:
    unwatched = [
        (script.name, line.text, word)
        for script in played.scripts
        for line in script.lines
        if any(kind.convenience for kind in line.expected.kinds)
        for word in FORBIDDEN
        if word not in line.expected.hides and word not in line.text
    ]
    assert unwatched == []


def test_names_of_dialogues_are_unique_so_that_reports_can_be_compared(played: Played) -> None:
    names = [script.name for script in played.scripts]
    assert sorted({name for name in names if names.count(name) > 1}) == []
