"""Second stage: score the candidates with features that no engine knows of, and say how sure we are.

A question becomes a row of two-character windows with weights (idf); a passage is one array of UTF-16 units. All
windows of all candidates are compared at once in numpy, which yields counts, places and runs, and from these come
the features. The score is their weighted sum: ``weights/ranker.json`` holds the weights and how they were learned, so
that every score can be explained as a list of shares.

Shapes: ``n`` candidates, ``c`` windows, ``f`` features; scores have no unit.
"""

from __future__ import annotations

import json
import math
import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np
import rjieba
from numpy.typing import NDArray
from rapidfuzz import fuzz, process

from knowledge import analysis
from knowledge.background import background, weights
from knowledge.index import Frequencies
from knowledge.model import Passage, PolicyDocument, SourceRank, Validity

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

AVERAGE = 200.0  # characters of a passage of ordinary length
WINDOW = 48  # characters of about one sentence
MOST_COMPARED = 120  # characters of a question that are compared letter by letter
MOST_SINGLES = 8  # words of one character that are looked for
FULL = 30  # candidates that are given the costly features

LABELS = {
    "words": "词语匹配",
    "cover_words": "词语覆盖",
    "cover_bigrams": "字词覆盖",
    "soft": "字词匹配",
    "sharp": "字词匹配（计次数与篇幅）",
    "nouns": "名词匹配",
    "verbs": "动词匹配",
    "others": "其他词匹配",
    "cover_nouns": "名词覆盖",
    "cover_joints": "词间搭配",
    "title": "标题命中",
    "heading": "小标题命中",
    "trigrams": "连续三字",
    "run": "最长连续相同",
    "dense": "相近处集中",
    "fresh": "一句之内答及标题之外",
    "document": "全文件覆盖",
    "best": "本文件最佳条目",
    "siblings": "同文件命中数",
    "before": "上一条相关",
    "place": "地名相符",
    "elsewhere": "标题为别处",
    "length": "篇幅",
    "amount": "问数额且有此数字",
    "partial": "整句相似",
    "tokens": "词集相似",
    "semantic": "语义相近",
    "semantic_worded": "语义相近（问句用词也能找到）",
    "semantic_sure": "语义相近（有十分相近者）",
    "semantic_place": "语义名次",
    "semantic_tops": "语义近乎最佳",
    "semantic_gap": "语义距最佳",
    "soft_place": "字词名次",
    "soft_tops": "字词近乎最佳",
    "soft_gap": "字词距最佳",
    "both": "字词与语义皆近",
    "expanded": "近义词匹配",
    "named": "点名文件",
    "lapsed": "效力",
    "recent": "成文日期",
    "source": "来源等级",
}
COSTLY = ("partial", "tokens")
RULED = ("expanded", "named", "lapsed", "recent", "source")
"""Features whose weights are laid down, not learned: the judged sets know nothing of them."""
CHEAP = tuple(name for name in LABELS if name not in COSTLY + RULED)
FEATURES = CHEAP + COSTLY + RULED
_AT = {name: place for place, name in enumerate(FEATURES)}


# --- what a passage is to the second stage -----------------------------------------------------------------------------

# What a figure measures, and the questions that ask for it; the first kind that a question fits decides.
_FIGURES = (
    (
        re.compile(r"多少钱|几块|多少元|几[百千万]块?钱|费用|收费|价格|工资|租金|罚款?多少|补多少|交多少|给多少"),
        re.compile(r"\d[\d.]*[百千万亿]?元|\d%"),
    ),
    (
        re.compile(r"多久|多长时间|几[天日年周]|几个(?:月|工作日)|期限|时限|什么时候|何时|几点|几月|几号|截止"),
        re.compile(r"\d[^\n]{0,2}(?:天|日|月|年|周|小时|分钟|:\d)|工作日|当场|即时"),
    ),
    (re.compile(r"多大年?[纪龄]|几岁|多少岁|年龄"), re.compile(r"\d+周?岁")),
    (
        re.compile(r"多少|几[个名次倍项人]|多大|比例|标准|额度|金额|上限|几成|最[高低多少]"),
        re.compile(r"\d[^\n]{0,4}(?:元|%|天|日|月|年|岁|倍|人|个|万|亿|小时|公里|平方|项|家|条)"),
    ),
)
_PLACE = re.compile(r"([㐀-鿿]{2,3}?)(?:省|市|县|区|州|旗|镇|乡|盟|壮族|回族|维吾尔|自治|特别行政)")
_PLACE_END = re.compile(r"(?:省|市|县|区|州|旗|镇|乡|盟)$")
_EVERYWHERE = frozenset(("中国", "中华", "全国", "中华人民共和国", "人民共和国"))
_LAPSED = {Validity.REPEALED: 1.0, Validity.EXPIRED: 1.0, Validity.NOT_YET: 0.6, Validity.AMENDED: 0.2}
_RANKS = {SourceRank.GAZETTE: 1.0, SourceRank.ORIGINAL: 0.5, SourceRank.WEB: 0.0}


@dataclass(frozen=True, slots=True)
class Prepared:
    """A passage in normal form, ready to be compared."""

    source: Passage
    document: PolicyDocument
    text: str  # title, headings and text, one line each
    units: NDArray[np.uint16]
    slots: NDArray[np.uint16]  # of the window that begins at each unit
    sentences: NDArray[np.uint16]  # how many sentences have ended at each unit
    facts: Floats  # (8,) title end, heading end, length, ordinal, bits of its figures, lapsed, day, source rank
    places: frozenset[str]  # that the title names


class Preparer:
    """Prepared passages, at most ``capacity`` of them (about 2 KB each); the oldest go first."""

    def __init__(self, capacity: int = 60_000) -> None:
        self._capacity = capacity
        self._kept: OrderedDict[str, Prepared] = OrderedDict()

    def __call__(self, passage: Passage, document: PolicyDocument) -> Prepared:
        kept = self._kept.get(passage.id)
        if kept is not None and kept.source is passage and kept.document is document:
            return kept
        if kept is not None and kept.source == passage and kept.document.title == document.title:
            # The shelf was filled anew: the text is the same, but the document may have lapsed meanwhile.
            fresh = replace(
                kept, source=passage, document=document, facts=np.array((*kept.facts[:5], *_standing(document)))
            )
        else:
            fresh = prepare(passage, document)
        self._kept[passage.id] = fresh
        if len(self._kept) > self._capacity:
            self._kept.popitem(last=False)
        return fresh


def prepare(passage: Passage, document: PolicyDocument) -> Prepared:
    """Normal form and query-independent facts of one passage."""
    title, places = _titled(document.title)
    heading = analysis.normalise("\n".join(passage.path))
    body = analysis.normalise(passage.text)
    text = f"{title}\n{heading}\n{body}\n"
    units = np.frombuffer(text.encode("utf-16-le", "surrogatepass"), dtype=np.uint16)
    facts = (
        float(len(title)),
        float(len(title) + 1 + len(heading)),
        float(len(units)),
        float(passage.ordinal),
        float(sum(1 << kind for kind, (_, figure) in enumerate(_FIGURES) if figure.search(body))),
        *_standing(document),
    )
    pairs = units.astype(np.uint32) << np.uint32(16)
    pairs[:-1] |= units[1:]
    sentences = _ENDS[units].cumsum(dtype=np.uint16)
    return Prepared(passage, document, text, units, _slots(pairs), sentences, np.array(facts), places)


_SLOTS = 8192


def _slots(pairs: NDArray[np.uint32]) -> NDArray[np.uint16]:
    """A number below ``_SLOTS`` for each pair of units; different pairs seldom share one."""
    found: NDArray[np.uint16] = ((pairs * np.uint32(2654435769)) >> np.uint32(19)).astype(np.uint16)
    return found


_ENDS = np.zeros(65536, dtype=np.bool_)
_ENDS[[ord(c) for c in "。;!?\n"]] = True
"""Units that end a sentence."""


def _standing(document: PolicyDocument) -> tuple[float, float, float]:
    """Lapsed, day, source rank."""
    day = document.written_on or document.published_on
    return (
        _LAPSED.get(document.validity, 0.0),
        float(day.toordinal() if day else 0),
        _RANKS[document.source_rank],
    )


@lru_cache(maxsize=20_000)
def _titled(title: str) -> tuple[str, frozenset[str]]:
    text = analysis.normalise(title)
    return text, places_in(rjieba.tag(text, True))


def places_in(tagged: Sequence[tuple[str, str]]) -> frozenset[str]:
    """Place names among tagged words, without 省, 市, 县: 「浙江省政府」 and 「浙江」 are the same place."""
    found = set()
    for word, tag in tagged:
        if tag in ("ns", "nt") and len(word) > 1 and word not in _EVERYWHERE:
            match = _PLACE.match(word)
            if match:
                found.add(match[1])
            elif tag == "ns":
                bare = _PLACE_END.sub("", word)
                found.add(bare if len(bare) > 1 else word)
    return frozenset(found - _EVERYWHERE)


# --- what a question is to the second stage ----------------------------------------------------------------------------

_NOUN, _VERB, _OTHER, _JOINT = range(4)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, prepared once: its windows with weights, its words, its places."""

    text: str  # normal form without question words
    terms: analysis.Terms
    windows: tuple[tuple[int, int], ...]  # UTF-16 units of each column
    grams: Floats  # (c, 6): idf as a bigram; then of nouns, verbs, others, joints between words; as a word
    longer: tuple[tuple[str, float], ...]  # words of more than two characters or of one, and their idf
    follows: dict[tuple[int, int], float]  # columns that stand side by side in the question, and their weight
    length: int  # windows in reading order, with repetitions
    places: frozenset[str]
    figure: int  # bit of the kind of figure that is asked for, 0 for none

    @property
    def gram_total(self) -> float:
        """Sum of the bigram weights, never 0."""
        return float(self.grams[:, 0].sum()) or 1.0

    @property
    def word_total(self) -> float:
        """Sum of the word weights, never 0."""
        return float(self.grams[:, 5].sum()) + sum(idf for _, idf in self.longer) or 1.0


def ask(question: str, terms: analysis.Terms, frequencies: Frequencies) -> Asked:
    """Prepare a question. ``terms`` and ``frequencies`` belong together."""
    full = analysis.normalise(question[: analysis.MOST_CHARACTERS])
    text = analysis.bare_question(full)
    known, passages = background(), frequencies.passages
    word_idf = weights(terms.words, frequencies.words, passages, known.words, known.passages)
    gram_idf = dict(
        zip(
            terms.bigrams,
            weights(terms.bigrams, frequencies.bigrams, passages, known.bigrams, known.passages),
            strict=True,
        )
    )
    tagged: list[tuple[str, str]] = rjieba.tag(text, True)
    kinds = _kinds(tagged)
    columns: dict[str, int] = {}
    rows: list[tuple[float, int]] = []
    follows: dict[tuple[int, int], float] = {}
    length = 0
    for run in _spelled(text):
        last = -1
        for window, owner, share in run:
            place = columns.get(window, -1)
            if place < 0:
                if owner not in gram_idf:
                    last = -1
                    continue  # beyond the cut of a very long question
                place = columns[window] = len(columns)
                rows.append((gram_idf[owner] * share, kinds.get(window, _JOINT)))
            length += 1
            if last >= 0:
                follows[last, place] = (rows[last][0] + rows[place][0]) / 2.0
            last = place
    grams = np.zeros((len(rows), 6))
    for place, (weight, kind) in enumerate(rows):
        grams[place, 0] = grams[place, 1 + kind] = weight
    longer: list[tuple[str, float]] = []
    singles = 0
    for word, idf in zip(terms.words, word_idf, strict=True):
        if len(word) == 1:
            singles += 1
            if singles <= MOST_SINGLES:
                longer.append((word, idf))
        elif len(word) == 2:
            if word in columns:
                grams[columns[word], 5] = idf
        elif all(word[i : i + 2] in columns for i in range(len(word) - 1)):
            longer.append((word, idf))
    return Asked(
        text=text,
        terms=terms,
        windows=tuple((_unit(w[0]), _unit(w[1])) for w in columns),
        grams=grams,
        longer=tuple(longer),
        follows=follows,
        length=max(length, 1),
        places=places_in(tagged),
        figure=next((1 << kind for kind, (asks, _) in enumerate(_FIGURES) if asks.search(full)), 0),
    )


def _kinds(tagged: Sequence[tuple[str, str]]) -> dict[str, int]:
    """The part of speech of each window inside a word; windows between words are joints."""
    kinds: dict[str, int] = {}
    for word, tag in tagged:
        kind = _NOUN if tag[0] in "njlzi" else _VERB if tag[0] == "v" else _OTHER
        for i in range(len(word) - 1):
            kinds.setdefault(word[i : i + 2], kind)
    return kinds


def _unit(character: str) -> int:
    # Characters beyond the BMP are compared by their low surrogate: rare enough, and never wrong on their own.
    code = ord(character)
    return code if code < 0x10000 else 0xDC00 + ((code - 0x10000) & 0x3FF)


_PIECE = re.compile(r"[0-9a-z]+(?:\.[0-9]+)?%?|[㐀-鿿豈-﫿\U00020000-\U0003ffff]")
_RUN = re.compile(r"[0-9a-z.%㐀-鿿豈-﫿\U00020000-\U0003ffff]+")


def _spelled(text: str) -> list[list[tuple[str, str, float]]]:
    """Two-character windows of each run, each with the token it belongs to and its share of that token."""
    runs = []
    for run in _RUN.findall(text):
        pieces = _PIECE.findall(run)
        spelled: list[tuple[str, str, float]] = []
        for place, piece in enumerate(pieces):
            if place:
                before = pieces[place - 1]
                plain = len(before) == 1 == len(piece)
                spelled.append((before[-1] + piece[0], before + piece, 1.0 if plain else 0.5))
            if len(piece) > 1:
                spelled.extend((piece[i : i + 2], piece, 1.0 / (len(piece) - 1)) for i in range(len(piece) - 1))
        runs.append(spelled)
    return runs


# --- features ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Extras:
    """What the searcher knows of the candidates beside their text; every array has shape ``(n,)`` or is None."""

    semantic: Floats | None = None  # cosine similarity to the question
    expanded: Floats | None = None  # how many of the added words the passage holds, h / (h + 1)
    named: Floats | None = None  # 1 where the question names the document
    today: date | None = None


@dataclass(frozen=True, slots=True)
class _Reading:
    """One reading of the question, its windows counted among the ``u`` windows of all readings."""

    asked: Asked
    grams: Floats  # (u, 6)
    links: Places  # (u * u,) number of the pair of windows among those that stand side by side, -1 for none
    weights: Floats  # of these pairs


@dataclass(frozen=True, slots=True)
class _Candidates:
    """``n`` candidates as they lie before every reading."""

    passages: Sequence[Prepared]
    facts: Floats  # (n, 8)
    ends: Places  # (n,) where each ends in the joined text
    number: Places  # (n,) which document it belongs to
    order: Places  # (n,) the candidates by document
    starts: Places  # (documents,) where each document begins in ``order``

    def greatest(self, values: Floats) -> Floats:
        """The greatest of each column among the candidates of the same document: ``(n, k)`` → ``(n, k)``."""
        found: Floats = np.maximum.reduceat(values[self.order], self.starts)[self.number]
        return found


@dataclass(frozen=True, slots=True)
class _Matches:
    """Where windows of the question stand in the joined text of the candidates, in reading order."""

    rows: Places
    columns: Places
    places: Places
    zones: Places  # 0 title, 1 headings, 2 text
    sentences: NDArray[np.uint16]  # running number of the sentence in its passage

    def greatest(self, values: Floats, which: Places | slice = slice(None)) -> tuple[Places, Floats]:
        """Rows that have any of these matches, and the greatest of each column of ``values`` among them."""
        rows = self.rows[which]
        starts = _starts(rows[1:] != rows[:-1])
        return rows[starts], np.maximum.reduceat(values, starts)


def _starts(changes: NDArray[np.bool_]) -> Places:
    """Where the pieces begin that are cut after each True."""
    cuts = changes.nonzero()[0]
    starts = np.zeros(len(cuts) + 1, dtype=np.int64)
    np.add(cuts, 1, out=starts[1:])
    return starts


def measure(asked: Asked, passages: Sequence[Prepared], extras: Extras) -> Floats:
    """Cheap features of every candidate: shape ``(n, f)``, the costly columns are 0."""
    table: Floats = _measure((asked,), passages, extras)[:, 0]
    return table


def _measure(readings: Sequence[Asked], passages: Sequence[Prepared], extras: Extras) -> Floats:
    """Cheap features for ``r`` readings of one question, shape ``(n, r, f)``: what they share is looked at once."""
    n = len(passages)
    table = np.zeros((n, len(readings), len(FEATURES)))
    if n == 0:
        return table
    found = _candidates(passages)
    facts = found.facts
    windows: dict[tuple[int, int], int] = {}
    for asked in reversed(readings):  # the widest first
        for window in asked.windows:
            windows.setdefault(window, len(windows))
    middle = 0.9 * (0.7 + 0.3 / AVERAGE * facts[:, 2])
    if windows:
        _lexical([_reading(asked, windows) for asked in readings], table, _matches(windows, found), found, middle)
    _longer_words(readings, table, passages, middle)
    score = table[:, :, _AT["soft"]] + table[:, :, _AT["words"]]
    table[:, :, _AT["best"]] = found.greatest(score) / 2.0
    table[:, :, _AT["siblings"]] = (np.log(np.bincount(found.number)) / 3.0)[found.number, None]
    place = found.number * _FAR + facts[:, 3]
    here, before = (place[:, None] - 1.0 == place).nonzero()
    if len(here):
        np.maximum.at(table[:, :, _AT["before"]], here, score[before])
    table[:, :, _AT["length"]] = np.log(np.maximum(facts[:, 2] - facts[:, 1], 8.0) / AVERAGE)[:, None]
    for reading, asked in enumerate(readings):
        if asked.figure:
            table[:, reading, _AT["amount"]] = (facts[:, 4].astype(np.int64) & asked.figure) != 0
        if asked.places:
            _located(asked, table[:, reading], found)
    table[:, :, _AT["lapsed"]] = facts[:, 5:6]
    if extras.today is not None:
        age = (extras.today.toordinal() - facts[:, 6:7]) / 3652.0  # a document without a date counts as old
        table[:, :, _AT["recent"]] = np.minimum(np.maximum(1.0 - age, 0.0), 1.0)
    table[:, :, _AT["source"]] = facts[:, 7:8]
    for name, values in (("semantic", extras.semantic), ("expanded", extras.expanded), ("named", extras.named)):
        if values is not None:
            table[:, :, _AT[name]] = values[:, None]
    if extras.semantic is not None:
        # How far meaning is to be trusted differs from question to question: where the words are found anyway it
        # counts less, where some passage is very near it counts more.
        meaning = extras.semantic[:, None]
        table[:, :, _AT["semantic_worded"]] = meaning * table[:, :, _AT["cover_bigrams"]].max(0)
        table[:, :, _AT["semantic_sure"]] = meaning * meaning.max()
        table[:, :, _AT["both"]] = meaning * table[:, :, _AT["soft"]]
    for name in _LEADERS:
        values = table[:, :, _AT[name]]
        behind = values - values.max(0)
        table[:, :, _AT[f"{name}_place"]] = 1.0 / (_HEAD + _places(values))
        table[:, :, _AT[f"{name}_tops"]] = np.exp(_STEEP * behind)
        table[:, :, _AT[f"{name}_gap"]] = behind * behind
    return table


_LEADERS = ("semantic", "soft")
"""Features of which it matters how a candidate stands beside the best of the list."""
_HEAD = 5.0  # places at the head that hardly differ
_STEEP = 8.0


def _places(values: Floats) -> Places:
    """Rank of each row within its column, from 0; equal values keep their order."""
    found: Places = (-values).argsort(axis=0, kind="stable").argsort(axis=0, kind="stable")
    return found


_FAR = 1e9
"""More than any passage's ordinal."""


def _candidates(passages: Sequence[Prepared]) -> _Candidates:
    facts = np.concatenate([p.facts for p in passages]).reshape(len(passages), -1)
    numbers: dict[str, int] = {}
    number = np.array([numbers.setdefault(p.source.document, len(numbers)) for p in passages])
    order = number.argsort(kind="stable")
    starts = number[order].searchsorted(np.arange(len(numbers)))
    return _Candidates(passages, facts, facts[:, 2].cumsum().astype(np.int64), number, order, starts)


def _reading(asked: Asked, windows: dict[tuple[int, int], int]) -> _Reading:
    u = len(windows)
    columns = [windows[window] for window in asked.windows]
    grams = np.zeros((u, 6))
    grams[columns] = asked.grams
    links = np.full(u * u, -1, dtype=np.int64)
    links[[columns[a] * u + columns[b] for a, b in asked.follows]] = np.arange(len(asked.follows))
    return _Reading(asked, grams, links, np.array(list(asked.follows.values())))


def _matches(windows: dict[tuple[int, int], int], found: _Candidates) -> _Matches:
    keys = np.array([first << 16 | second for first, second in windows], dtype=np.uint32)
    column = keys.argsort()
    keys = keys[column]
    wanted = np.zeros(_SLOTS, dtype=np.bool_)
    wanted[_slots(keys)] = True
    units = np.concatenate([p.units for p in found.passages])
    # Nearly all places are ruled out by their slot; the others are compared.
    here = wanted[np.concatenate([p.slots for p in found.passages])].nonzero()[0]
    pairs = units[here].astype(np.uint32) << np.uint32(16) | units.take(here + 1, mode="clip")
    near = keys.searchsorted(pairs)
    kept = keys.take(near, mode="clip") == pairs
    places, columns = here[kept], column[near[kept]]
    # Each passage has three zones, which end one after the other.
    zone_ends = found.facts[:, :3] + ((0.0, 1.0, 0.0),)
    zone_ends += (found.ends - found.facts[:, 2])[:, None]
    rows, zones = np.divmod(zone_ends.ravel().searchsorted(places, side="right"), 3)
    sentences = np.concatenate([p.sentences for p in found.passages])[places]
    return _Matches(rows, columns, places, zones, sentences)


def _lexical(
    readings: Sequence[_Reading], table: Floats, found: _Matches, candidates: _Candidates, middle: Floats
) -> None:
    n, r, _ = table.shape
    grams = np.concatenate([reading.grams for reading in readings], axis=1)  # (u, 6 r)
    gram = np.ascontiguousarray(grams[:, ::6])  # (u, r)
    u = len(gram)
    total = np.array([reading.asked.gram_total for reading in readings])
    words = np.array([reading.asked.word_total for reading in readings])
    rows, columns, places = found.rows, found.columns, found.places
    counts = np.bincount((rows * 3 + found.zones) * u + columns, minlength=3 * n * u).reshape(n, 3, u)
    everywhere = counts.sum(1).astype(np.float64)
    present = np.minimum(everywhere, 1.0)
    share = candidates.facts[:, 2:3] / AVERAGE
    saturated = (everywhere * 1.9 / (everywhere + middle[:, None])) @ grams
    covered = present @ grams
    table[:, :, _AT["words"]] = saturated[:, 5::6] / words
    table[:, :, _AT["cover_words"]] = covered[:, 5::6] / words
    table[:, :, _AT["cover_bigrams"]] = covered[:, ::6] / total
    table[:, :, _AT["nouns"]] = saturated[:, 1::6] / total
    table[:, :, _AT["verbs"]] = saturated[:, 2::6] / total
    table[:, :, _AT["others"]] = saturated[:, 3::6] / total
    table[:, :, _AT["cover_nouns"]] = covered[:, 1::6] / total
    table[:, :, _AT["cover_joints"]] = covered[:, 4::6] / total
    table[:, :, _AT["soft"]] = (everywhere * 1.5 / (everywhere + 0.5 * (0.8 + 0.2 * share))) @ gram / total
    table[:, :, _AT["sharp"]] = (everywhere * 2.2 / (everywhere + 1.2 * (0.25 + 0.75 * share))) @ gram / total
    titled = counts[:, 0] > 0
    table[:, :, _AT["title"]] = titled @ gram / total
    table[:, :, _AT["heading"]] = (counts[:, 1] > 0) @ gram / total
    table[:, :, _AT["document"]] = candidates.greatest(present) @ gram / total
    if len(places) == 0:
        return
    _runs(readings, table, found)
    sums = np.zeros((len(places) + 1, r))
    gram[columns].cumsum(0, out=sums[1:])
    reach = places.searchsorted(np.minimum(places + WINDOW, candidates.ends[rows] - 1), side="right")
    which, values = found.greatest(sums[reach] - sums[:-1])
    table[which, :, _AT["dense"]] = values / total
    new = ((found.zones == 2) & ~titled[rows, columns]).nonzero()[0]
    if len(new):
        # A window counts once in a sentence.
        sentences, of = found.sentences[new], rows[new]
        starts = _starts((sentences[1:] != sentences[:-1]) | (of[1:] != of[:-1]))
        first = np.zeros(len(new), dtype=np.int64)
        first[starts[1:]] = 1
        held = np.zeros((len(starts), u))
        held[first.cumsum(), columns[new]] = 1.0
        which, values = found.greatest(held @ gram, new[starts])
        table[which, :, _AT["fresh"]] = values / total


def _runs(readings: Sequence[_Reading], table: Floats, found: _Matches) -> None:
    """Trigrams of the question that stand in the text, and the longest piece they share word for word."""
    n, u = len(table), len(readings[0].grams)
    beside = (found.places[1:] == found.places[:-1] + 1).nonzero()[0]
    joined = found.columns[beside] * u + found.columns[beside + 1]
    for place, reading in enumerate(readings):
        number = reading.links[joined]
        linked = (number >= 0).nonzero()[0]
        if len(linked) == 0:
            continue
        here, number = beside[linked], number[linked]
        held = np.zeros((n, len(reading.weights)))
        held[found.rows[here], number] = 1.0
        table[:, place, _AT["trigrams"]] = held @ reading.weights / (reading.weights.sum() or 1.0)
        # A run of k links is k + 1 windows.
        starts = _starts(here[1:] != here[:-1] + 1)
        length = np.diff(starts, append=len(here))
        which, values = found.greatest(length, here[starts])
        table[which, place, _AT["run"]] = np.minimum((values + 1) / reading.asked.length, 1.0)


def _longer_words(readings: Sequence[Asked], table: Floats, passages: Sequence[Prepared], middle: Floats) -> None:
    """Words of more or fewer characters than a window has, added to the features of words."""
    texts = [p.text for p in passages]
    counted: dict[str, Floats] = {}
    for place, asked in enumerate(readings):
        for word, idf in asked.longer:
            hits = counted.get(word)
            if hits is None:
                hits = counted[word] = np.array([text.count(word) for text in texts], dtype=np.float64)
            share = idf / asked.word_total
            table[:, place, _AT["words"]] += share * 1.9 * hits / (hits + (middle if len(word) > 1 else 0.9))
            table[:, place, _AT["cover_words"]] += share * (hits > 0.0)


def _located(asked: Asked, table: Floats, found: _Candidates) -> None:
    """Whether the passage's document speaks of the place that was asked for, or its title of another one."""
    named = np.array([[place in p.text for place in asked.places] for p in found.passages], dtype=np.float64)
    table[:, _AT["place"]] = found.greatest(named).mean(1)
    table[:, _AT["elsewhere"]] = [float(bool(p.places) and not p.places & asked.places) for p in found.passages]


def refine(asked: Asked, passages: Sequence[Prepared], table: Floats, rows: Sequence[int]) -> None:
    """Fill the costly features of these rows of ``table``."""
    texts = [passages[row].text for row in rows]
    if texts:
        table[np.array(rows)[:, None], _COSTLY] = _costly((asked,), texts)[0]


_COSTLY = [_AT[name] for name in COSTLY]


def _costly(readings: Sequence[Asked], texts: Sequence[str]) -> Floats:
    """Shape ``(len(readings), len(texts), 2)``."""
    asked = [reading.text[:MOST_COMPARED] for reading in readings]
    partial = process.cdist(asked, texts, scorer=fuzz.partial_ratio, dtype=np.float64) / 100.0
    words = dict.fromkeys(word for reading in readings for word in reading.terms.words)
    held = {word: np.array([word in text for text in texts]) for word in words}  # most words stand in both readings
    share = np.zeros_like(partial)
    for place, reading in enumerate(readings):
        for word in reading.terms.words:
            share[place] += held[word] * len(word)
        share[place] /= sum(map(len, reading.terms.words)) or 1
    return np.stack((partial, share), axis=2)


# --- weights -----------------------------------------------------------------------------------------------------------


NATURE = (
    "bias",
    "nearest",
    "ahead",
    "covered",
    "covered_five",
    "document",
    "trigrams",
    "title",
    "heading",
    "siblings",
    "length",
    "run",
    "agree",
)
"""What a question is like, seen from its candidates: on which the weights may depend."""
_GREATEST = {
    "nearest": "semantic", "covered": "cover_bigrams", "document": "document", "trigrams": "trigrams", "title": "title",
    "heading": "heading", "run": "run",
}  # fmt: skip


def nature(table: Floats) -> Floats:
    """The nature of a question, shape ``(len(NATURE),)``, from the features of its candidates; zeroes without any."""
    found = dict.fromkeys(NATURE, 0.0)
    if len(table) == 0:
        return np.zeros(len(NATURE))
    found["bias"] = 1.0
    greatest = table.max(0)
    for name, feature in _GREATEST.items():
        found[name] = float(greatest[_AT[feature]])
    near, covered = table[:, _AT["semantic"]], table[:, _AT["cover_bigrams"]]
    found["ahead"] = found["nearest"] - _top(near, 20)
    found["covered_five"] = _top(covered, 5)
    found["siblings"] = _top(table[:, _AT["siblings"]], 10)
    found["length"] = float(table[:, _AT["length"]].mean())
    spread = float(near.std() * covered.std())
    if spread > 0.0:
        found["agree"] = float(((near - near.mean()) * (covered - covered.mean())).mean()) / spread
    return np.array([found[name] for name in NATURE])


def _top(values: Floats, count: int) -> float:
    """Mean of the greatest."""
    return float(np.sort(values)[-count:].mean())


@dataclass(frozen=True, slots=True)
class Scale:
    """尺度: one weight a feature, and what is added to it for questions of some nature.

    Laymen's legal questions want meaning, questions about a policy want its words; a question's nature (:func:`nature`)
    tells how much of each of ``k`` additions it gets: the logistic of ``gates @ nature``. For one question the score
    stays a weighted sum, which can be explained.
    """

    base: Floats  # (f,)
    gates: Floats  # (k, len(NATURE))
    added: Floats  # (k, f)

    def of(self, nature: Floats) -> Floats:
        """The weights for a question, shape ``(f,)``."""
        if len(self.gates) == 0:
            return self.base
        share = 1.0 / (1.0 + np.exp(-np.clip(self.gates @ nature, -30.0, 30.0)))
        return np.asarray(self.base + share @ self.added, dtype=np.float64)


def level(base: Floats) -> Scale:
    """The same weights for every question."""
    return Scale(base, np.zeros((0, len(NATURE))), np.zeros((0, len(FEATURES))))


@dataclass(frozen=True, slots=True)
class Weights:
    """排序权重: ``first`` chooses whom the costly features are measured for, ``full`` knows these too.

    ``merit`` is the same for every question, so that the scores of two questions can be compared: by it the confidence
    judges, and it knows what a passage says, not what its document is.
    """

    first: Scale
    full: Scale
    merit: Floats  # (f,)


@dataclass(frozen=True, slots=True)
class RankerModel:
    """排序模型: weights with and without the semantic stage."""

    plain: Weights
    semantic: Weights


def vector(named: dict[str, float]) -> Floats:
    """Weights by name → shape ``(f,)``; a name that is no feature is an error."""
    unknown = set(named) - set(FEATURES)
    if unknown:
        raise ValueError(f"weights for unknown features: {', '.join(sorted(unknown))}")
    return np.array([named.get(name, 0.0) for name in FEATURES])


@lru_cache(maxsize=1)
def shipped_ranker() -> RankerModel:
    """The weights that ship (``weights/ranker.json``)."""
    data = json.loads(resources.files("knowledge").joinpath("weights/ranker.json").read_text("utf-8"))
    plain, semantic = (
        Weights(
            first=_scale(data[kind]["first"], data["ruled"]),
            full=_scale(data[kind]["full"], data["ruled"]),
            merit=vector(data[kind]["merit"]),
        )
        for kind in ("plain", "semantic")
    )
    return RankerModel(plain, semantic)


def _scale(told: dict[str, Any], ruled: dict[str, float]) -> Scale:
    """A scale as ``ranker.json`` holds it: ``base``, and ``leanings`` with a gate and what it adds."""
    leanings = told["leanings"]
    return Scale(
        base=vector(told["base"] | ruled),
        gates=np.array([[one["gate"].get(sign, 0.0) for sign in NATURE] for one in leanings]).reshape(-1, len(NATURE)),
        added=np.array([vector(one["added"]) for one in leanings]).reshape(-1, len(FEATURES)),
    )


@dataclass(frozen=True, slots=True)
class Ranked:
    """Candidates in the order of their score, with the features behind it."""

    order: Places  # (n,) rows of ``table``, best first
    scores: Floats  # (n,) by row
    merit: Floats  # (n,) by row, comparable between questions; of the first ``full`` rows of ``order`` only
    table: Floats  # (n, f)
    full: int  # how many of the first have the costly features
    weights: Floats  # (f,) of this question


def rank(
    asked: Asked, passages: Sequence[Prepared], extras: Extras, model: RankerModel, widened: Asked | None = None
) -> Ranked:
    """Order the candidates. Ties keep the order in which they came.

    ``widened`` is the question with the words that understanding adds: every feature is the mean of both readings, so
    that an added word counts half. Without it nothing differs.
    """
    weight = model.plain if extras.semantic is None else model.semantic
    readings = (asked,) if widened is None else (asked, widened)
    table = _measure(readings, passages, extras).sum(1) / len(readings)
    kind = nature(table)
    first, full = table @ weight.first.of(kind), weight.full.of(kind)
    order = np.argsort(-first, kind="stable")
    head = order[:FULL]
    texts = [passages[row].text for row in head.tolist()]
    if texts:
        table[head[:, None], _COSTLY] = _costly(readings, texts).sum(0) / len(readings)
    scores = first.copy()
    scores[head] = table[head] @ full
    head = head[np.argsort(-scores[head], kind="stable")]
    if len(order) > FULL:
        # The rest keeps its order below the head: both scales must not be compared.
        tail = order[FULL:]
        scores[tail] = scores[head[-1]] - 1e-6 + first[tail] - first[tail[0]]
    merit = table @ weight.merit
    return Ranked(np.concatenate((head, order[FULL:])), scores, merit, table, len(head), full)


# --- confidence --------------------------------------------------------------------------------------------------------

SIGNS = (
    "bias",
    "cover_words",
    "tokens",
    "trigrams",
    "siblings",
    "best",
    "semantic",
    "semantic_worded",
    "score",
    "lead",
    "cover_mean",
    "document_mean",
    "cover_most",
    "document_most",
    "trigrams_most",
    "trigrams_root",
    "cover_trigrams",
    "weight_held",
    "share_held",
    "rarest_held",
    "rarest_missed",
)
"""What speaks for the first hit: never an engine's score, and word weights from the background alone, so that the same
question means the same in a library of five plans and in one of 200,000 passages."""
_TOP_SIGNS = ("cover_words", "tokens", "trigrams", "siblings", "best", "semantic", "semantic_worded")


@dataclass(frozen=True, slots=True)
class Surety:
    """把握: two chances whose product is taken, that the library speaks of this at all and that the first hit answers.

    ``slope`` and ``shift`` turn the logit of the product into a calibrated one.
    """

    answer: Floats  # (len(SIGNS),)
    topic: Floats  # (len(SIGNS),)
    slope: float
    shift: float


@dataclass(frozen=True, slots=True)
class ConfidenceModel:
    """把握模型: with and without the semantic stage."""

    plain: Surety
    semantic: Surety


@lru_cache(maxsize=1)
def shipped_confidence() -> ConfidenceModel:
    """The model that ships (``weights/confidence.json``)."""
    data = json.loads(resources.files("knowledge").joinpath("weights/confidence.json").read_text("utf-8"))
    plain, semantic = (
        Surety(
            answer=np.array([part["answer"].get(sign, 0.0) for sign in SIGNS]),
            topic=np.array([part["topic"].get(sign, 0.0) for sign in SIGNS]),
            slope=part["slope"],
            shift=part["shift"],
        )
        for part in (data["plain"], data["semantic"])
    )
    return ConfidenceModel(plain, semantic)


def signs(asked: Asked, passages: Sequence[Prepared], ranked: Ranked) -> Floats:
    """The signs of a ranked list, shape ``(len(SIGNS),)``; zeroes without candidates."""
    found = dict.fromkeys(SIGNS, 0.0)
    table, order = ranked.table, ranked.order
    if len(order) == 0:
        return np.zeros(len(SIGNS))
    top, text = table[order[0]], passages[order[0]].text
    found["bias"] = 1.0
    for name in _TOP_SIGNS:
        found[name] = float(top[_AT[name]])
    merit = ranked.merit[order[:5]]
    found["score"] = float(merit[0])
    found["lead"] = float(np.clip(merit[0] - merit[-1], -2.0, 6.0))
    cover, document, trigrams = (table[:, _AT[name]] for name in ("cover_bigrams", "document", "trigrams"))
    found["cover_mean"] = float(cover[order[:3]].mean())
    found["document_mean"] = float(document[order[:3]].mean())
    found["cover_most"], found["document_most"] = float(cover.max()), float(document.max())
    found["trigrams_most"] = float(trigrams.max())
    found["trigrams_root"] = math.sqrt(found["trigrams"])
    found["cover_trigrams"] = float(top[_AT["cover_bigrams"]]) * found["trigrams"]
    known = background()
    words = asked.terms.words
    weighed = weights(words, [0] * len(words), 0, known.words, known.passages)
    held = [weight for word, weight in zip(words, weighed, strict=True) if word in text]
    missed = [weight for word, weight in zip(words, weighed, strict=True) if word not in text]
    found["weight_held"] = math.log1p(sum(held))
    found["share_held"] = sum(held) / (sum(weighed) or 1.0)
    found["rarest_held"], found["rarest_missed"] = max(held, default=0.0), max(missed, default=0.0)
    return np.array([found[name] for name in SIGNS])


def confidence(seen: Floats, model: Surety) -> float:
    """Probability (0..1) that the first hit answers the question, from its :func:`signs`; 0 without candidates."""
    if not seen[0]:
        return 0.0
    chance = _logistic(float(seen @ model.answer)) * _logistic(float(seen @ model.topic))
    return _logistic(model.slope * math.log(chance / (1.0 - chance)) + model.shift)


def _logistic(z: float) -> float:
    return 1.0 / (1.0 + math.exp(-min(max(z, -30.0), 30.0)))
