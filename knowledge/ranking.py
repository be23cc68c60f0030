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

import numpy as np
import rjieba
from numpy.typing import NDArray
from rapidfuzz import fuzz

from knowledge import analysis
from knowledge.background import background, weights
from knowledge.index import Frequencies
from knowledge.model import Passage, PolicyDocument, SourceRank, Validity

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

AVERAGE = 200.0  # characters of a passage of ordinary length
WINDOW = 48  # characters of about one sentence
MOST_COMPARED = 120  # characters of a question that are compared letter by letter
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
    facts: tuple[float, ...]  # title end, heading end, length, ordinal, bits of its figures, lapsed, day, source rank
    places: frozenset[str]  # that the title names


class Preparer:
    """Prepared passages, at most ``capacity`` of them (about 1 KB each); the oldest go first."""

    def __init__(self, capacity: int = 60_000) -> None:
        self._capacity = capacity
        self._kept: OrderedDict[str, Prepared] = OrderedDict()

    def __call__(self, passage: Passage, document: PolicyDocument) -> Prepared:
        kept = self._kept.get(passage.id)
        if kept is not None and kept.source is passage and kept.document is document:
            return kept
        if kept is not None and kept.source == passage and kept.document.title == document.title:
            # The shelf was filled anew: the text is the same, but the document may have lapsed meanwhile.
            fresh = replace(kept, source=passage, document=document, facts=kept.facts[:5] + _standing(document))
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
    return Prepared(passage, document, text, units, facts, places)


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
    chains: tuple[tuple[tuple[int, ...], float], ...]  # columns of each longer word, and its idf
    singles: tuple[tuple[int, float], ...]  # one-character words, and their idf
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
        others = sum(idf for _, idf in self.chains) + sum(idf for _, idf in self.singles)
        return float(self.grams[:, 5].sum()) + others or 1.0


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
    chains: list[tuple[tuple[int, ...], float]] = []
    singles: list[tuple[int, float]] = []
    for word, idf in zip(terms.words, word_idf, strict=True):
        parts = tuple(columns.get(word[i : i + 2], -1) for i in range(len(word) - 1))
        if not parts:
            if len(singles) < 8:
                singles.append((_unit(word), idf))
        elif min(parts) >= 0:
            if len(parts) == 1:
                grams[parts[0], 5] = idf
            else:
                chains.append((parts, idf))
    return Asked(
        text=text,
        terms=terms,
        windows=tuple((_unit(w[0]), _unit(w[1])) for w in columns),
        grams=grams,
        chains=tuple(chains),
        singles=tuple(singles),
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

_SENTENCE_ENDS = tuple(ord(c) for c in "。;!?\n")


@dataclass(frozen=True, slots=True)
class Extras:
    """What the searcher knows of the candidates beside their text; every array has shape ``(n,)`` or is None."""

    semantic: Floats | None = None  # cosine similarity to the question
    expanded: Floats | None = None  # how many of the added words the passage holds, h / (h + 1)
    named: Floats | None = None  # 1 where the question names the document
    today: date | None = None


@dataclass(frozen=True, slots=True)
class _Matches:
    """Where the windows of the question stand in the joined text of the candidates, in reading order."""

    rows: Places
    columns: Places
    places: Places
    zones: Places  # 0 title, 1 headings, 2 text
    sentences: Places  # running number of the sentence


def measure(asked: Asked, passages: Sequence[Prepared], extras: Extras) -> Floats:
    """Cheap features of every candidate: shape ``(n, f)``, the costly columns are 0."""
    n = len(passages)
    table = np.zeros((n, len(FEATURES)))
    if n == 0:
        return table
    facts = np.array([p.facts for p in passages])
    ends = np.cumsum(facts[:, 2]).astype(np.int64)
    units = np.concatenate([p.units for p in passages])
    numbers: dict[str, int] = {}
    number = np.array([numbers.setdefault(p.source.document, len(numbers)) for p in passages])
    same = number[:, None] == number[None, :]
    if asked.windows:
        _lexical(asked, table, _matches(asked, units, ends, facts), facts, same)
    if asked.singles:
        _single_words(asked, table, units, ends)
    score = table[:, _AT["soft"]] + table[:, _AT["words"]]
    table[:, _AT["best"]] = (same * score).max(1) / 2.0
    table[:, _AT["siblings"]] = np.log(same.sum(1)) / 3.0
    order = facts[:, 3]
    table[:, _AT["before"]] = ((same & (order[None, :] == order[:, None] - 1.0)) * score).max(1)
    table[:, _AT["length"]] = np.log(np.maximum(facts[:, 2] - facts[:, 1], 8.0) / AVERAGE)
    if asked.figure:
        table[:, _AT["amount"]] = (facts[:, 4].astype(np.int64) & asked.figure) != 0
    if asked.places:
        _located(asked, table, passages, same)
    table[:, _AT["lapsed"]] = facts[:, 5]
    if extras.today is not None:
        age = (extras.today.toordinal() - facts[:, 6]) / 3652.0  # a document without a date counts as old
        table[:, _AT["recent"]] = np.clip(1.0 - age, 0.0, 1.0)
    table[:, _AT["source"]] = facts[:, 7]
    for name, values in (("semantic", extras.semantic), ("expanded", extras.expanded), ("named", extras.named)):
        if values is not None:
            table[:, _AT[name]] = values
    if extras.semantic is not None:
        # How far meaning is to be trusted differs from question to question: where the words are found anyway it
        # counts less, where some passage is very near it counts more.
        meaning = table[:, _AT["semantic"]]
        table[:, _AT["semantic_worded"]] = meaning * table[:, _AT["cover_bigrams"]].max()
        table[:, _AT["semantic_sure"]] = meaning * meaning.max()
    return table


def _matches(asked: Asked, units: NDArray[np.uint16], ends: Places, facts: Floats) -> _Matches:
    characters: dict[int, int] = {}
    for first, second in asked.windows:
        characters.setdefault(first, len(characters) + 2)
        characters.setdefault(second, len(characters) + 2)
    size = len(characters) + 2
    code = np.zeros(65536, dtype=np.int16)
    code[list(characters)] = list(characters.values())
    code[list(_SENTENCE_ENDS)] = 1
    pairs = np.full(size * size, -1, dtype=np.int64)
    for place, (first, second) in enumerate(asked.windows):
        pairs[characters[first] * size + characters[second]] = place
    coded = code[units]
    here = np.flatnonzero(coded)[:-1]  # the last unit is always the end of a line
    first_code = coded[here].astype(np.int64)
    columns = pairs[first_code * size + coded[here + 1]]
    sentences = np.cumsum(first_code == 1)
    kept = columns >= 0
    places, columns, sentences = here[kept], columns[kept], sentences[kept]
    rows = np.searchsorted(ends, places, side="right")
    inside = places - (ends - facts[:, 2].astype(np.int64))[rows]
    zones = (inside >= facts[rows, 0]).astype(np.int64) + (inside > facts[rows, 1])
    return _Matches(rows, columns, places, zones, sentences)


def _lexical(asked: Asked, table: Floats, found: _Matches, facts: Floats, same: NDArray[np.bool_]) -> None:
    n, c = len(table), len(asked.windows)
    grams, total = asked.grams, asked.gram_total
    rows, columns, places = found.rows, found.columns, found.places
    counts = np.bincount((found.zones * n + rows) * c + columns, minlength=3 * n * c).reshape(3, n, c)
    everywhere = counts.sum(0).astype(np.float64)
    present = (everywhere > 0.0).astype(np.float64)
    share = facts[:, 2:3] / AVERAGE
    middle = 0.9 * (0.7 + 0.3 * share)
    saturated = (everywhere * 1.9 / (everywhere + middle)) @ grams
    covered = present @ grams
    table[:, _AT["cover_bigrams"]] = covered[:, 0] / total
    table[:, _AT["nouns"]] = saturated[:, 1] / total
    table[:, _AT["verbs"]] = saturated[:, 2] / total
    table[:, _AT["others"]] = saturated[:, 3] / total
    table[:, _AT["cover_nouns"]] = covered[:, 1] / total
    table[:, _AT["cover_joints"]] = covered[:, 4] / total
    gram = grams[:, 0]
    table[:, _AT["soft"]] = (everywhere * 1.5 / (everywhere + 0.5 * (0.8 + 0.2 * share))) @ gram / total
    table[:, _AT["sharp"]] = (everywhere * 2.2 / (everywhere + 1.2 * (0.25 + 0.75 * share))) @ gram / total
    words, words_covered = saturated[:, 5], covered[:, 5]
    for chain, idf in asked.chains:
        hit = columns == chain[0]
        for step, column in enumerate(chain[1:], 1):
            hit[-step:] = False
            hit[:-step] &= (columns[step:] == column) & (places[step:] == places[:-step] + step)
        hits = np.bincount(rows[hit], minlength=n)
        words = words + idf * hits * 1.9 / (hits + middle[:, 0])
        words_covered = words_covered + idf * (hits > 0)
    table[:, _AT["words"]] = words / asked.word_total
    table[:, _AT["cover_words"]] = words_covered / asked.word_total
    titled = counts[0] > 0
    table[:, _AT["title"]] = titled @ gram / total
    table[:, _AT["heading"]] = (counts[1] > 0) @ gram / total
    table[:, _AT["document"]] = ((same.astype(np.float64) @ present) > 0.0) @ gram / total
    if len(places) == 0:
        return
    _runs(asked, table, rows, columns, places)
    sums = np.concatenate(([0.0], np.cumsum(gram[columns])))
    reach = np.minimum(
        np.searchsorted(places, places + WINDOW, side="right"), np.searchsorted(rows, rows, side="right")
    )
    np.maximum.at(table[:, _AT["dense"]], rows, (sums[reach] - sums[:-1]) / total)
    new = np.flatnonzero((found.zones == 2) & ~titled[rows, columns])
    if len(new):
        # Sentences count upwards, so each belongs to one row; a window counts once in a sentence.
        sentences, where = np.unique(found.sentences[new], return_inverse=True)
        held = np.zeros((len(sentences), c))
        held[where, columns[new]] = 1.0
        row_of = np.zeros(len(sentences), dtype=np.int64)
        row_of[where] = rows[new]
        np.maximum.at(table[:, _AT["fresh"]], row_of, held @ gram / total)


def _runs(asked: Asked, table: Floats, rows: Places, columns: Places, places: Places) -> None:
    """Trigrams of the question that stand in the text, and the longest piece they share word for word."""
    n, c = len(table), len(asked.windows)
    if not asked.follows or len(places) < 2:
        return
    weight = np.zeros(c * c)
    weight[[a * c + b for a, b in asked.follows]] = list(asked.follows.values())
    joined = columns[:-1] * c + columns[1:]
    here = np.flatnonzero((places[1:] == places[:-1] + 1) & (weight[joined] > 0.0))
    if len(here) == 0:
        return
    distinct = np.unique(rows[here] * (c * c) + joined[here])
    total = sum(asked.follows.values()) or 1.0
    table[:, _AT["trigrams"]] = np.bincount(distinct // (c * c), weight[distinct % (c * c)], n) / total
    # A run of k links is k + 1 windows.
    first = np.concatenate(([0], np.flatnonzero(np.diff(here) != 1) + 1))
    length = np.diff(np.concatenate((first, [len(here)])))
    np.maximum.at(table[:, _AT["run"]], rows[here[first]], np.minimum((length + 1) / asked.length, 1.0))


def _single_words(asked: Asked, table: Floats, units: NDArray[np.uint16], ends: Places) -> None:
    for unit, idf in asked.singles:
        rows = np.searchsorted(ends, np.flatnonzero(units == unit), side="right")
        hits = np.bincount(rows, minlength=len(table))
        table[:, _AT["words"]] += idf * hits * 1.9 / (hits + 0.9) / asked.word_total
        table[:, _AT["cover_words"]] += idf * (hits > 0) / asked.word_total


def _located(asked: Asked, table: Floats, passages: Sequence[Prepared], same: NDArray[np.bool_]) -> None:
    """Whether the passage's document speaks of the place that was asked for, or its title of another one."""
    named = np.array([[place in p.text for place in asked.places] for p in passages], dtype=np.float64)
    table[:, _AT["place"]] = ((same.astype(np.float64) @ named) > 0.0).mean(1)
    table[:, _AT["elsewhere"]] = [float(bool(p.places) and not p.places & asked.places) for p in passages]


def refine(asked: Asked, passages: Sequence[Prepared], table: Floats, rows: Sequence[int]) -> None:
    """Fill the costly features of these rows of ``table``."""
    words = asked.terms.words
    total = sum(map(len, words)) or 1
    short = asked.text[:MOST_COMPARED]
    for row in rows:
        text = passages[row].text
        table[row, _AT["partial"]] = fuzz.partial_ratio(short, text) / 100.0
        table[row, _AT["tokens"]] = sum(len(word) for word in words if word in text) / total


# --- weights -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Weights:
    """排序权重: one weight a feature; ``first`` chooses whom the costly features are measured for."""

    first: Floats  # (f,)
    full: Floats  # (f,)


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
        Weights(*(vector(data[kind][stage] | data["ruled"]) for stage in ("first", "full")))
        for kind in ("plain", "semantic")
    )
    return RankerModel(plain, semantic)


@dataclass(frozen=True, slots=True)
class Ranked:
    """Candidates in the order of their score, with the features behind it."""

    order: Places  # (n,) rows of ``table``, best first
    scores: Floats  # (n,) by row
    merit: Floats  # (n,) by row, the learned part of the score: what the passage says, not what its document is
    table: Floats  # (n, f)
    full: int  # how many of the first have the costly features


def rank(
    asked: Asked, passages: Sequence[Prepared], extras: Extras, model: RankerModel, widened: Asked | None = None
) -> Ranked:
    """Order the candidates. Ties keep the order in which they came.

    ``widened`` is the question with the words that understanding adds: every feature is the mean of both readings, so
    that an added word counts half. Without it nothing differs.
    """
    weight = model.plain if extras.semantic is None else model.semantic
    table = measure(asked, passages, extras)
    if widened is not None:
        table = (table + measure(widened, passages, extras)) / 2.0
    first = table @ weight.first
    order = np.argsort(-first, kind="stable")
    head = order[:FULL]
    refine(asked, passages, table, head.tolist())
    if widened is not None:
        other = np.zeros_like(table)
        refine(widened, passages, other, head.tolist())
        costly = [_AT[name] for name in COSTLY]
        table[:, costly] = (table[:, costly] + other[:, costly]) / 2.0
    scores = first.copy()
    scores[head] = table[head] @ weight.full
    head = head[np.argsort(-scores[head], kind="stable")]
    if len(order) > FULL:
        # The rest keeps its order below the head: both scales must not be compared.
        tail = order[FULL:]
        scores[tail] = scores[head[-1]] - 1e-6 + first[tail] - first[tail[0]]
    ruled = [_AT[name] for name in RULED]
    merit = scores - table[:, ruled] @ weight.full[ruled]
    return Ranked(np.concatenate((head, order[FULL:])), scores, merit, table, len(head))


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
