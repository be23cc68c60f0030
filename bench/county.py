"""The demo county asked by the question lists of this project, with everything that both stages know of each question."""

from __future__ import annotations

import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bot.app import House, build
from bot.config import DataSettings, Settings
from knowledge import fitting, ranking
from knowledge.lists import read_organs
from knowledge.model import Hit, Question
from knowledge.search import Judged, ShelvedPassage

ROOT = Path(__file__).resolve().parent.parent
LISTS = (
    "demo/questions-a.toml",
    "demo/questions-b.toml",
    "bench/fresh_questions.toml",
    "bench/training_questions.toml",
)


@dataclass(frozen=True, slots=True)
class Told:
    """A question of a list, and what answers it; without a document nothing does."""

    text: str
    kinds: tuple[str, ...]
    document: str
    also: tuple[str, ...]
    locator: str
    phrase: str

    def in_document(self, place: ShelvedPassage | Hit) -> bool:
        """Whether the document answers."""
        return Path(place.document.path).name in (self.document, *self.also)

    def in_passage(self, place: ShelvedPassage | Hit) -> bool:
        """Whether the item answers: the one named, or any of the documents that answer as well."""
        file = Path(place.document.path).name
        if file in self.also:
            return True
        if file != self.document:
            return False
        if not self.locator and not self.phrase:
            return True
        return bool(
            (self.phrase and self.phrase in place.passage.text)
            or (self.locator and self.locator in place.passage.locator)
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """One question and what was found; ``judged`` is None where nothing was searched."""

    told: Told
    judged: Judged | None
    hits: tuple[Hit, ...]

    def sample(self) -> fitting.Sample | None:
        """For the ranker: the right items, or all items of the right documents where none of them was found."""
        if self.judged is None or self.judged.ranked is None or self.judged.asked is None or not self.told.document:
            return None
        table = self.judged.ranked.table.copy()
        ranking.refine(
            self.judged.asked, self.judged.prepared, table, self.judged.ranked.order[self.judged.ranked.full :]
        )
        right = np.array([self.told.in_passage(s) for s in self.judged.shelved], dtype=bool)
        if not right.any():
            right = np.array([self.told.in_document(s) for s in self.judged.shelved], dtype=bool)
        return fitting.Sample(table, right, self.told.document)


class County:
    """The demo county in a temporary folder; every question passes the whole understanding of :meth:`Library.ask`."""

    def __init__(self, with_meaning: bool = True) -> None:
        settings = replace(Settings(), data=DataSettings(folder=Path(tempfile.mkdtemp())))
        self.house: House = build(replace(settings, index=replace(settings.index, semantic=with_meaning)))
        self.house.library.replace_organs(read_organs(ROOT / "demo" / "organs.csv").organs)
        list(self.house.library.ingest(sorted((ROOT / "demo" / "documents").iterdir())))
        self._seen: list[Judged] = []
        searcher = self.house.library._searcher
        find = searcher.find_judged

        def noted(*args: object, **more: object) -> object:
            finding, judged = find(*args, **more)  # type: ignore[arg-type]
            self._seen.append(judged)
            return finding, judged

        searcher.find_judged = noted  # type: ignore[assignment,method-assign]

    def ask(self, told: Told, text: str = "") -> Asked:
        """Ask a question, or ``text`` in its place."""
        self._seen.clear()
        hits = self.house.library.ask(Question(text or told.text)).hits
        return Asked(told, self._seen[-1] if self._seen else None, hits)

    def close(self) -> None:
        """Give everything back."""
        self.house.close()


def told() -> Iterator[Told]:
    """The questions of all lists."""
    for name in LISTS:
        for item in tomllib.loads((ROOT / name).read_text("utf-8"))["question"]:
            kinds = item["kind"] if isinstance(item["kind"], list) else [item["kind"]]
            yield Told(
                text=item["text"],
                kinds=tuple(kinds),
                document=item.get("document", ""),
                also=tuple(item.get("also", ())),
                locator=item.get("locator", ""),
                phrase=item.get("phrase", ""),
            )
