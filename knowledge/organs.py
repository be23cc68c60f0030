"""机构职能匹配: who handles the matter a question is about.

The county's own list of functions decides (权责清单, 机构职能目录): a name or alias in the question says it outright,
the words citizens use and the official functions say it by overlap. What a short, official list leaves out is
supplied by the matters that departments have in every county (:mod:`knowledge.matters`). Words are weighed by the
characters they cover, each counted once; a word inside a longer find is not counted, and what several organs share
says little.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from knowledge import matters as matter_list
from knowledge.analysis import normalise
from knowledge.matters import Matters
from knowledge.model import Organ, OrganMatch, OrganRelation

_PUNCTUATION = dict.fromkeys(map(ord, " \t\r\n\u3000，。；、：（）！？,.;:()!?“”\"'《》"))
_CLEAR = 1.0  # weight of shared bigrams from which a function is named as the reason
_WORD, _HINT = 0.5, 0.15  # weight of a character in a word, and in one that merely points to a class
_PLACE = 1.6  # strength of a township that is named as a place only
_OVERLAP = 0.35  # weight of shared bigrams beside words
_MOST_READ = 400  # characters of a question that are looked at: the matter stands in the first lines


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What counts for an owner once all of ``parts`` are found."""

    owner: int  # organ; beyond the last organ: a class that the directory does not know
    label: str
    weight: float  # a character
    parts: int
    without: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Directory:
    """The organs, turned round for look-ups by what stands in a question."""

    names: tuple[tuple[str, int], ...]  # (name or alias, organ)
    evidence: tuple[_Evidence, ...]
    words: dict[str, tuple[tuple[int, int], ...]]  # word → (evidence, which of its parts)
    lengths: tuple[int, ...]
    duties: tuple[tuple[int, str, float], ...]  # (organ, function, weight of all its bigrams)
    by_gram: dict[str, tuple[float, tuple[int, ...]]]  # bigram → (rarity over the organs, duties)


def _bigrams(text: str) -> set[str]:
    return {text[i : i + 2] for i in range(len(text) - 1)}


def owners(known: Matters, organs: Sequence[Organ]) -> dict[str, tuple[int, ...]]:
    """Class → the organs of the directory that have its work; a class that the directory does not know is empty."""
    return {kind.name: _owners(kind.organs, organs) for kind in known.classes}


def _owners(parts: Iterable[str], organs: Sequence[Organ]) -> tuple[int, ...]:
    """The organs known by the most telling part of a name: its full name before its aliases."""
    for part in parts:
        by_name = tuple(n for n, organ in enumerate(organs) if part in organ.name or part in organ.short_name)
        found = by_name or tuple(n for n, organ in enumerate(organs) if any(part in alias for alias in organ.aliases))
        if found:
            return found
    return ()


@lru_cache(maxsize=4)
def _directory(organs: tuple[Organ, ...], known: Matters) -> _Directory:
    names = tuple(
        (normalise(name), n)
        for n, organ in enumerate(organs)
        for name in (organ.name, organ.short_name, *organ.aliases)
        if len(name) >= 3
    )
    evidence: list[_Evidence] = []
    words: dict[str, list[tuple[int, int]]] = {}

    def add(found: _Evidence, parts: Sequence[Sequence[str]]) -> None:
        for part, alternatives in enumerate(parts):
            for word in alternatives:
                words.setdefault(word, []).append((len(evidence), part))
        evidence.append(found)

    having: dict[str, set[int]] = {}
    for n, organ in enumerate(organs):
        for word in organ.keywords:
            having.setdefault(normalise(word), set()).add(n)
    for word, who in having.items():
        for n in who:
            add(_Evidence(n, word, _WORD / math.sqrt(len(who)), 1), ((word,),))
    duties: list[tuple[int, str]] = [(n, f) for n, organ in enumerate(organs) for f in organ.functions]
    shared: dict[object, set[str]] = {}
    for kind in known.classes:
        for matter in kind.matters:
            for saying in matter.sayings:
                if saying.shared:
                    shared.setdefault(saying.parts, set()).add(kind.name)
    for place, kind in enumerate(known.classes):
        mine = _owners(kind.organs, organs)
        unknown = len(organs) + place
        for n in mine or (unknown,):
            share = 1 / math.sqrt(max(len(mine), 1))
            for matter in kind.matters:
                name = normalise(matter.name)
                add(_Evidence(n, matter.name, _WORD * share, 1), ((name,),))
                for saying in matter.sayings:
                    weight = _WORD * share / math.sqrt(len(shared[saying.parts]) if saying.shared else 1)
                    add(_Evidence(n, matter.name, weight, len(saying.parts), saying.without), saying.parts)
                if len(mine) == 1:
                    duties.append((n, matter.name))
            for hint in kind.hints:
                add(_Evidence(n, "", _HINT * share, 1), ((hint,),))
    seen: dict[str, set[int]] = {}
    holders: dict[str, list[int]] = {}
    grams_of: list[set[str]] = []
    for number, (n, function) in enumerate(duties):
        grams = _bigrams(normalise(function))
        grams_of.append(grams)
        for gram in grams:
            seen.setdefault(gram, set()).add(n)
            holders.setdefault(gram, []).append(number)
    rarity = {gram: math.log(1 + len(organs) / len(who)) for gram, who in seen.items()}
    return _Directory(
        names=names,
        evidence=tuple(evidence),
        words={word: tuple(places) for word, places in words.items()},
        lengths=tuple(sorted({len(word) for word in words})),
        duties=tuple((*duty, sum(rarity[g] for g in grams)) for duty, grams in zip(duties, grams_of, strict=True)),
        by_gram={gram: (rarity[gram], tuple(numbers)) for gram, numbers in holders.items()},
    )


def match(
    question: str, organs: Sequence[Organ], limit: int = 3, known: Matters | None = None
) -> tuple[OrganMatch, ...]:
    """The organs whose functions fit ``question``, best first, with the reason.

    ``score`` lies in 0..1: from about .35 one matter fits clearly, 1.0 means that the organ itself is named. ``known``
    are the matters of departments anywhere; None means the list that ships.
    """
    directory = tuple(organs)
    text = normalise(question[:_MOST_READ]).translate(_PUNCTUATION)
    if not directory or not text:
        return ()
    table = _directory(directory, known if known is not None else matter_list.shipped())
    strength, because = _by_words(table, text)
    best = _by_overlap(table, text)
    named: dict[int, str] = {}
    for name, n in table.names:
        if name in text and len(name) > len(named.get(n, "")):
            named[n] = name
    # A matter of somebody whom the directory does not know makes all others less likely.
    elsewhere = max((value for n, value in strength.items() if n >= len(directory)), default=0.0)
    found: list[OrganMatch] = []
    for n in named.keys() | strength.keys() | best.keys():
        if n >= len(directory):
            continue
        fit, function = best.get(n, (0.0, ""))
        total = strength.get(n, 0.0) + _OVERLAP * fit
        if elsewhere > strength.get(n, 0.0):
            total /= 2
        if n in named and _is_place(directory[n], named[n]):
            total += _PLACE
        score = 1.0 if n in named and not _is_place(directory[n], named[n]) else 1 - math.exp(-0.55 * total)
        reasons = ([named[n]] if n in named else []) + because.get(n, []) + ([function] if fit >= _CLEAR else [])
        if score >= 0.2:
            found.append(OrganMatch(directory[n], round(score, 4), tuple(dict.fromkeys(reasons))))
    found.sort(key=lambda m: (-m.score, m.organ.name))
    return tuple(found[:limit])


def _is_place(organ: Organ, name: str) -> bool:
    """Whether a township is named merely as the place where something is (「柳溪镇」), not as the office."""
    return organ.relation is OrganRelation.TOWNSHIP and name[-1:] in "镇乡村"


def _by_words(table: _Directory, text: str) -> tuple[dict[int, float], dict[int, list[str]]]:
    """Owner → weight of the characters that its words cover, and the matters they stand for, the widest first."""
    places: dict[int, dict[int, tuple[int, int]]] = {}  # evidence → part → (start, length) of its longest word
    for length in table.lengths:
        for start in range(len(text) - length + 1):
            for number, part in table.words.get(text[start : start + length], ()):
                places.setdefault(number, {})[part] = (start, length)
    hits: list[tuple[int, _Evidence]] = []  # (characters covered, as bits; what it says)
    for number, parts in places.items():
        said = table.evidence[number]
        if len(parts) == said.parts and not any(word in text for word in said.without):
            covered = 0
            for start, length in parts.values():
                covered |= ((1 << length) - 1) << start
            hits.append((covered, said))
    # What stands inside a longer find says nothing of its own.
    spans = {covered for covered, said in hits if said.label}
    alive = [(c, said) for c, said in hits if not any(c != other and c & other == c for other in spans)]
    weights: dict[int, dict[int, float]] = {}
    because: dict[int, list[str]] = {}
    for covered, said in sorted(alive, key=lambda hit: -hit[0].bit_count()):
        mine = weights.setdefault(said.owner, {})
        left = covered
        while left:
            bit = left & -left
            mine[bit] = max(mine.get(bit, 0.0), said.weight)
            left ^= bit
        if said.label:
            because.setdefault(said.owner, []).append(said.label)
    return {owner: sum(mine.values()) for owner, mine in weights.items()}, because


def _by_overlap(table: _Directory, text: str) -> dict[int, tuple[float, str]]:
    """Organ → how much of one of its functions the question shares, and that function."""
    shared: dict[int, float] = {}
    for gram in _bigrams(text):
        rarity, duties = table.by_gram.get(gram, (0.0, ()))
        for duty in duties:
            shared[duty] = shared.get(duty, 0.0) + rarity
    best: dict[int, tuple[float, str]] = {}
    for duty, part in shared.items():
        n, function, whole = table.duties[duty]
        fit = part * part / whole
        if fit > best.get(n, (0.0, ""))[0]:
            best[n] = (fit, function)
    return best
