"""公开领域: which of the fields of 基层政务公开 a document belongs to, and whom it is for, by words that staff can read and change.

Counting, not learning: every value has a list of words (``topics.toml``); a word in the title weighs more than one in
the text, a longer word more than a short one. Where no value is clearly ahead nothing is said.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from knowledge.model import PolicyDocument

SHIPPED = Path(__file__).with_name("topics.toml")

_IN_TITLE = 6.0
_MOST_REPEATS = 3  # a word that fills the text says no more than one that stands in it three times
_ENOUGH = 9.0
_LEAD = 1.25  # how far the first must be ahead of the second
_TEXT = 6_000  # characters of the text that are looked at


@dataclass(frozen=True, slots=True)
class Guess:
    """归类: a value, its weight and the words that speak for it; an empty value where nothing is clear."""

    value: str
    weight: float
    because: tuple[str, ...]


def field_of_work(title: str, text: str) -> Guess:
    """公开领域 of a text (domain: the 26 试点领域 and three more)."""
    return _best(_tables()[0], title, text)


def audience(title: str, text: str) -> Guess:
    """面向对象 of a text."""
    return _best(_tables()[1], title, text)


def filled(document: PolicyDocument, texts: Iterable[str]) -> tuple[str, str]:
    """(公开领域, 面向对象) of a document: what it states, else what its words say, else empty."""
    if document.topic and document.audience:
        return document.topic, document.audience
    text = "\n".join(texts)
    topic = document.topic or field_of_work(document.title, text).value
    return topic, document.audience or audience(document.title, text).value


def known_fields() -> tuple[str, ...]:
    """Every field in the order of the data file."""
    return tuple(_tables()[0])


@cache
def _tables() -> tuple[Mapping[str, tuple[str, ...]], Mapping[str, tuple[str, ...]]]:
    raw = tomllib.loads(SHIPPED.read_text("utf-8"))
    fields, audiences = ({k: tuple(v) for k, v in raw[name].items()} for name in ("fields", "audiences"))
    return fields, audiences


def _best(table: Mapping[str, tuple[str, ...]], title: str, text: str) -> Guess:
    text = text[:_TEXT]
    guesses = sorted(
        (_weighed(value, words, title, text) for value, words in table.items()), key=lambda g: g.weight, reverse=True
    )
    first, second = guesses[0], guesses[1]
    if first.weight < _ENOUGH or first.weight < second.weight * _LEAD:
        return Guess("", 0.0, ())
    return first


def _weighed(value: str, words: Iterable[str], title: str, text: str) -> Guess:
    weight = 0.0
    because: list[str] = []
    for word in words:
        count = (_IN_TITLE if word in title else 0.0) + min(text.count(word), _MOST_REPEATS)
        if count:
            weight += count * min(len(word), 6) / 2
            because.append(word)
    return Guess(value, weight, tuple(because))
