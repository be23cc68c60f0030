"""词表: the words that a question may have been meant to hold, and whether the library knows them.

The words are those of the dictionary, the titles and the organ directory; law text at large adds common ones. Whether the
library knows a word is asked of the index, so that nothing has to be read again when a document is published.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import product

from knowledge import analysis
from knowledge.background import background
from knowledge.index import Frequencies
from knowledge.lexicon import Lexicon
from knowledge.model import Organ
from knowledge.sounds import loose, readings

Counts = Callable[[Sequence[str], Sequence[str]], Frequencies]
"""How common words and bigrams are in the library: :meth:`knowledge.index.PassageIndex.frequencies`."""

_MOST_KEYS = 8
_MISREAD = 5
_COMMON = tuple(
    re.split(
        r"\s+",
        "怎么 怎样 如何 什么 多少 哪里 可以 能 吗 的 了 我 要 想 去 在 有 没有 几年 多久 办 办理 交 缴 领 领取 补 报 报销 查 查询 "
        "换 转 退 钱 卡 证 费 申请 标准 条件 材料 电话 地址 时间 政策 补贴 补助 流程 手续 登记 证明 老人 孩子 小孩 农村 上学 看病 丢了",
    )
)
"""Words of questions that are no matter of their own."""


class Vocabulary:
    """词表 over one state of the library. Pure, apart from asking ``counts``."""

    def __init__(self, official: Iterable[str], others: Iterable[str], counts: Counts) -> None:
        self._official = frozenset(_usable(official))
        self.phrases = self._official.union(_usable(others))
        self._counts = counts

    def in_library(self, bigrams: Sequence[str]) -> dict[str, int]:
        """Bigram → in how many passages of the library it stands."""
        distinct = list(dict.fromkeys(bigrams))
        return dict(zip(distinct, self._counts((), distinct).bigrams, strict=True)) if distinct else {}

    def latin_in_library(self, words: Sequence[str]) -> dict[str, int]:
        """Latin word → in how many passages of the library it stands."""
        distinct = list(dict.fromkeys(words))
        return dict(zip(distinct, self._counts(distinct, ()).words, strict=True)) if distinct else {}

    def is_common(self, bigram: str) -> bool:
        """Whether a pair of characters stands in a phrase or in law text at large: no slip even where the library lacks it."""
        return bigram in self._bigrams or bigram in background().bigrams

    @cached_property
    def _bigrams(self) -> frozenset[str]:
        return frozenset(phrase[i : i + 2] for phrase in self.phrases for i in range(len(phrase) - 1))

    @cached_property
    def by_beginning(self) -> dict[tuple[str, str], tuple[str, ...]]:
        """Loose sounds of the first two characters → phrases."""
        found: dict[tuple[str, str], list[str]] = {}
        for phrase in sorted(self.phrases):
            for key in product(loose(phrase[0]), loose(phrase[1])):
                found.setdefault(key, []).append(phrase)
        return {key: tuple(phrases) for key, phrases in found.items()}

    @cached_property
    def spelled(self) -> dict[str, tuple[str, ...]]:
        """Letters of the pinyin without spaces and tones → phrases, common words of law text and of questions."""
        return _by_sound((*self.phrases, *_COMMON, *common_words()))

    @cached_property
    def with_gap(self) -> dict[tuple[str, str], tuple[str, ...]]:
        """(what stands before, what stands behind) one character → official words of at least five characters."""
        found: dict[tuple[str, str], list[str]] = {}
        for phrase in sorted(self._official):
            if len(phrase) >= _MISREAD:
                for place in range(len(phrase)):
                    found.setdefault((phrase[:place], phrase[place + 1 :]), []).append(phrase)
        return {gap: tuple(phrases) for gap, phrases in found.items()}


def library_vocabulary(lexicon: Lexicon, titles: Iterable[str], organs: Sequence[Organ], counts: Counts) -> Vocabulary:
    """The dictionary and its longer words, the words of the titles, and the names and matters of the organ directory."""
    own = {word for title in titles for word in analysis.words(analysis.normalise(title))}
    own.update(word for entry in lexicon.entries for word in analysis.words(analysis.normalise(entry)) if len(word) > 2)
    named = (n for o in organs for n in (o.name, o.short_name, *o.aliases, *o.keywords))
    return Vocabulary(lexicon.entries, (*lexicon.phrases(), *own, *named), counts)


def _by_sound(words: Iterable[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for word in dict.fromkeys(words):
        for key in sounds_of(word):
            found.setdefault(key, []).append(word)
    return {key: tuple(same) for key, same in found.items()}


def sounds_of(word: str) -> list[str]:
    """The ways to pronounce a word, as letters; characters with two readings give two, at most eight in all."""
    ways = [readings(c) for c in word]
    if not all(ways):
        return []
    return list(dict.fromkeys("".join(way) for way, _ in zip(product(*ways), range(_MOST_KEYS), strict=False)))


def common_words() -> list[str]:
    """Words of two to four characters that are common in law text, the commonest first."""
    counts = background().words
    words = [w for w in counts if 2 <= len(w) <= 4 and _is_han(w) and counts[w] >= 40]
    return sorted(words, key=lambda w: -counts[w])


def _usable(phrases: Iterable[str]) -> Iterator[str]:
    return (p for p in map(analysis.normalise, phrases) if 2 <= len(p) <= 12 and _is_han(p))


def _is_han(text: str) -> bool:
    return bool(text) and all("\u4e00" <= c <= "\u9fff" for c in text)
