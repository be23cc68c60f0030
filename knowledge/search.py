"""From a question to a :class:`knowledge.model.Finding`: candidates, second stage, confidence, search record."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Protocol, overload

import numpy as np

from knowledge import analysis, ranking
from knowledge.facets import count
from knowledge.index import Candidate, IndexFilter, PassageIndex
from knowledge.model import Feature, Filters, Finding, Hit, Passage, PolicyDocument, Question, SearchRecord
from knowledge.references import Reference, Registry

log = logging.getLogger(__name__)

MOST_CANDIDATES = 100
FEWEST_CANDIDATES = 40
SURE_OF_NAMED = 0.95
"""Confidence where a question consists of an exact 文号 or title and nothing else."""
_ANYWHERE = IndexFilter()
_ARTICLE = re.compile(r"第\d+条(?:之\d+)?")
_LAW = 3  # letters of the shortest name of a law
_LABELS = tuple(ranking.LABELS[name] for name in ranking.FEATURES)


@dataclass(frozen=True, slots=True)
class ShelvedPassage:
    """在架条目: a passage that citizens may see, with its document."""

    passage: Passage
    document: PolicyDocument


class Shelf(Protocol):
    """书架: what the searcher needs of the library. Only passages that citizens may see are ever returned."""

    def fetch(self, ids: Sequence[str]) -> dict[str, ShelvedPassage]:
        """Those of ``ids`` that exist and are open."""
        ...

    def totals(self) -> tuple[int, int]:
        """(documents, passages) open to citizens."""
        ...

    def as_of(self) -> date | None:
        """The day up to which the library was published."""
        ...

    def titles(self) -> Sequence[tuple[str, str, str]]:
        """(document id, title, 文号) of every open document; the same object until something changes."""
        ...


class SemanticStage(Protocol):
    """语义检索: nearness in meaning, measured by trained vectors."""

    def nearest(self, text: str, limit: int, allowed: Callable[[str], bool] | None) -> list[Candidate]:
        """Passages nearest in meaning, best first."""
        ...

    def similarity(self, text: str, ids: Sequence[str]) -> list[float]:
        """Cosine (-1..1) of the question with each passage; 0 for one without a vector."""
        ...


class Shares(Sequence[Feature]):
    """得分构成: the features behind one hit that have a share in its score; put into words when somebody asks for them."""

    __slots__ = ("_told", "_values", "_weights")

    def __init__(self, values: ranking.Floats, weights: ranking.Floats) -> None:
        """Both of shape ``(f,)``."""
        self._values, self._weights = values, weights
        self._told: tuple[Feature, ...] | None = None

    def _features(self) -> tuple[Feature, ...]:
        if self._told is None:
            shares = self._values * self._weights
            self._told = tuple(
                Feature(_LABELS[place], float(self._values[place]), float(shares[place]))
                for place in np.flatnonzero(shares).tolist()
            )
        return self._told

    def __len__(self) -> int:
        return len(self._features())

    @overload
    def __getitem__(self, index: int) -> Feature: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Feature]: ...
    def __getitem__(self, index: int | slice) -> Feature | Sequence[Feature]:
        return self._features()[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._features() == tuple(other)

    def __hash__(self) -> int:
        return hash(self._features())

    def __repr__(self) -> str:
        return repr(self._features())


class Searcher:
    """检索: the two stages over one index and one shelf. Safe for several threads."""

    def __init__(
        self,
        index: PassageIndex,
        shelf: Shelf,
        *,
        semantic: SemanticStage | None = None,
        today: Callable[[], date] = date.today,
        ranker: ranking.RankerModel | None = None,
        confidence: ranking.ConfidenceModel | None = None,
    ) -> None:
        self._index = index
        self._shelf = shelf
        self._semantic = semantic
        self._today = today
        self._ranker = ranker or ranking.shipped_ranker()
        self._confidence = confidence or ranking.shipped_confidence()
        self._prepared = ranking.Preparer()
        self._registry = Registry(())
        if semantic is None:
            log.info("semantic stage is off: answers rest on words alone")

    def find(
        self, question: Question, *, expanded: Sequence[str] = (), staff: bool = False, facets: bool = False
    ) -> Finding:
        """Ranked passages for a question, how sure we are of the first, and the record of the search.

        ``expanded`` are words that understanding adds (synonyms, corrections): they find candidates and weigh less.
        ``staff`` lifts the condition on the attribute; ``facets`` adds counts by 要素. Raises ``IndexUnavailable``.
        """
        return self.find_judged(question, expanded=expanded, staff=staff, facets=facets)[0]

    def find_judged(
        self, question: Question, *, expanded: Sequence[str] = (), staff: bool = False, facets: bool = False
    ) -> tuple[Finding, Judged]:
        """As :meth:`find`, together with everything that both stages know: what evaluation and fitting look at."""
        started = time.perf_counter()
        judged = self._judge(question, expanded, staff)
        hits = self._hits(judged, question.limit, expanded)
        sure = self._sureness(judged)
        documents, passages = self._shelf.totals()
        suggestions: tuple[str, ...] = ()
        if sure < 0.5 and judged.asked is not None:
            titles = [h.document.title for h in hits] or self._names().nearest_titles(question.text, 3)
            suggestions = tuple(dict.fromkeys(titles))[:3]
        terms = judged.terms.words or judged.terms.bigrams
        record = SearchRecord(
            query=question.text,
            terms=terms,
            expanded=tuple(expanded),
            filters=question.filters.described(),
            scope_documents=documents,
            scope_passages=passages,
            index_version=self._index.stamp(),
            as_of=self._shelf.as_of(),
            hits=len(judged.shelved),
            seconds=time.perf_counter() - started,
        )
        finding = Finding(
            query=question.text,
            hits=hits,
            confidence=sure,
            record=record,
            suggestions=suggestions,
            facets=count({s.document.id: s.document for s in judged.shelved}.values()) if facets else (),
        )
        return finding, judged

    @property
    def ranker(self) -> ranking.RankerModel:
        """The weights in use."""
        return self._ranker

    def with_ranker(self, ranker: ranking.RankerModel) -> Searcher:
        """The same searcher with other weights."""
        return Searcher(
            self._index,
            self._shelf,
            semantic=self._semantic,
            today=self._today,
            ranker=ranker,
            confidence=self._confidence,
        )

    def _judge(self, question: Question, expanded: Sequence[str], staff: bool) -> Judged:
        terms = analysis.question_terms(question.text)
        reference = self._names().named(question.text)
        where = self._where(question.filters, staff)
        if (not terms and not reference.documents) or where is None:
            return Judged(terms, None, reference, (), (), None)
        asked = ranking.ask(question.text, terms, self._index.frequencies(terms.words, terms.bigrams))
        shelved = self._candidates(question, terms, expanded, reference, where)
        prepared = [self._prepared(s.passage, s.document) for s in shelved]
        extras = self._extras(question, prepared, reference)
        ranked = ranking.rank(asked, prepared, extras, self._ranker, self._widened(question.text, expanded))
        return Judged(terms, asked, reference, tuple(shelved), tuple(prepared), ranked)

    def _widened(self, text: str, expanded: Sequence[str]) -> ranking.Asked | None:
        """The question together with the words that understanding adds; None where it adds none."""
        if not expanded:
            return None
        bare = analysis.bare_question(analysis.normalise(text[: analysis.MOST_CHARACTERS // 2]))
        text = " ".join((bare, *expanded))
        terms = analysis.question_terms(text)
        return ranking.ask(text, terms, self._index.frequencies(terms.words, terms.bigrams))

    def _candidates(
        self,
        question: Question,
        terms: analysis.Terms,
        expanded: Sequence[str],
        reference: Reference,
        where: IndexFilter,
    ) -> list[ShelvedPassage]:
        passages = self._shelf.totals()[1]
        limit = max(min(MOST_CANDIDATES, passages // 40), FEWEST_CANDIDATES, question.limit)
        text = " ".join((question.text, *expanded)) if expanded else question.text
        ids = [c.id for c in self._index.search(text, where, limit)] if terms else []
        if reference.documents:
            wanted = [d for d in sorted(reference.documents) if not where.documents or d in where.documents]
            if wanted:
                narrowed = replace(where, documents=tuple(wanted))
                names = " ".join(title for d, title, _ in self._shelf.titles() if d in reference.documents)
                ids += [c.id for c in self._index.search(f"{reference.rest} {names}", narrowed, FEWEST_CANDIDATES)]
        if self._semantic is not None:
            free = where == _ANYWHERE or where == IndexFilter(attributes=())
            near = self._semantic.nearest(question.text, limit if free else 4 * limit, None)
            ids += [c.id for c in near]
        ids = list(dict.fromkeys(ids))
        fetched = self._shelf.fetch(ids)
        if where == _ANYWHERE:
            return [fetched[i] for i in ids if i in fetched]  # the shelf gives out nothing that is not open
        return [fetched[i] for i in ids if i in fetched and _admits(where, fetched[i].document)]

    def _extras(self, question: Question, prepared: Sequence[ranking.Prepared], reference: Reference) -> ranking.Extras:
        """What is known beside the text. Added words count by the widened reading; a bonus for holding one hurts (STARD)."""
        semantic = named = None
        if self._semantic is not None:
            semantic = np.array(self._semantic.similarity(question.text, [p.source.id for p in prepared]))
        article = _ARTICLE.search(analysis.normalise(question.text))
        if reference.documents or article:
            named = np.array([_named(p.source, p.document, reference, article) for p in prepared])
        return ranking.Extras(semantic, None, named, self._today())

    def _sureness(self, judged: Judged) -> float:
        if judged.ranked is None or judged.asked is None:
            return 0.0
        model = self._confidence.plain if self._semantic is None else self._confidence.semantic
        sure = ranking.confidence(ranking.signs(judged.asked, judged.prepared, judged.ranked), model)
        if judged.reference.exact and not analysis.question_terms(judged.reference.rest).words:
            return max(sure, SURE_OF_NAMED)
        return sure

    def _hits(self, judged: Judged, limit: int, expanded: Sequence[str]) -> tuple[Hit, ...]:
        if judged.ranked is None or judged.asked is None:
            return ()
        ranked = judged.ranked
        words = [*judged.terms.words, *expanded] or list(judged.terms.bigrams)
        hits = []
        for row in ranked.order[: max(limit, 0)].tolist():
            text = judged.prepared[row].text
            hits.append(
                Hit(
                    passage=judged.shelved[row].passage,
                    document=judged.shelved[row].document,
                    score=float(ranked.scores[row]),
                    matched=tuple([w for w in words if w in text]),
                    features=Shares(ranked.table[row], ranked.weights),
                )
            )
        return tuple(hits)

    def _where(self, filters: Filters, staff: bool) -> IndexFilter | None:
        """The conditions for the engine; None where a named 文号 does not exist, so that nothing can be found."""
        documents = filters.documents
        if filters.number:
            named = self._names().by_number(filters.number)
            documents = tuple(d for d in sorted(named) if not documents or d in documents)
            if not documents:
                return None
        where = IndexFilter(
            validities=(filters.validity.value,) if filters.validity else (),
            kinds=(filters.kind.value,) if filters.kind else (),
            issuers=(filters.organ,) if filters.organ else (),
            topics=(filters.topic,) if filters.topic else (),
            audiences=(filters.audience,) if filters.audience else (),
            year=filters.year or 0,
            documents=documents,
        )
        return replace(where, attributes=()) if staff else where

    def _names(self) -> Registry:
        titles = self._shelf.titles()
        if self._registry.source is not titles:
            self._registry = Registry(titles)
        return self._registry


def item_first(hits: tuple[Hit, ...]) -> tuple[Hit, ...]:
    """The hits, with that item of the first document in front which answers within a sentence.

    What is quoted is one item. Items of one document share its title and most of its words, so that their scores hardly differ; then
    it matters which of them says in one sentence what the title does not, and holds the figure that is asked for. Right items of
    the demo county's lists: .845 -> .880. Not for judged sets: an article of a law is no item of a policy.
    """
    near = [
        hit for hit in hits[:_ITEMS] if hit.document.id == hits[0].document.id and hits[0].score - hit.score < _NEARLY
    ]
    if len(near) < 2:
        return hits
    best = max(near, key=_says)
    return (best, *(hit for hit in hits if hit is not best))


_ITEMS = 6  # hits that are looked at
_NEARLY = 1.0  # of the score
_SAYING = tuple(ranking.LABELS[name] for name in ("fresh", "amount"))


def _says(hit: Hit) -> float:
    return round(sum(feature.value for feature in hit.features if feature.name in _SAYING), 3)


@dataclass(frozen=True, slots=True)
class Judged:
    """评判: everything that both stages know of one question; rows of ``ranked`` count in ``shelved``."""

    terms: analysis.Terms
    asked: ranking.Asked | None
    reference: Reference
    shelved: tuple[ShelvedPassage, ...]
    prepared: tuple[ranking.Prepared, ...]
    ranked: ranking.Ranked | None


def _named(passage: Passage, document: PolicyDocument, reference: Reference, article: re.Match[str] | None) -> float:
    """1 for what the question names: the document, or an article by its number; 2 for both."""
    named = passage.document in reference.documents
    if article is None or not analysis.normalise(passage.locator).startswith(article[0]):
        return float(named)
    if named:
        return 2.0
    # 「信息公开条例第33条」: people leave out the first words of a law's name.
    law = article.string[: article.start()].strip(" 《》的")
    return float(len(law) >= _LAW and law in analysis.normalise(document.title))


def _admits(where: IndexFilter, document: PolicyDocument) -> bool:
    """The engine's conditions once more, for candidates that did not come from the engine."""
    year = document.written_on.year if document.written_on else 0
    return (
        (not where.attributes or document.attribute.value in where.attributes)
        and (not where.validities or document.validity.value in where.validities)
        and (not where.kinds or document.kind.value in where.kinds)
        and (not where.issuers or document.issuer in where.issuers)
        and (not where.topics or document.topic in where.topics)
        and (not where.audiences or document.audience in where.audiences)
        and (not where.year or year == where.year)
        and (not where.documents or document.id in where.documents)
    )
