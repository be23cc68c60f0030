"""机构职能匹配: who handles the matter a question is about.

The county's own list of functions decides (权责清单, 机构职能目录): a name or alias in the question says it outright,
the words citizens use and the official functions say it by overlap. A word that several organs share says little.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache

from knowledge.model import Organ, OrganMatch

_SPLIT = re.compile(r"[\s，。；、,.;:：（）()！!？?]+")


@lru_cache(maxsize=8)
def _weights(organs: tuple[Organ, ...]) -> dict[str, float]:
    """Keyword → weight: long words and words of few organs weigh more."""
    owners: dict[str, int] = {}
    for organ in organs:
        for word in set(organ.keywords):
            owners[word] = owners.get(word, 0) + 1
    return {word: min(len(word), 5) / 2 / math.sqrt(n) for word, n in owners.items() if word}


def _bigrams(text: str) -> set[str]:
    return {text[i : i + 2] for i in range(len(text) - 1)}


@lru_cache(maxsize=8)
def _function_grams(
    organs: tuple[Organ, ...],
) -> tuple[dict[str, float], tuple[tuple[tuple[str, frozenset[str]], ...], ...]]:
    """(rarity of each bigram over the organs, and each organ's functions as bigram sets)."""
    seen: dict[str, int] = {}
    functions: list[tuple[tuple[str, frozenset[str]], ...]] = []
    for organ in organs:
        mine = tuple((f, frozenset(_bigrams(f))) for f in organ.functions)
        functions.append(mine)
        for gram in set().union(*(g for _, g in mine)) if mine else set():
            seen[gram] = seen.get(gram, 0) + 1
    total = max(len(organs), 1)
    return {gram: math.log(1 + total / n) for gram, n in seen.items()}, tuple(functions)


def match(question: str, organs: Sequence[Organ], limit: int = 3) -> tuple[OrganMatch, ...]:
    """The organs whose functions fit ``question``, best first, with the reason.

    ``score`` lies in 0..1: from about .35 one matter fits clearly, 1.0 means that the organ itself is named.
    """
    directory = tuple(organs)
    if not directory or not question.strip():
        return ()
    text = "".join(_SPLIT.split(question))
    weights = _weights(directory)
    rarity, functions = _function_grams(directory)
    asked = _bigrams(text)
    found: list[OrganMatch] = []
    for organ, duties in zip(directory, functions, strict=True):
        because: list[str] = []
        score = 0.0
        names = [organ.name, organ.short_name, *organ.aliases]
        named = next((n for n in names if len(n) >= 3 and n in text), "")
        if named:
            score = 1.0
            because.append(named)
        words = [w for w in organ.keywords if w and w in text]
        words = [w for w in words if not any(w != other and w in other for other in words)]
        strength = sum(weights[w] for w in words)
        because.extend(words)
        best_duty, best = "", 0.0
        for duty, grams in duties:
            shared = grams & asked
            if not shared:
                continue
            whole = sum(rarity[g] for g in grams)
            part = sum(rarity[g] for g in shared)
            fit = part / whole if whole else 0.0
            if fit * part > best:
                best, best_duty = fit * part, duty
        if best >= 1.0:
            because.append(best_duty)
        strength += 0.35 * best
        score = max(score, 1 - math.exp(-0.55 * strength))
        if score >= 0.2:
            found.append(OrganMatch(organ, round(score, 4), tuple(dict.fromkeys(because))))
    found.sort(key=lambda m: -m.score)
    return tuple(found[:limit])
