"""错别字: 「养老保显」 → 「养老保险」, only where the library leaves no doubt.

A stretch of the question is a slip when the pairs of characters around the doubtful one are unknown to the library and to law
text at large, and exactly one word of the vocabulary, known to the library, sounds the same (or is an official word that
is the same but for one character of five or more). What makes a word with its neighbour outside the stretch is no slip:
「一年交多少」 does not hold 「较多」.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import rjieba

from knowledge import analysis
from knowledge.background import background
from knowledge.sounds import loose, readings
from knowledge.vocabulary import Vocabulary

_RUN = re.compile(r"[\u4e00-\u9fff]{2,}")
_LONGEST = 12
_LONG = 4  # characters from which a word that sounds the same leaves little doubt
_MISREAD = 5  # characters from which one of another sound may be wrong
_FEWEST_PASSAGES = 2  # that hold a word of two characters which is put in place of others
_GRAMMAR = frozenset(
    "的了吗呢吧啊么和与或是在有我你他她它不没要能会想去来到给把被让这那哪几多少很也都就还再又什怎时为上下中省市县年月日个人"
)


@dataclass(frozen=True, slots=True)
class _Slip:
    """A stretch and the word that was meant."""

    start: int
    end: int
    meant: str


def repair(text: str, vocabulary: Vocabulary) -> str:
    """``text`` with its slips put right; the text itself where there is no doubt about it."""
    runs = list(_RUN.finditer(text))
    if not runs:
        return text
    grams = list(dict.fromkeys(g for run in runs for g in _grams(run[0])))
    strange = [g for g in grams if not vocabulary.is_common(g)]
    if not strange:
        return text
    known = vocabulary.in_library(strange)
    unknown = frozenset(g for g in strange if not known[g])
    slips: list[_Slip] = []
    for run in runs:
        slips += _slips(run[0], run.start(), unknown, vocabulary)
    for slip in reversed(slips):
        text = text[: slip.start] + slip.meant + text[slip.end :]
    return text


def _grams(text: str) -> Iterator[str]:
    return (text[i : i + 2] for i in range(len(text) - 1))


def _slips(run: str, offset: int, unknown: frozenset[str], vocabulary: Vocabulary) -> list[_Slip]:
    """Longest stretches first; those found do not overlap. In reading order."""
    doubtful = [run[i : i + 2] in unknown for i in range(len(run) - 1)]
    if not any(doubtful):
        return []
    proposed: dict[tuple[int, int], set[str]] = {}
    for start, phrase in _proposals(run, doubtful, vocabulary):
        if any(doubtful[start : start + len(phrase) - 1]) and _fits(run, start, phrase, unknown):
            proposed.setdefault((start, start + len(phrase)), set()).add(phrase)
    found: list[_Slip] = []
    counts = vocabulary.in_library([g for phrases in proposed.values() for phrase in phrases for g in _grams(phrase)])
    for (start, end), phrases in sorted(proposed.items(), key=lambda p: (p[0][0] - p[0][1], p[0][0])):
        fewest = _FEWEST_PASSAGES if end - start == 2 else 1
        sure = [phrase for phrase in phrases if all(counts[g] >= fewest for g in _grams(phrase))]
        if len(sure) == 1 and not any(start < s.end - offset and s.start - offset < end for s in found):
            found.append(_Slip(offset + start, offset + end, sure[0]))
    return sorted(found, key=lambda slip: slip.start)


def _proposals(run: str, doubtful: list[bool], vocabulary: Vocabulary) -> Iterator[tuple[int, str]]:
    """(where it begins, word) of every word that sounds like the run there, or differs from it in one character."""
    sounds = [loose(c) for c in run]
    beginnings = vocabulary.by_beginning
    for start in range(len(run) - 1):
        # A word that ends before the next doubtful pair does would put nothing right.
        try:
            least = doubtful.index(True, start) + 2 - start
        except ValueError:
            break
        if least > _LONGEST:
            continue
        for first in sounds[start]:
            for second in sounds[start + 1]:
                for phrase in beginnings.get((first, second), ()):
                    if len(phrase) < least:
                        continue
                    here = sounds[start + 2 : start + len(phrase)]
                    if len(here) == len(phrase) - 2 and not any(
                        own.isdisjoint(loose(c)) for own, c in zip(here, phrase[2:], strict=True)
                    ):
                        yield start, phrase
    last = len(run) - 1
    for wrong in range(len(run)):
        if (wrong and not doubtful[wrong - 1]) or (wrong < last and not doubtful[wrong]):
            continue
        for start in range(max(0, wrong - _LONGEST + 1), wrong + 1):
            for end in range(max(wrong + 1, start + _MISREAD), min(len(run), start + _LONGEST) + 1):
                for phrase in vocabulary.with_gap.get((run[start:wrong], run[wrong + 1 : end]), ()):
                    yield start, phrase


def _fits(run: str, start: int, phrase: str, unknown: frozenset[str]) -> bool:
    end = start + len(phrase)
    piece = run[start:end]
    wrong = [place for place, (a, b) in enumerate(zip(piece, phrase, strict=True)) if a != b]
    if not wrong or len(wrong) * 2 > len(piece):
        return False
    touched = {
        pair
        for place in wrong
        for pair in (piece[max(place - 1, 0) : place + 1], piece[place : place + 2])
        if len(pair) == 2
    }
    if len(piece) >= _LONG:
        return not touched.isdisjoint(unknown)
    if any(set(readings(piece[p])).isdisjoint(readings(phrase[p])) or piece[p] in _GRAMMAR for p in wrong):
        return False
    return touched <= unknown and not (
        _is_word(piece) or _is_word(run[max(start - 1, 0) : start + 1]) or _is_word(run[end - 1 : end + 1])
    )


def _is_word(text: str) -> bool:
    if len(text) < 2:
        return False
    cut: list[str] = rjieba.cut(text, False)
    return len(cut) == 1 or text in analysis.STOP_WORDS or text in background().words
