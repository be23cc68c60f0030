"""词汇倾向: to which class of departments the vocabulary of a text leans.

A saying of :mod:`knowledge.matters` counts once all its words are found. People ask in ever new words; what they share
with the sayings of one class and with no other still tells whose matter it is. Every run of one to four characters
speaks for the classes whose sayings hold it more often than those of others do (log odds against the mean).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from knowledge.analysis import normalise
from knowledge.matters import MatterClass, Matters

_WEIGHT = (0.0, 0.3, 1.0, 0.7, 0.5)  # of a run by its length: longer runs repeat what their pairs have said
_DOUBT = 0.1  # smoothing: what a class is thought to hold of a run that none of its sayings has
_SIZE = 0.5  # how far a class with many sayings is held against it
# Whom and how one asks says nothing of the matter.
_ASKING = re.compile(
    r"怎么办理?|怎么|咋|怎样|如何|什么|啥|哪里|哪儿|在哪|去哪|找谁|归谁|谁管|哪个|多少|几个|能不能|可不可以|可以|请问|谢谢|"
    r"你好|您好|办理|申请|政府|部门|单位|我们|你们|有没有|是不是|要不要|一下"
)
_MOST_WORDS = 40  # a group of more alternatives is a list of general words


@dataclass(frozen=True, slots=True, eq=False)
class Leaning:
    """倾向表: ``G`` runs of characters, ``C`` classes in the order of the list."""

    runs: dict[str, int]
    odds: NDArray[np.float32]  # (G, C)

    def of(self, text: str) -> NDArray[np.float32]:
        """How much a normalised text leans to each class, ``(C,)``; 0 says nothing, 2 and more over all others a lot."""
        # In reading order, so that sums come out alike in every process.
        runs = dict.fromkeys(run for stretch in _ASKING.split(text) for run in _runs(stretch))
        rows = [row for run in runs if (row := self.runs.get(run)) is not None]
        leans: NDArray[np.float32] = self.odds[rows].sum(0, dtype=np.float32)
        return leans


@lru_cache(maxsize=2)
def leaning(known: Matters) -> Leaning:
    """The table of a list of matters."""
    held = [Counter(run for word in _vocabulary(kind) for run in set(_runs(word))) for kind in known.classes]
    runs = {run: row for row, run in enumerate(sorted({run for counts in held for run in counts}))}
    amount = np.zeros((len(runs), len(held)), np.float32)
    for column, counts in enumerate(held):
        for run, times in counts.items():
            amount[runs[run], column] = math.log1p(times)
    size = np.maximum(amount.sum(0), 1.0) ** _SIZE
    amount /= size / size.mean()
    odds = np.log((amount + _DOUBT) / (amount.mean(1, keepdims=True) + _DOUBT))
    odds *= np.array([_WEIGHT[len(run)] for run in runs], np.float32)[:, None]
    return Leaning(runs, odds.astype(np.float32))


def _vocabulary(kind: MatterClass) -> set[str]:
    words = set(kind.hints) | {normalise(matter.name) for matter in kind.matters}
    for matter in kind.matters:
        for saying in matter.sayings:
            for part in saying.parts:
                if len(part) <= _MOST_WORDS:
                    words.update(part)
    return words


def _runs(text: str) -> Iterator[str]:
    return (text[start : start + n] for n in range(1, len(_WEIGHT)) for start in range(len(text) - n + 1))
