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
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import fuzz

from knowledge import analysis
from knowledge.background import background, weights
from knowledge.index import Frequencies
from knowledge.model import Passage, PolicyDocument, SourceRank, Validity

Floats = NDArray[np.float64]

K1 = 0.9
B = 0.3
AVERAGE = 200.0  # characters of a passage of ordinary length
WINDOW = 48  # characters of about one sentence
FULL = 30  # candidates that are given the costly features

LABELS = {
    "bigrams": "字词匹配",
    "words": "词语匹配",
    "cover_bigrams": "字词覆盖",
    "cover_words": "词语覆盖",
    "body": "正文覆盖",
    "title": "标题命中",
    "title_share": "标题吻合度",
    "heading": "小标题命中",
    "trigrams": "连续三字",
    "run": "最长连续相同",
    "dense": "同句集中",
    "best": "本文件最佳条目",
    "siblings": "同文件命中数",
    "length": "篇幅",
    "amount": "问数额且有数字",
    "intent": "问法对应",
    "partial": "整句相似",
    "tokens": "词集相似",
    "semantic": "语义相近",
    "expanded": "近义词匹配",
    "named": "点名文件",
    "lapsed": "效力",
    "recent": "成文日期",
    "source": "来源等级",
}
CHEAP = (
    "bigrams",
    "words",
    "cover_bigrams",
    "cover_words",
    "body",
    "title",
    "title_share",
    "heading",
    "trigrams",
    "run",
    "dense",
    "best",
    "siblings",
    "length",
    "amount",
    "intent",
    "semantic",
)
COSTLY = ("partial", "tokens")
RULED = ("expanded", "named", "lapsed", "recent", "source")
"""Features whose weights are laid down, not learned: the judged sets know nothing of them."""
FEATURES = CHEAP + COSTLY + RULED
_AT = {name: place for place, name in enumerate(FEATURES)}


# --- what a passage is to the second stage -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Prepared:
    """A passage in normal form, ready to be compared."""

    source: Passage
    version: int
    text: str  # title, headings and text, one line each
    units: NDArray[np.uint16]
    facts: tuple[float, ...]  # title end, heading end, length, has digits, lapsed, recency, source rank
    signals: int  # bits of _SIGNALS


class Preparer:
    """Prepared passages, the most recently used ``capacity`` of them (about 1 KB each)."""

    def __init__(self, capacity: int = 60_000) -> None:
        self._capacity = capacity
        self._kept: OrderedDict[str, Prepared] = OrderedDict()

    def __call__(self, passage: Passage, document: PolicyDocument) -> Prepared:
        kept = self._kept.get(passage.id)
        if kept is not None and (kept.source is passage or kept.source == passage) and kept.version == document.version:
            return kept
        fresh = prepare(passage, document)
        self._kept[passage.id] = fresh
        if len(self._kept) > self._capacity:
            self._kept.popitem(last=False)
        return fresh


def prepare(passage: Passage, document: PolicyDocument) -> Prepared:
    """Normal form and query-independent facts of one passage."""
    title = analysis.normalise(document.title)
    heading = analysis.normalise("\n".join(passage.path))
    body = analysis.normalise(passage.text)
    text = f"{title}\n{heading}\n{body}\n"
    units = np.frombuffer(text.encode("utf-16-le", "surrogatepass"), dtype=np.uint16)
    digits = _DIGIT.search(body) is not None
    lapsed = {Validity.REPEALED: 1.0, Validity.EXPIRED: 1.0, Validity.NOT_YET: 0.6, Validity.AMENDED: 0.2}
    signals = 0
    for bit, (_, sign, scope) in enumerate(_INTENTS.values()):
        if sign.search(heading + "\n" + body[:24] if scope == "heading" else text):
            signals |= 1 << bit
    facts = (
        float(len(title)),
        float(len(title) + 1 + len(heading)),
        float(len(units)),
        float(digits),
        lapsed.get(document.validity, 0.0),
        _recency(document),
        {SourceRank.GAZETTE: 1.0, SourceRank.ORIGINAL: 0.5}.get(document.source_rank, 0.0),
    )
    return Prepared(passage, document.version, text, units, facts, signals)


def _recency(document: PolicyDocument) -> float:
    day = document.written_on or document.published_on
    return min(max((day - date(2000, 1, 1)).days / 10_000.0, 0.0), 1.0) if day else 0.3


# --- what a question is to the second stage ----------------------------------------------------------------------------

_DIGIT = re.compile(r"\d")
_INTENTS: dict[str, tuple[re.Pattern[str], re.Pattern[str], str]] = {
    # question → sign in the passage, and where the sign has to stand
    "amount": (
        re.compile(r"多少|几[个天年元万岁名次倍]|多大|多久|多长|比例|标准|额度|金额|上限|期限|费用|几成"),
        re.compile(r"\d[^\n]{0,4}(?:元|%|天|日|月|年|岁|倍|人|个|万|亿|小时|公里|平方)"),
        "text",
    ),
    "where": (re.compile(r"哪里|哪儿|在哪|何处|地址|地点|窗口"), re.compile(r"地址|地点|窗口|大厅|中心|电话"), "text"),
    "who": (
        re.compile(r"哪个(?:部门|单位)|哪些(?:部门|单位)|什么(?:部门|单位)|谁|由哪|归哪"),
        re.compile(r"负责|牵头|主管|职责|责任单位|局|委员会"),
        "text",
    ),
    "materials": (
        re.compile(r"材料|证件|手续|带什么|带哪些|资料"),
        re.compile(r"材料|证件|资料|身份证|申请表"),
        "text",
    ),
    "how": (re.compile(r"怎么|如何|怎样|流程|程序|步骤"), re.compile(r"流程|程序|步骤|办理|方式|申请"), "heading"),
    "when": (
        re.compile(r"什么时候|何时|时间|几点|截止|几号"),
        re.compile(r"\d{1,4}[年月日:]|时间|期间|工作日"),
        "text",
    ),
    "condition": (
        re.compile(r"条件|资格|符合|哪些人|什么人"),
        re.compile(r"条件|资格|对象|符合|具有|应当具备"),
        "text",
    ),
    "meaning": (
        re.compile(r"什么是|是什么|指什么|什么意思|定义|含义"),
        re.compile(r"是指|本.{0,6}所称|指的是"),
        "text",
    ),
}


@dataclass(slots=True)
class Asked:
    """A question, prepared once: its windows with weights, its words and its intents."""

    text: str  # normal form without question words
    terms: analysis.Terms
    windows: list[tuple[int, int]]  # UTF-16 units of each column
    gram_weights: Floats  # (c,) bigram idf
    word_weights: Floats  # (c,) idf of two-character words, else 0
    chains: list[tuple[tuple[int, ...], float]]  # columns of each longer word, and its idf
    singles: list[tuple[int, float]]  # one-character words, and their idf
    follows: set[tuple[int, int]]  # columns that stand side by side in the question
    follow_weights: dict[tuple[int, int], float]
    length: int  # windows in reading order, with repetitions
    wanted: int  # bits of the intents
    word_idf: dict[str, float] = field(default_factory=dict)

    @property
    def gram_total(self) -> float:
        """Sum of the bigram weights, never 0."""
        return float(self.gram_weights.sum()) or 1.0

    @property
    def word_total(self) -> float:
        """Sum of the word weights, never 0."""
        return float(self.word_weights.sum()) + sum(w for _, w in self.chains) + sum(w for _, w in self.singles) or 1.0


def ask(question: str, terms: analysis.Terms, frequencies: Frequencies) -> Asked:
    """Prepare a question. ``terms`` and ``frequencies`` belong together."""
    full = analysis.normalise(question)
    text = analysis.bare_question(full)
    known = background()
    word_idf = dict(
        zip(
            terms.words,
            weights(terms.words, frequencies.words, frequencies.passages, known.words, known.passages),
            strict=True,
        )
    )
    gram_idf = dict(
        zip(
            terms.bigrams,
            weights(terms.bigrams, frequencies.bigrams, frequencies.passages, known.bigrams, known.passages),
            strict=True,
        )
    )
    columns: dict[str, int] = {}
    column_weights: list[float] = []
    order: list[int] = []
    follow: set[tuple[int, int]] = set()
    for run in _spelled(text):
        last = -1
        for window, owner, share in run:
            place = columns.get(window, -1)
            if place < 0:
                if owner not in gram_idf:
                    last = -1
                    continue  # beyond the cut of a very long question
                place = columns[window] = len(columns)
                column_weights.append(gram_idf[owner] * share)
            order.append(place)
            if last >= 0:
                follow.add((last, place))
            last = place
    gram_weights = np.array(column_weights, dtype=np.float64)
    word_weights = np.zeros(len(columns))
    chains: list[tuple[tuple[int, ...], float]] = []
    singles: list[tuple[int, float]] = []
    for word, idf in word_idf.items():
        if len(word) == 1:
            if len(singles) < 8:
                singles.append((ord(word), idf))
            continue
        parts = [columns.get(word[i : i + 2], -1) for i in range(len(word) - 1)]
        if min(parts) < 0:
            continue
        if len(parts) == 1:
            word_weights[parts[0]] = idf
        else:
            chains.append((tuple(parts), idf))
    wanted = sum(1 << bit for bit, (asks, _, _) in enumerate(_INTENTS.values()) if asks.search(full))
    return Asked(
        text=text,
        terms=terms,
        windows=[(_unit(w[0]), _unit(w[1])) for w in columns],
        gram_weights=gram_weights,
        word_weights=word_weights,
        chains=chains,
        singles=[s for s in singles if s[0] < 0x10000],
        follows=follow,
        follow_weights={pair: float(gram_weights[pair[0]] + gram_weights[pair[1]]) / 2 for pair in follow},
        length=max(len(order), 1),
        wanted=wanted,
        word_idf=word_idf,
    )


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
    expanded: Floats | None = None  # share of the added words that the passage holds, 0..1
    named: Floats | None = None  # 1 where the question names the document


def measure(asked: Asked, passages: Sequence[Prepared], extras: Extras) -> Floats:
    """Cheap features of every candidate: shape ``(n, f)``, the costly columns are 0."""
    n, c = len(passages), len(asked.windows)
    table = np.zeros((n, len(FEATURES)))
    if n == 0:
        return table
    facts = np.array([p.facts for p in passages])
    title_end, heading_end, lengths = facts[:, 0], facts[:, 1], facts[:, 2]
    ends = np.cumsum(lengths).astype(np.int64)
    starts = ends - lengths.astype(np.int64)
    units = np.concatenate([p.units for p in passages])
    if c:
        rows, columns, places = _matches(asked, units, ends)
        _lexical(asked, table, rows, columns, places, starts, title_end, heading_end, lengths)
    if asked.singles:
        _single_words(asked, table, units, ends, n)
    _context(table, passages)
    table[:, _AT["length"]] = np.log(np.maximum(lengths - heading_end, 8.0) / AVERAGE)
    if asked.wanted:
        signals = np.array([p.signals for p in passages])
        amount = asked.wanted & 1
        table[:, _AT["amount"]] = signals & amount
        others = asked.wanted & ~1
        if others:
            table[:, _AT["intent"]] = (signals & others) != 0
    table[:, _AT["lapsed"]] = facts[:, 4]
    table[:, _AT["recent"]] = facts[:, 5]
    table[:, _AT["source"]] = facts[:, 6]
    for name, values in (("semantic", extras.semantic), ("expanded", extras.expanded), ("named", extras.named)):
        if values is not None:
            table[:, _AT[name]] = values
    return table


def _matches(asked: Asked, units: NDArray[np.uint16], ends: NDArray[np.int64]) -> tuple[Any, Any, Any]:
    """Row, column and place of every window of the question in the joined text, in reading order."""
    characters: dict[int, int] = {}
    for first, second in asked.windows:
        characters.setdefault(first, len(characters) + 1)
        characters.setdefault(second, len(characters) + 1)
    size = len(characters) + 1
    code = np.zeros(65536, dtype=np.int16)
    code[list(characters)] = list(characters.values())
    pairs = np.full(size * size, -1, dtype=np.int32)
    for place, (first, second) in enumerate(asked.windows):
        pairs[characters[first] * size + characters[second]] = place
    coded = code[units]
    places = np.flatnonzero(coded[:-1])
    columns = pairs[coded[places].astype(np.int32) * size + coded[places + 1]]
    kept = columns >= 0
    places, columns = places[kept], columns[kept]
    return np.searchsorted(ends, places, side="right"), columns, places


def _lexical(
    asked: Asked,
    table: Floats,
    rows: Any,
    columns: Any,
    places: Any,
    starts: Any,
    title_end: Floats,
    heading_end: Floats,
    lengths: Floats,
) -> None:
    n, c = len(table), len(asked.windows)
    gram, gram_total = asked.gram_weights, asked.gram_total
    inside = places - starts[rows]
    zone = (inside >= title_end[rows]).astype(np.int64) + (inside > heading_end[rows])
    counts = np.bincount((zone * n + rows) * c + columns, minlength=3 * n * c).reshape(3, n, c)
    everywhere = counts.sum(0)
    norm = (K1 * (1.0 - B + B * lengths / AVERAGE))[:, None]
    saturated = everywhere * (K1 + 1.0) / (everywhere + norm)
    present = everywhere > 0
    table[:, _AT["bigrams"]] = saturated @ gram / gram_total
    table[:, _AT["cover_bigrams"]] = present @ gram / gram_total
    words, covered = saturated @ asked.word_weights, present @ asked.word_weights
    for chain, idf in asked.chains:
        found = columns == chain[0]
        for step, column in enumerate(chain[1:], 1):
            found[-step:] = False
            found[:-step] &= (columns[step:] == column) & (places[step:] == places[:-step] + step)
        hits = np.bincount(rows[found], minlength=n)
        words += idf * hits * (K1 + 1.0) / (hits + norm[:, 0])
        covered += idf * (hits > 0)
    table[:, _AT["words"]] = words / asked.word_total
    table[:, _AT["cover_words"]] = covered / asked.word_total
    zones = counts > 0
    table[:, _AT["title"]] = zones[0] @ gram / gram_total
    table[:, _AT["heading"]] = zones[1] @ gram / gram_total
    table[:, _AT["body"]] = zones[2] @ gram / gram_total
    table[:, _AT["title_share"]] = zones[0].sum(1) / np.maximum(title_end, 6.0)
    if len(places) == 0:
        return
    _runs(asked, table, rows, columns, places)
    total = np.concatenate(([0.0], np.cumsum(gram[columns])))
    reach = np.minimum(
        np.searchsorted(places, places + WINDOW, side="right"), np.searchsorted(rows, rows, side="right")
    )
    np.maximum.at(table[:, _AT["dense"]], rows, (total[reach] - total[:-1]) / gram_total)


def _runs(asked: Asked, table: Floats, rows: Any, columns: Any, places: Any) -> None:
    """Trigrams of the question that stand in the text, and the longest piece they share word for word."""
    n, c = len(table), len(asked.windows)
    if not asked.follows or len(places) < 2:
        return
    weight = np.zeros(c * c)
    pairs = list(asked.follow_weights)
    weight[[a * c + b for a, b in pairs]] = list(asked.follow_weights.values())
    joined = columns[:-1].astype(np.int64) * c + columns[1:]
    linked = (places[1:] == places[:-1] + 1) & (weight[joined] > 0.0)
    here = np.flatnonzero(linked)
    if len(here) == 0:
        return
    distinct = np.unique(rows[here] * (c * c) + joined[here])
    total = sum(asked.follow_weights.values()) or 1.0
    table[:, _AT["trigrams"]] = np.bincount(distinct // (c * c), weight[distinct % (c * c)], n) / total
    # A run of k links is k + 1 windows.
    breaks = np.flatnonzero(np.diff(here) != 1)
    first = np.concatenate(([0], breaks + 1))
    length = np.diff(np.concatenate((first, [len(here)])))
    np.maximum.at(table[:, _AT["run"]], rows[here[first]], np.minimum((length + 1) / asked.length, 1.0))


def _single_words(asked: Asked, table: Floats, units: NDArray[np.uint16], ends: Any, n: int) -> None:
    for unit, idf in asked.singles:
        hits = np.bincount(np.searchsorted(ends, np.flatnonzero(units == unit), side="right"), minlength=n)
        table[:, _AT["words"]] += idf * hits * (K1 + 1.0) / (hits + K1) / asked.word_total
        table[:, _AT["cover_words"]] += idf * (hits > 0) / asked.word_total


def _context(table: Floats, passages: Sequence[Prepared]) -> None:
    """What the other candidates of the same document say for a passage."""
    documents: dict[str, int] = {}
    numbers = np.array([documents.setdefault(p.source.document, len(documents)) for p in passages])
    score = table[:, _AT["bigrams"]] + table[:, _AT["words"]]
    best = np.zeros(len(documents))
    np.maximum.at(best, numbers, score)
    table[:, _AT["best"]] = best[numbers] / 2.0
    table[:, _AT["siblings"]] = np.log(np.bincount(numbers)[numbers]) / 3.0


def refine(asked: Asked, passages: Sequence[Prepared], table: Floats, rows: Sequence[int]) -> None:
    """Fill the costly features of these rows of ``table``."""
    words = " ".join(asked.terms.words)
    for row in rows:
        text = passages[row].text
        table[row, _AT["partial"]] = fuzz.partial_ratio(asked.text, text) / 100.0
        held = " ".join(w for w in asked.terms.words if w in text)
        table[row, _AT["tokens"]] = len(held) / max(len(words), 1)


# --- weights -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Weights:
    """排序权重: one weight a feature; ``first`` chooses whom the costly features are measured for."""

    first: Floats  # (f,)
    full: Floats  # (f,)


@dataclass(frozen=True, slots=True)
class RankerModel:
    """排序模型: weights with and without the semantic stage, and where they come from."""

    plain: Weights
    semantic: Weights


def _vector(named: dict[str, float]) -> Floats:
    return np.array([named.get(name, 0.0) for name in FEATURES])


@lru_cache(maxsize=1)
def shipped_ranker() -> RankerModel:
    """The weights that ship (``weights/ranker.json``)."""
    data = json.loads(resources.files("knowledge").joinpath("weights/ranker.json").read_text("utf-8"))
    ruled = data["ruled"]
    return RankerModel(
        plain=Weights(_vector(data["plain"]["first"] | ruled), _vector(data["plain"]["full"] | ruled)),
        semantic=Weights(_vector(data["semantic"]["first"] | ruled), _vector(data["semantic"]["full"] | ruled)),
    )


@dataclass(frozen=True, slots=True)
class Ranked:
    """Candidates in the order of their score, with the features behind it."""

    order: NDArray[np.int64]  # (n,) rows of ``table``, best first
    scores: Floats  # (n,) by row
    table: Floats  # (n, f)
    full: int  # how many of the first have the costly features


def rank(asked: Asked, passages: Sequence[Prepared], extras: Extras, model: RankerModel) -> Ranked:
    """Order the candidates. Ties keep the order in which they came."""
    weight = model.plain if extras.semantic is None else model.semantic
    table = measure(asked, passages, extras)
    first = table @ weight.first
    order = np.argsort(-first, kind="stable")
    head = order[:FULL]
    refine(asked, passages, table, head.tolist())
    scores = first.copy()
    scores[head] = table[head] @ weight.full
    head = head[np.argsort(-scores[head], kind="stable")]
    if len(order) > FULL:
        # The rest keeps its order below the head: both scales must not be compared.
        tail = order[FULL:]
        scores[tail] = scores[head[-1]] - 1e-6 + first[tail] - first[tail[0]]
    return Ranked(np.concatenate((head, order[FULL:])), scores, table, len(head))


# --- confidence --------------------------------------------------------------------------------------------------------

SIGNS = ("bias", "cover_words", "cover_bigrams", "trigrams", "run", "partial", "tokens", "gap", "mean3", "semantic")


@dataclass(frozen=True, slots=True)
class ConfidenceModel:
    """把握: weights of the signs, with and without the semantic stage."""

    plain: Floats
    semantic: Floats


@lru_cache(maxsize=1)
def shipped_confidence() -> ConfidenceModel:
    """The model that ships (``weights/confidence.json``)."""
    data = json.loads(resources.files("knowledge").joinpath("weights/confidence.json").read_text("utf-8"))
    return ConfidenceModel(*(np.array([data[k].get(s, 0.0) for s in SIGNS]) for k in ("plain", "semantic")))


def signs(ranked: Ranked) -> Floats:
    """What speaks for the first hit, shape ``(len(SIGNS),)``: no absolute score, nothing an engine knows."""
    table, order = ranked.table, ranked.order
    if len(order) == 0:
        return np.zeros(len(SIGNS))
    top = table[order[0]]
    scores = ranked.scores[order[:3]]
    gap = float(scores[0] - scores[1]) if len(scores) > 1 else 1.0
    picked = [top[_AT[name]] for name in ("cover_words", "cover_bigrams", "trigrams", "run", "partial", "tokens")]
    mean3 = float(table[order[:3], _AT["cover_bigrams"]].mean())
    return np.array([1.0, *picked, min(gap, 3.0), mean3, top[_AT["semantic"]]])


def confidence(ranked: Ranked, model: ConfidenceModel, *, semantic: bool) -> float:
    """Probability (0..1) that the first hit answers the question; 0 without hits."""
    if len(ranked.order) == 0:
        return 0.0
    z = float(signs(ranked) @ (model.semantic if semantic else model.plain))
    return 1.0 / (1.0 + math.exp(-z))
