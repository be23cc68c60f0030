"""How common a token is in official Chinese at large, so that a small library does not distort it.

A county with five plans knows too little about words: 「方案」 is in every passage, 「天气」 in none, and neither says much.
The library's own counts are therefore mixed with those of a large body of law text, which weighs as much as
``PRIOR`` passages (a Dirichlet prior). ``weights/background.txt.gz`` holds the counts and where they come from.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

PRIOR = 2000.0
"""Passages that the background weighs as much as."""


@dataclass(frozen=True, slots=True)
class Background:
    """背景词频: in how many of ``passages`` law passages each token stands."""

    passages: int
    words: dict[str, int]
    bigrams: dict[str, int]


@lru_cache(maxsize=1)
def background() -> Background:
    """The shipped table."""
    packed = resources.files("knowledge").joinpath("weights/background.txt.gz").read_bytes()
    passages = 0
    tables: dict[str, dict[str, int]] = {"w": {}, "b": {}}
    for line in gzip.decompress(packed).decode("utf-8").splitlines():
        if line.startswith("#"):
            if line.startswith("# passages "):
                passages = int(line.split()[2])
            continue
        kind, count, tokens = line.split("\t")
        table, number = tables[kind], int(count)
        for token in tokens.split(" "):
            table[token] = number
    return Background(passages, tables["w"], tables["b"])


def weights(
    tokens: Sequence[str], counts: Sequence[int], passages: int, table: dict[str, int], total: int
) -> list[float]:
    """idf of each token: ``counts`` and ``passages`` are the library's, ``table`` and ``total`` the background's."""
    scale, size = PRIOR / total, PRIOR + passages
    found = []
    for token, count in zip(tokens, counts, strict=True):
        share = (count + scale * table.get(token, 0) + 0.5) / (size + 1.0)
        found.append(math.log(1.0 + (1.0 - share) / share) if share < 1.0 else 0.01)
    return found
