"""拼音输入: 「shebao buka」 → 「社保补卡」, through the words of the library and its dictionary.

Letters become characters only where the whole stretch falls into words, at least one of which is longer than a character
and known to the library or its dictionary; 「wifi」, 「app」 and what the library itself writes in letters stay as they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from knowledge.sounds import syllables
from knowledge.vocabulary import Vocabulary

_LETTERS = re.compile(r"[A-Za-zÜüＡ-Ｚａ-ｚ]+(?:[ '’\u3000]+[A-Za-zÜüＡ-Ｚａ-ｚ]+)*")
_SPACES = re.compile(r"[^a-z]+")
_SHORTEST, _LONGEST = 4, 80
_LONGEST_SYLLABLE = 6
_MOST_LETTERS = 36  # of one word


@dataclass(frozen=True, slots=True)
class _Path:
    """The best reading of the letters so far."""

    cost: float
    words: tuple[str, ...]


def to_characters(text: str, vocabulary: Vocabulary) -> str:
    """``text`` with its stretches of pinyin in characters; the text itself where there is none."""

    def turned(match: re.Match[str]) -> str:
        letters = match[0].translate(_NARROW).lower().replace("ü", "v")
        joined = _SPACES.sub("", letters)
        if not _SHORTEST <= len(joined) <= _LONGEST or not _is_pinyin(joined):
            return match[0]
        written = vocabulary.latin_in_library(letters.split())
        if any(written.values()):
            return match[0]
        return _read(joined, vocabulary) or match[0]

    return _LETTERS.sub(turned, text)


_NARROW = {code: code - 0xFEE0 for code in (*range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B))}


def _is_pinyin(letters: str) -> bool:
    known = syllables()
    reached = {0}
    for end in range(1, len(letters) + 1):
        if any(
            start in reached and letters[start:end] in known for start in range(max(0, end - _LONGEST_SYLLABLE), end)
        ):
            reached.add(end)
    return len(letters) in reached


def _read(letters: str, vocabulary: Vocabulary) -> str:
    """The reading with the fewest words, of these the one that the library uses most; empty without a sure one."""
    spelled = vocabulary.spelled
    found = {
        (start, end): spelled[letters[start:end]]
        for start in range(len(letters))
        for end in range(start + 1, min(len(letters), start + _MOST_LETTERS) + 1)
        if letters[start:end] in spelled
    }
    grams = [w[i : i + 2] for words in found.values() for w in words for i in range(len(w) - 1)]
    counts = vocabulary.in_library(grams)

    def use(word: str) -> int:
        """In how many passages the word may stand: its rarest bigram tells."""
        return min((counts[word[i : i + 2]] for i in range(len(word) - 1)), default=0)

    best: list[_Path | None] = [_Path(0.0, ()), *[None] * len(letters)]
    for end in range(1, len(letters) + 1):
        for start in range(end):
            before, words = best[start], found.get((start, end))
            if before is None or words is None:
                continue
            word = max(words, key=lambda w: (use(w), w in vocabulary.phrases))
            unused = 0.0 if len(word) == 1 else 0.5 if use(word) == 0 else -min(use(word), 1000) / 10_000
            cost = before.cost + (1.6 if len(word) == 1 else 1.0) + unused
            reached = best[end]
            if reached is None or cost < reached.cost:
                best[end] = _Path(cost, (*before.words, word))
    path = best[-1]
    if path is None or not any(len(word) > 1 and (use(word) or word in vocabulary.phrases) for word in path.words):
        return ""
    return "".join(path.words)
