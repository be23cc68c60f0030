"""机构职能匹配: who handles the matter a question is about.

The county's own list of functions decides (权责清单, 机构职能目录): a name or alias in the question says it outright,
the words citizens use and the official functions say it by overlap. A word that several organs share says little.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from knowledge.model import Organ, OrganMatch

_SPLIT = re.compile(r"[\s，。；、,.;:：（）()！!？?]+")
_CLEAR = 1.0  # weight of shared bigrams from which a function is named as the reason


@dataclass(frozen=True, slots=True)
class _Directory:
    """The organs, turned round for look-ups by what stands in a question."""

    names: tuple[tuple[str, int], ...]  # (name or alias, organ)
    keywords: tuple[tuple[str, float, tuple[int, ...]], ...]  # (word, weight, its organs)
    duties: tuple[tuple[int, str, float], ...]  # (organ, function, weight of all its bigrams)
    by_gram: dict[str, tuple[float, tuple[int, ...]]]  # bigram → (rarity over the organs, duties)


def _bigrams(text: str) -> set[str]:
    return {text[i : i + 2] for i in range(len(text) - 1)}


@lru_cache(maxsize=4)
def _directory(organs: tuple[Organ, ...]) -> _Directory:
    names = tuple(
        (name, n)
        for n, organ in enumerate(organs)
        for name in (organ.name, organ.short_name, *organ.aliases)
        if len(name) >= 3
    )
    owners: dict[str, list[int]] = {}
    for n, organ in enumerate(organs):
        for word in dict.fromkeys(organ.keywords):
            owners.setdefault(word, []).append(n)
    # Long words and words of few organs weigh more.
    keywords = tuple((w, min(len(w), 5) / 2 / math.sqrt(len(o)), tuple(o)) for w, o in owners.items())
    seen: dict[str, set[int]] = {}
    holders: dict[str, list[int]] = {}
    functions: list[tuple[int, str, set[str]]] = []
    for n, organ in enumerate(organs):
        for function in organ.functions:
            grams = _bigrams(function)
            for gram in grams:
                seen.setdefault(gram, set()).add(n)
                holders.setdefault(gram, []).append(len(functions))
            functions.append((n, function, grams))
    rarity = {gram: math.log(1 + len(organs) / len(who)) for gram, who in seen.items()}
    return _Directory(
        names=names,
        keywords=keywords,
        duties=tuple((n, function, sum(rarity[g] for g in grams)) for n, function, grams in functions),
        by_gram={gram: (rarity[gram], tuple(duties)) for gram, duties in holders.items()},
    )


def match(question: str, organs: Sequence[Organ], limit: int = 3) -> tuple[OrganMatch, ...]:
    """The organs whose functions fit ``question``, best first, with the reason.

    ``score`` lies in 0..1: from about .35 one matter fits clearly, 1.0 means that the organ itself is named.
    """
    directory = tuple(organs)
    text = "".join(_SPLIT.split(question))
    if not directory or not text:
        return ()
    table = _directory(directory)
    named: dict[int, str] = {}
    for name, n in table.names:
        if name in text:
            named.setdefault(n, name)
    strength: dict[int, float] = {}
    because: dict[int, list[str]] = {}
    hit = [(word, weight, who) for word, weight, who in table.keywords if word in text]
    for word, weight, who in hit:
        for n in who:
            if not any(word != other and word in other and n in others for other, _, others in hit):
                strength[n] = strength.get(n, 0.0) + weight
                because.setdefault(n, []).append(word)
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
    found: list[OrganMatch] = []
    for n in named.keys() | strength.keys() | best.keys():
        fit, function = best.get(n, (0.0, ""))
        score = 1 - math.exp(-0.55 * (strength.get(n, 0.0) + 0.35 * fit))
        reasons = ([named[n]] if n in named else []) + because.get(n, []) + ([function] if fit >= _CLEAR else [])
        if n in named:
            score = 1.0
        if score >= 0.2:
            found.append(OrganMatch(directory[n], round(score, 4), tuple(dict.fromkeys(reasons))))
    found.sort(key=lambda m: (-m.score, m.organ.name))
    return tuple(found[:limit])
