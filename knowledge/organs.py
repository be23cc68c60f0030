"""机构职能匹配: who handles the matter a question is about.

The county's own list of functions decides (权责清单, 机构职能目录): a name or alias in the question says it outright,
the words citizens use and the official functions say it by overlap. What a short, official list leaves out is
supplied by the matters that departments have in every county (:mod:`knowledge.matters`). Words are weighed by the
characters they cover, each counted once; a word inside a longer find is not counted, and what several organs share
says little. Where no word is known, the vocabulary may still lean to one of them (:mod:`knowledge.leaning`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from knowledge import matters as matter_list
from knowledge.analysis import normalise
from knowledge.leaning import leaning
from knowledge.matters import Matters
from knowledge.model import Organ, OrganMatch, OrganRelation

_PUNCTUATION = dict.fromkeys(map(ord, " \t\r\n\u3000，。；、：（）！？,.;:()!?“”\"'《》"))
_CLEAR = 1.0  # weight of shared bigrams from which a function is named as the reason
_WORD, _HINT = 0.5, 0.15  # weight of a character in a word, and in one that merely points to a class
_PLACE = 1.6  # strength of a township that is named as a place only
_OVERLAP = 0.35  # weight of shared bigrams beside words
_LEANS_AT, _AHEAD_AT = 4.0, 1.2  # how much the vocabulary must lean, and how far ahead of every other organ
_LEAN, _LEAN_MOST = 0.3, 0.8  # strength for each unit ahead, and at most: any clear word outweighs it
# They make a saying complete and tell nothing themselves.
_ASKING = frozenset(
    [
        "怎么",
        "怎么办",
        "怎样",
        "咋",
        "什么",
        "有什么",
        "要什么",
        "什么时候",
        "哪",
        "哪里",
        "在哪",
        "去哪",
        "谁",
        "几",
        "多少",
        "多久",
        "几天",
        "能不能",
        "可以",
        "政府",
        "国家",
    ]
)
_MOST_READ = 400  # characters of a question that are looked at: the matter stands in the first lines


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What counts for an owner once a word of the index and one of each of the ``others`` are found."""

    owner: int  # organ; beyond the last organ: a class that the directory does not know
    label: str
    weight: float  # a character
    others: tuple[tuple[str, ...], ...] = ()
    without: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Directory:
    """The organs, turned round for look-ups by what stands in a question."""

    names: tuple[tuple[str, int], ...]  # (name or alias, organ)
    evidence: tuple[_Evidence, ...]
    words: dict[str, tuple[int, ...]]  # word → evidence
    longest: int
    classes: tuple[int, ...]  # the owner of each class
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
        known = part.split("|")
        by_name = tuple(
            n for n, o in enumerate(organs) if any(name in o.name or name in o.short_name for name in known)
        )
        found = by_name or tuple(
            n for n, o in enumerate(organs) if any(name in alias for alias in o.aliases for name in known)
        )
        if found:
            return found
    return ()


_recent: tuple[tuple[Organ, ...], Matters, _Directory] | None = None


def _table(organs: tuple[Organ, ...], known: Matters) -> _Directory:
    """The directory turned round. The one used last is told by identity: hashing 50 organs costs as much as a match."""
    global _recent
    recent = _recent
    if recent is None or recent[0] is not organs or recent[1] is not known:
        recent = _recent = (organs, known, _directory(organs, known))
    return recent[2]


@lru_cache(maxsize=4)
def _directory(organs: tuple[Organ, ...], known: Matters) -> _Directory:
    names = tuple(
        (normalise(name), n)
        for n, organ in enumerate(organs)
        for name in (organ.name, organ.short_name, *organ.aliases)
        if len(name) >= 3
    )
    evidence: list[_Evidence] = []
    words: dict[str, list[int]] = {}

    def add(owner: int, label: str, weight: float, parts: Sequence[tuple[str, ...]], without: tuple[str, ...]) -> None:
        # Looked up by the part whose words are rarest: 「检疫」 rather than 「猪」.
        key = min(parts, key=lambda part: (min(map(len, part)) < 2, len(part)))
        for word in key:
            words.setdefault(word, []).append(len(evidence))
        evidence.append(_Evidence(owner, label, weight, tuple(part for part in parts if part is not key), without))

    having: dict[str, set[int]] = {}
    for n, organ in enumerate(organs):
        for word in organ.keywords:
            having.setdefault(normalise(word), set()).add(n)
    for word, who in having.items():
        for n in who:
            add(n, word, _WORD / math.sqrt(len(who)), ((word,),), ())
    duties: list[tuple[int, str]] = [(n, f) for n, organ in enumerate(organs) for f in organ.functions]
    classes: list[int] = []
    for place, kind in enumerate(known.classes):
        mine = _owners(kind.organs, organs)
        unknown = len(organs) + place
        classes.append(mine[0] if len(mine) == 1 else unknown)
        for n in mine or (unknown,):
            share = 1 / math.sqrt(max(len(mine), 1))
            for matter in kind.matters:
                name = normalise(matter.name)
                add(n, matter.name, _WORD * share, ((name,),), ())
                for saying in matter.sayings:
                    add(n, matter.name, _WORD * share, saying.parts, saying.without)
                if len(mine) == 1:
                    duties.append((n, matter.name))
            for hint in kind.hints:
                add(n, "", _HINT * share, ((hint,),), ())
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
        words={word: tuple(numbers) for word, numbers in words.items()},
        longest=max(map(len, words), default=0),
        classes=tuple(classes),
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
    known = known if known is not None else matter_list.shipped()
    table = _table(directory, known)
    strength, because, said = _by_words(table, text)
    best = _by_overlap(table, text)
    leans, ahead = _by_vocabulary(table, known, text)
    named: dict[int, str] = {}
    for name, n in table.names:
        if name in text and len(name) > len(named.get(n, "")):
            named[n] = name
    # A matter of somebody whom the directory does not know makes all others less likely.
    elsewhere = max((value for n, value in strength.items() if n >= len(directory)), default=0.0)
    found: list[OrganMatch] = []
    for n in named.keys() | strength.keys() | best.keys() | {leans}:
        if n >= len(directory):
            continue
        fit, function = best.get(n, (0.0, ""))
        total = strength.get(n, 0.0) + _OVERLAP * fit
        if n == leans:
            total += ahead
        elif elsewhere > strength.get(n, 0.0):
            total /= 2
        if n in named and _is_place(directory[n], named[n]):
            total += _PLACE
        score = 1.0 if n in named and not _is_place(directory[n], named[n]) else 1 - math.exp(-0.55 * total)
        reasons = ([named[n]] if n in named else []) + because.get(n, []) + ([function] if fit >= _CLEAR else [])
        if score >= 0.2:
            words = _stretches(text, said.get(n, 0))
            matters = tuple(dict.fromkeys(because.get(n, ())))
            found.append(OrganMatch(directory[n], round(score, 4), tuple(dict.fromkeys(reasons)), words, matters))
    found.sort(key=lambda m: (-m.score, m.organ.name))
    return tuple(found[:limit])


def _is_place(organ: Organ, name: str) -> bool:
    """Whether a township is named merely as the place where something is (「柳溪镇」), not as the office."""
    return organ.relation is OrganRelation.TOWNSHIP and name[-1:] in "镇乡村"


def _stretches(text: str, covered: int) -> tuple[str, ...]:
    """The parts of the text whose characters are covered."""
    kept = "".join(c if covered >> place & 1 else " " for place, c in enumerate(text))
    return tuple(kept.split())


def _by_words(table: _Directory, text: str) -> tuple[dict[int, float], dict[int, list[str]], dict[int, int]]:
    """Owner → weight of the characters that its words cover; the matters they stand for, the widest first; the
    characters, as bits."""
    places: dict[str, int] = {}  # everything that stands in the text → where
    for start in range(len(text)):
        for end in range(start + 1, min(start + table.longest, len(text)) + 1):
            places.setdefault(text[start:end], start)
    hits: dict[int, int] = {}  # evidence → characters covered, as bits
    for word in places:  # in reading order, so that equal finds come out alike in every process
        for number in table.words.get(word, ()):
            said = table.evidence[number]
            covered = 0 if word in _ASKING else ((1 << len(word)) - 1) << places[word]
            for part in said.others:
                best = max((other for other in part if other in places), key=len, default="")
                if not best:
                    break
                covered |= 0 if best in _ASKING else ((1 << len(best)) - 1) << places[best]
            else:
                if covered.bit_count() > hits.get(number, 0).bit_count() and not any(w in text for w in said.without):
                    hits[number] = covered
    # What stands inside a longer find says nothing of its own.
    spans = {covered for number, covered in hits.items() if table.evidence[number].label}
    inner = {c for c in set(hits.values()) if any(c != other and c & other == c for other in spans)}
    weights: dict[int, dict[int, float]] = {}
    because: dict[int, list[str]] = {}
    whole: dict[int, int] = {}
    for number, covered in sorted(hits.items(), key=lambda hit: (-hit[1].bit_count(), hit[0])):
        said = table.evidence[number]
        if covered in inner:
            continue
        mine = weights.setdefault(said.owner, {})
        left = covered
        while left:
            bit = left & -left
            mine[bit] = max(mine.get(bit, 0.0), said.weight)
            left ^= bit
        if said.label:
            because.setdefault(said.owner, []).append(said.label)
            whole[said.owner] = whole.get(said.owner, 0) | covered
    return {owner: sum(mine.values()) for owner, mine in weights.items()}, because, whole


def _by_vocabulary(table: _Directory, known: Matters, text: str) -> tuple[int, float]:
    """The owner to whom the vocabulary leans, and how strongly; strength 0 where it leans to nobody in particular."""
    leans = leaning(known).of(text)
    order = leans.argsort()[::-1].tolist()
    first = table.classes[order[0]]
    rival = next((place for place in order if table.classes[place] != first), order[0])
    most = float(leans[order[0]])
    ahead = most - float(leans[rival])
    if most < _LEANS_AT or ahead < _AHEAD_AT:
        return first, 0.0
    return first, min(_LEAN_MOST, 0.3 + _LEAN * ahead)


def _by_overlap(table: _Directory, text: str) -> dict[int, tuple[float, str]]:
    """Organ → how much of one of its functions the question shares, and that function."""
    shared: dict[int, float] = {}
    for gram in sorted(_bigrams(text)):
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
