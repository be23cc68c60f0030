"""Measuring search on judged questions, and learning from them (``bianmin evaluate``).

A judged set is three files: passages (``{id, title, heading, text, document}`` a line), questions (``{id, text}``) and
judgements in TREC form (``question 0 passage grade``); any may be gzipped. With a list of removed documents (or passage
ids) these are left out of the index, and the confidence is asked to tell the questions that can still be answered
from those that cannot. There is one configuration for all sets: nothing here looks at which set it is given.
"""

from __future__ import annotations

import gzip
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from knowledge import fitting, ranking
from knowledge.errors import KnowledgeError
from knowledge.index import IndexedPassage
from knowledge.index.engines import open_index
from knowledge.model import DisclosureAttribute, DocumentKind, Passage, PolicyDocument, Question, Stage
from knowledge.search import Judged, Searcher, ShelvedPassage
from knowledge.semantic import SemanticIndex

DEPTH = 100


class BadJudgements(KnowledgeError):
    """A judged set that cannot be read; the message names file and line."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One passage of a judged set."""

    id: str
    title: str
    heading: str
    text: str
    document: str


Judgements = Mapping[str, Mapping[str, int]]
"""Question id → passage id → grade (above 0 is right)."""

SemanticFactory = Callable[[Sequence[Entry], Sequence[tuple[str, str]]], SemanticIndex | None]
"""Builds a semantic stage over passages, further trained on (question, passage id) pairs where there are any."""


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """评测结果: figures of one run; shares and means lie between 0 and 1.

    ``auroc`` is None unless removed and answerable are given. ``answered`` maps a threshold of confidence to the share
    of questions whose first hit would be given as the answer and the share of those that are wrong.
    """

    queries: int
    recall5: float
    recall10: float
    mrr10: float
    ndcg10: float
    success1: float
    recall50: float
    recall100: float
    auroc: float | None
    p50_ms: float
    p99_ms: float
    index_seconds: float
    passages: int
    rss_mb: float
    answered: tuple[tuple[float, float, float], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The object that ``bianmin evaluate --json`` prints."""
        figures: dict[str, Any] = {
            "queries": self.queries,
            "recall@5": self.recall5,
            "recall@10": self.recall10,
            "mrr@10": self.mrr10,
            "ndcg@10": self.ndcg10,
            "success@1": self.success1,
            "recall@50": self.recall50,
            "recall@100": self.recall100,
            "auroc": self.auroc,
            "p50_ms": self.p50_ms,
            "p99_ms": self.p99_ms,
            "index_seconds": self.index_seconds,
            "passages": self.passages,
            "rss_mb": self.rss_mb,
            "thresholds": [{"confidence": at, "answered": share, "wrong": wrong} for at, share, wrong in self.answered],
        }
        return {name: round(value, 4) if isinstance(value, float) else value for name, value in figures.items()}


# --- reading -----------------------------------------------------------------------------------------------------------


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, line
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise BadJudgements(f"{path} cannot be read ({error}); give a UTF-8 text file or its .gz") from error


def _objects(path: Path, *keys: str) -> Iterator[list[str]]:
    for number, line in _lines(path):
        try:
            row = json.loads(line)
            yield [str(row[key]) for key in keys]
        except (ValueError, KeyError, TypeError) as error:
            raise BadJudgements(f"{path} line {number}: expected an object with {', '.join(keys)} ({error})") from error


def read_corpus(path: Path, removed: frozenset[str] = frozenset()) -> Iterator[Entry]:
    """Passages one by one, without those whose id or document is ``removed``."""
    for identity, title, heading, text, document in _objects(path, "id", "title", "heading", "text", "document"):
        if identity not in removed and document not in removed:
            yield Entry(identity, title, heading, text, document)


def read_queries(path: Path) -> list[tuple[str, str]]:
    """(id, text) of every question."""
    return [(identity, text) for identity, text in _objects(path, "id", "text")]


def read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """Judgements in TREC form."""
    judged: dict[str, dict[str, int]] = {}
    for number, line in _lines(path):
        parts = line.split()
        try:
            query, _, passage, grade = parts
            judged.setdefault(query, {})[passage] = int(grade)
        except ValueError as error:
            raise BadJudgements(f"{path} line {number}: expected 'question 0 passage grade'") from error
    return judged


def read_names(path: Path) -> frozenset[str]:
    """One id a line."""
    return frozenset(line.strip() for _, line in _lines(path))


def read_answerable(path: Path) -> dict[str, bool]:
    """Question id → whether it can still be answered."""
    found: dict[str, bool] = {}
    for number, line in _lines(path):
        parts = line.split()
        if len(parts) != 2 or parts[1] not in ("0", "1"):
            raise BadJudgements(f"{path} line {number}: expected 'question 1' or 'question 0'")
        found[parts[0]] = parts[1] == "1"
    return found


# --- a library in memory -----------------------------------------------------------------------------------------------


class MemoryShelf:
    """A :class:`knowledge.search.Shelf` over a judged set: every passage is open."""

    def __init__(self) -> None:
        self._passages: dict[str, ShelvedPassage] = {}
        self._documents: dict[tuple[str, str], PolicyDocument] = {}
        self._ordinals: dict[str, int] = {}
        self._names: tuple[tuple[str, str, str], ...] = ()

    def add(self, entry: Entry) -> IndexedPassage:
        """Keep a passage; what an engine has to be given of it comes back."""
        key = (entry.document, entry.title)
        document = self._documents.get(key)
        if document is None:
            document = self._documents[key] = PolicyDocument(
                id=entry.document,
                kind=DocumentKind.POLICY,
                title=entry.title,
                attribute=DisclosureAttribute.PUBLIC,
                stage=Stage.PUBLISHED,
            )
        ordinal = self._ordinals.get(entry.document, 0)
        self._ordinals[entry.document] = ordinal + 1
        path = tuple(part for part in entry.heading.split("/") if part)
        passage = Passage(entry.id, entry.document, ordinal, "", path, entry.text, f"p{ordinal}")
        self._passages[entry.id] = ShelvedPassage(passage, document)
        return IndexedPassage(
            id=entry.id,
            document=entry.document,
            body="\n".join((entry.title, *path, entry.text)),
            attribute=document.attribute.value,
            validity=document.validity.value,
            kind=document.kind.value,
            issuer="",
            topic="",
            audience="",
            year=0,
            number="",
        )

    def fetch(self, ids: Sequence[str]) -> dict[str, ShelvedPassage]:
        """Those of ``ids`` that exist."""
        return {i: self._passages[i] for i in ids if i in self._passages}

    def totals(self) -> tuple[int, int]:
        """(documents, passages)."""
        return len(self._ordinals), len(self._passages)

    def as_of(self) -> date | None:
        """Judged sets have no day."""
        return None

    def titles(self) -> Sequence[tuple[str, str, str]]:
        """One title a document, the first that occurred."""
        if len(self._names) != len(self._ordinals):
            first: dict[str, str] = {}
            for document, title in self._documents:
                first.setdefault(document, title)
            self._names = tuple((document, title, "") for document, title in first.items())
        return self._names


# --- measuring ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Run:
    """What came of one question."""

    query: str
    ids: tuple[str, ...]
    confidence: float
    seconds: float
    judged: Judged


def run(searcher: Searcher, queries: Iterable[tuple[str, str]]) -> Iterator[Run]:
    """Ask every question; the time is that of a whole ``find`` to a depth of 100."""
    for identity, text in queries:
        question = Question(text, limit=DEPTH)
        started = time.perf_counter()
        finding, judged = searcher.find_judged(question)
        seconds = time.perf_counter() - started
        yield Run(identity, tuple(hit.passage.id for hit in finding.hits), finding.confidence, seconds, judged)


def metrics(ids: Sequence[str], grades: Mapping[str, int]) -> dict[str, float]:
    """Figures of one question; ``grades`` holds at least one passage above 0."""
    right = {passage for passage, grade in grades.items() if grade > 0}
    places = [place for place, passage in enumerate(ids, 1) if passage in right]
    gain = sum(
        (2.0 ** grades[passage] - 1.0) / math.log2(place + 1.0)
        for place, passage in enumerate(ids[:10], 1)
        if passage in right
    )
    best = sorted((2.0**grade - 1.0 for grade in grades.values() if grade > 0), reverse=True)[:10]
    ideal = sum(value / math.log2(place + 1.0) for place, value in enumerate(best, 1))
    found = {depth: sum(place <= depth for place in places) / len(right) for depth in (5, 10, 50, 100)}
    return {
        "recall5": found[5],
        "recall10": found[10],
        "recall50": found[50],
        "recall100": found[100],
        "mrr10": 1.0 / places[0] if places and places[0] <= 10 else 0.0,
        "ndcg10": gain / ideal,
        "success1": float(bool(places) and places[0] == 1),
    }


def samples(runs: Iterable[Run], qrels: Judgements) -> Iterator[fitting.Sample]:
    """Judged questions in the form that fitting reads."""
    for one in runs:
        grades, judged = qrels.get(one.query), one.judged
        if grades and judged.ranked is not None and judged.asked is not None:
            right = np.array([grades.get(s.passage.id, 0) > 0 for s in judged.shelved], dtype=bool)
            groups = sorted({s.document.id for s, hit in zip(judged.shelved, right, strict=True) if hit})
            table = judged.ranked.table.copy()
            ranking.refine(judged.asked, judged.prepared, table, range(len(table)))
            yield fitting.Sample(table, right, groups[0] if groups else one.query)


def evaluate(
    corpus: Path,
    queries: Path,
    qrels: Path,
    *,
    removed: Path | None = None,
    answerable: Path | None = None,
    train_queries: Path | None = None,
    train_qrels: Path | None = None,
    engine: str = "tantivy",
    semantic: SemanticFactory | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> EvaluationReport:
    """Index a judged set in a temporary folder, ask its questions, and report.

    With training questions the semantic stage and the ranker's weights are first fitted to these (held near the shipped
    ones). With ``removed`` and ``answerable``, the figures of ranking still come from the whole set; the confidence is
    measured on a second index without the removed. Raises :class:`BadJudgements` for files that cannot be read.
    """
    asked = read_queries(queries)
    judged = read_qrels(qrels)
    asked = [(identity, text) for identity, text in asked if any(g > 0 for g in judged.get(identity, {}).values())]
    if not asked:
        raise BadJudgements(f"none of the questions in {queries} has a right passage in {qrels}")
    with ExitStack() as stack:
        progress("indexing")
        started = time.perf_counter()
        build = _Build(stack, engine, semantic, _pairs(train_queries, train_qrels))
        searcher, passages = build(read_corpus(corpus))
        index_seconds = time.perf_counter() - started
        if train_queries is not None and train_qrels is not None:
            progress("fitting")
            searcher = _fitted(searcher, read_queries(train_queries), read_qrels(train_qrels), build.has_semantic)
        progress("asking")
        runs = list(run(searcher, asked))
        area = None
        if removed is not None and answerable is not None:
            progress("asking again without the removed")
            build.ranker = searcher.ranker
            narrowed, _ = build(read_corpus(corpus, read_names(removed)))
            told = read_answerable(answerable)
            sure: dict[bool, list[float]] = {True: [], False: []}
            for one in run(narrowed, [(i, text) for i, text in read_queries(queries) if i in told]):
                sure[told[one.query]].append(one.confidence)
            area = fitting.auroc(sure[True], sure[False])
    figures = [metrics(one.ids, judged[one.query]) for one in runs]
    mean = {name: sum(f[name] for f in figures) / len(figures) for name in figures[0]}
    times = sorted(one.seconds * 1000.0 for one in runs)
    return EvaluationReport(
        queries=len(runs),
        auroc=area,
        p50_ms=times[len(times) // 2],
        p99_ms=times[min(int(len(times) * 0.99), len(times) - 1)],
        index_seconds=index_seconds,
        passages=passages,
        rss_mb=_peak_mb(),
        answered=_trade_off([(one.confidence, f["success1"]) for one, f in zip(runs, figures, strict=True)]),
        **mean,
    )


class _Build:
    """Makes searchers over parts of one set, in folders that vanish with ``stack``."""

    def __init__(
        self, stack: ExitStack, engine: str, semantic: SemanticFactory | None, pairs: Sequence[tuple[str, str]]
    ) -> None:
        self._stack = stack
        self._engine = engine
        self._semantic = semantic
        self._pairs = pairs
        self.has_semantic = False
        self.ranker: ranking.RankerModel | None = None

    def __call__(self, entries: Iterator[Entry]) -> tuple[Searcher, int]:
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="bianmin-evaluate-")))
        shelf, kept = MemoryShelf(), list[Entry]()
        index = open_index(self._engine, folder)
        self._stack.callback(index.close)

        def passages() -> Iterator[IndexedPassage]:
            for entry in entries:
                if self._semantic is not None and self._pairs:
                    kept.append(entry)
                yield shelf.add(entry)

        # Vectors that are tuned on questions need all passages first; the shipped ones are looked up along the way.
        tuned = bool(self._pairs)
        stage = self._semantic((), ()) if self._semantic is not None and not tuned else None
        index.clear()
        index.replace(passages() if stage is None else stage.along(passages()))
        index.commit("evaluate")
        if stage is not None:
            stage.commit("evaluate")
        elif self._semantic is not None and tuned:
            stage = self._semantic(kept, self._pairs)
        self.has_semantic = stage is not None
        return Searcher(index, shelf, semantic=stage, ranker=self.ranker), shelf.totals()[1]


def _pairs(queries: Path | None, qrels: Path | None) -> list[tuple[str, str]]:
    """(question, passage id) of every right judgement for training."""
    if queries is None or qrels is None:
        return []
    judged = read_qrels(qrels)
    return [
        (text, passage)
        for identity, text in read_queries(queries)
        for passage, grade in judged.get(identity, {}).items()
        if grade > 0
    ]


def _fitted(searcher: Searcher, queries: Sequence[tuple[str, str]], qrels: Judgements, has_semantic: bool) -> Searcher:
    """The searcher with weights fitted to judged questions, starting from its own.

    With a semantic stage the weights stay: it was tuned on these very questions and would be trusted too much.
    """
    if has_semantic:
        return searcher
    found = list(samples(run(searcher, queries), qrels))
    if not found:
        return searcher
    former = searcher.ranker
    return searcher.with_ranker(ranking.RankerModel(fit_weights(found, former.plain), former.semantic))


def fit_weights(found: Sequence[fitting.Sample], prior: ranking.Weights, *, ridge: float = 10.0) -> ranking.Weights:
    """Both stages of the ranker, fitted to samples and held near ``prior``; the same weights for every question."""
    cheap = [ranking.FEATURES.index(name) for name in ranking.CHEAP]
    full = cheap + [ranking.FEATURES.index(name) for name in ranking.COSTLY]
    first = fitting.fit_ranker(found, cheap, ridge=ridge, prior=prior.first.base)
    heads = []
    for sample in found:
        head = np.argsort(-(sample.table @ first), kind="stable")[: ranking.FULL]
        heads.append(fitting.Sample(sample.table[head], sample.right[head], sample.group))
    found_full = fitting.fit_ranker(heads, full, ridge=ridge, prior=prior.full.base)
    merit = np.where([name in ranking.RULED for name in ranking.FEATURES], 0.0, found_full)
    return ranking.Weights(ranking.level(first), ranking.level(found_full), merit)


def _trade_off(outcomes: Sequence[tuple[float, float]]) -> tuple[tuple[float, float, float], ...]:
    """(threshold, share answered, share of the answered that is wrong)."""
    rows = []
    for at in (0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        given = [right for confidence, right in outcomes if confidence >= at]
        wrong = 1.0 - sum(given) / len(given) if given else 0.0
        rows.append((at, round(len(given) / len(outcomes), 4), round(wrong, 4)))
    return tuple(rows)


def _peak_mb() -> float:
    try:
        import resource
    except ImportError:  # Windows has no such figure in the standard library
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024.0 * 1024.0) if sys.platform == "darwin" else peak / 1024.0
