"""The engines by the name that ``config.toml`` gives them. A new engine is one module and one line here."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from knowledge.errors import IndexUnavailable
from knowledge.index import PassageIndex

log = logging.getLogger(__name__)


def _tantivy(folder: Path) -> PassageIndex:
    from knowledge.index.tantivy import TantivyIndex

    return TantivyIndex(folder / "tantivy")


def _whoosh(folder: Path) -> PassageIndex:
    from knowledge.index.whoosh import WhooshIndex

    return WhooshIndex(folder / "whoosh")


ENGINES: dict[str, Callable[[Path], PassageIndex]] = {"tantivy": _tantivy, "whoosh": _whoosh}


def open_index(name: str, folder: Path) -> PassageIndex:
    """The engine ``name``, keeping its files in a folder of its own below ``folder``.

    Nothing is read yet: a missing or damaged index shows itself at its first use. Where tantivy has no wheel for this
    machine, the pure-Python engine takes its place with a warning. Raises ``IndexUnavailable`` for an unknown name.
    """
    if name not in ENGINES:
        raise IndexUnavailable(f"unknown index engine '{name}'; set index.engine to one of {', '.join(ENGINES)}")
    try:
        return ENGINES[name](folder)
    except ImportError as error:
        if name == "whoosh":
            raise
        log.warning(
            "index engine tantivy cannot be loaded on this machine (%s); whoosh takes its place: slower, meant for "
            'about 20,000 passages. Set index.engine = "whoosh" to silence this message.',
            error,
        )
        return _whoosh(folder)
