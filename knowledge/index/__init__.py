"""Engines that find candidates.

An engine returns candidates, never verdicts: the second stage (:mod:`knowledge.ranking`) scores
them with features that do not depend on the engine. The disclosure filter is part of the query:
the index only ever holds passages of published, open documents, and the library checks again at
its door.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class IndexedPassage:
    """What an engine stores of a passage. ``body`` is title + heading path + text."""

    id: str
    document: str
    body: str
    attribute: str
    validity: str
    kind: str
    issuer: str
    topic: str
    audience: str
    year: int  # of 成文日期, 0 when unknown
    number: str


@dataclass(frozen=True, slots=True)
class IndexFilter:
    """Conditions inside the query. Empty tuples and zeroes mean no restriction."""

    attributes: tuple[str, ...] = ("public", "redacted")
    validities: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    issuers: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    audiences: tuple[str, ...] = ()
    year: int = 0
    number: str = ""
    documents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A passage id with the engine's own score (only its order may be relied on)."""

    id: str
    score: float


@dataclass(frozen=True, slots=True)
class Frequencies:
    """In how many of ``passages`` open passages each asked token stands, in the order asked."""

    passages: int
    words: tuple[int, ...]
    bigrams: tuple[int, ...]


class PassageIndex(Protocol):
    """A store of passages that can be searched by tokens.

    Writers: one process at a time (a second waits or raises ``IndexUnavailable``). Readers: many
    processes; a reader sees a finished ``commit`` within one second at the latest.
    """

    name: str

    def replace(self, passages: Iterable[IndexedPassage]) -> None:
        """Stage these passages: every document that occurs in them loses its former passages."""
        ...

    def remove(self, documents: Sequence[str]) -> None:
        """Stage the removal of every passage of these documents."""
        ...

    def commit(self, stamp: str) -> None:
        """Make all staged changes visible at once, with the library's version ``stamp``."""
        ...

    def search(self, text: str, where: IndexFilter, limit: int) -> list[Candidate]:
        """Best ``limit`` candidates for the question ``text``, best first."""
        ...

    def frequencies(self, words: Sequence[str], bigrams: Sequence[str]) -> Frequencies:
        """How common these tokens are among open passages (deleted ones may still count until a merge)."""
        ...

    def stamp(self) -> str:
        """The stamp of the last commit, empty for a new index."""
        ...

    def count(self) -> int:
        """How many passages are visible."""
        ...

    def clear(self) -> None:
        """Stage the removal of everything (before a rebuild)."""
        ...

    def close(self) -> None:
        """Release files and locks."""
        ...
