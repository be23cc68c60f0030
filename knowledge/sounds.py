"""读音: the toneless pinyin of characters (from pypinyin's table of single characters)."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from pypinyin.constants import PINYIN_DICT

_MOST_READINGS = 2
_ALIKE = (("zh", "z"), ("ch", "c"), ("sh", "s"), ("ng", "n"))


@lru_cache(maxsize=30_000)
def readings(character: str) -> tuple[str, ...]:
    """The common readings without tones, 「ü」 as 「v」; empty for what is no Chinese character."""
    listed = str(PINYIN_DICT.get(ord(character), "")).split(",")
    plain = (_toneless(reading) for reading in listed[:_MOST_READINGS] if reading)
    return tuple(dict.fromkeys(plain))


@lru_cache(maxsize=1)
def syllables() -> frozenset[str]:
    """Every syllable that some common character (GB 2312) has."""
    found: set[str] = set()
    for first in range(0xB0, 0xF8):
        for second in range(0xA1, 0xFF):
            try:
                character = bytes((first, second)).decode("gb2312")
            except UnicodeDecodeError:
                continue
            found.update(readings(character))
    return frozenset(found)


@lru_cache(maxsize=30_000)
def loose(character: str) -> frozenset[str]:
    """The readings, where 平舌 and 翘舌, 前鼻音 and 后鼻音 count as one."""
    found = set()
    for reading in readings(character):
        for sharp, flat in _ALIKE:
            reading = reading.replace(sharp, flat)
        found.add(reading)
    return frozenset(found)


def _toneless(reading: str) -> str:
    plain = unicodedata.normalize("NFD", reading)
    # The two dots of ü (U+0308) tell a vowel, the other marks are tones.
    plain = plain.replace("u\u0308", "v")
    return "".join(c for c in plain if not unicodedata.combining(c))
