"""Handling of plain text: safe to show, cut at sentences, quoted word for word. No words of our own."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache

ECHO_CHARACTERS = 60
SEARCH_CHARACTERS = 300
READ_CHARACTERS = 2000  # of a message; what comes after is kept in the log and not read for cues

# Everything but common ideographs, ASCII and Chinese punctuation; only these need a closer look.
_UNUSUAL = re.compile("[^\u4e00-\u9fff!-~，。！？；：、“”‘’（）《》〔〕【】「」…—·]")
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_SPACES = re.compile(r"\s+")
_SENTENCE = re.compile(r"[^。！？!?；;\n]*(?:[。！？!?；;]+[”’」』）)]*|\n+|$)")
_BREAKS = "。！？!?；;\n"
_SOFT_BREAKS = "，,、：: "


@lru_cache(maxsize=256)  # reading one message asks for it several times
def tidy(text: str) -> str:
    """Normalise what a person typed: no control, format, surrogate or private characters, single spaces.

    Letters and digits become their plain forms (NFKC); signs stay as typed, so that Chinese punctuation can be shown back.
    """
    return _SPACES.sub(" ", _UNUSUAL.sub(_plain, unicodedata.normalize("NFC", text))).strip()


def _plain(match: re.Match[str]) -> str:
    character = match.group()
    category = unicodedata.category(character)
    if category[0] in "LN":
        return unicodedata.normalize("NFKC", character)
    if category[0] == "C":
        return " " if character in "\t\n\r\x0b\x0c\x85" else ""
    return " " if category in ("Zl", "Zp", "Zs") else character


def printable(text: str) -> str:
    """Drop characters that no channel can carry (controls other than newline and tab, lone surrogates)."""
    return _UNPRINTABLE.sub("", text)


def echo(text: str, limit: int = ECHO_CHARACTERS) -> str:
    """A citizen's words in a form that is safe to show back: one line, no controls, at most ``limit`` characters."""
    line = tidy(text)
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def letters(text: str) -> str:
    """Only letters, ideographs and digits of ``text``: what is left of a message without signs and emoji."""
    return _NO_LETTERS.sub(_lettered, text)


# What is surely a letter or a digit needs no closer look.
_NO_LETTERS = re.compile("[^0-9A-Za-z\u4e00-\u9fff]")


def _lettered(match: re.Match[str]) -> str:
    return _letter(match[0])


@lru_cache(maxsize=4096)
def _letter(character: str) -> str:
    return character if unicodedata.category(character)[0] in "LN" else ""


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of every sentence, end mark included; together they cover the text without its outer spaces."""
    position = 0
    while position < len(text):
        match = _SENTENCE.match(text, position)
        end = match.end() if match and match.end() > position else len(text)
        start = position
        while start < end and text[start].isspace():
            start += 1
        stop = end
        while stop > start and text[stop - 1].isspace():
            stop -= 1
        if stop > start:
            yield start, stop
        position = end


def excerpt(text: str, words: Sequence[str], limit: int, figures: bool = False) -> str:
    """The operative part of a passage, word for word: a contiguous piece of ``text`` of at most ``limit`` characters.

    The sentence that holds most of ``words`` is taken (with ``figures``, one that holds digits is preferred), then
    its neighbours as long as they fit. A passage that fits is returned whole.
    """
    whole = text.strip()
    if limit <= 0 or len(whole) <= limit:
        return whole
    return _excerpt(text, tuple(words), limit, figures)


@lru_cache(maxsize=2048)  # one reply quotes the same passage in its text and in its parts
def _excerpt(text: str, words: tuple[str, ...], limit: int, figures: bool) -> str:
    spans = list(sentences(text))
    wanted = {word for word in words if word.strip()}

    def worth(span: tuple[int, int]) -> float:
        piece = text[span[0] : span[1]]
        score = float(sum(len(word) for word in wanted if word in piece))
        if figures and any(character.isdigit() for character in piece):
            score += 3.0
        return score + min(len(piece), 12) / 100  # a bare heading loses against a full sentence

    best = max(range(len(spans)), key=lambda index: (worth(spans[index]), -index))
    first = last = best
    start, end = spans[best]
    if end - start > limit:
        return _window(text[start:end], wanted, limit)
    while True:
        if last + 1 < len(spans) and spans[last + 1][1] - start <= limit:
            last += 1
            end = spans[last][1]
        elif first > 0 and end - spans[first - 1][0] <= limit:
            first -= 1
            start = spans[first][0]
        else:
            return text[start:end]


def _window(sentence: str, words: set[str], limit: int) -> str:
    places = sorted(sentence.find(word) for word in words if word in sentence)
    centre = places[len(places) // 2] if places else 0
    start = max(0, min(centre - limit // 3, len(sentence) - limit))
    if start:
        later = [sentence.find(mark, start, start + limit // 3) for mark in _SOFT_BREAKS]
        soft = [place + 1 for place in later if place >= 0]
        start = min(soft, default=start)
    end = min(len(sentence), start + limit)
    if end < len(sentence):
        soft_end = max(sentence.rfind(mark, start + limit // 2, end) for mark in _SOFT_BREAKS)
        end = soft_end + 1 if soft_end > start else end
    return sentence[start:end].strip()


def size(text: str) -> int:
    """UTF-8 bytes of ``text``."""
    return len(text.encode("utf-8", "surrogatepass"))


def split_at(text: str, limit: int) -> tuple[str, str]:
    """Split ``text`` so that the head has at most ``limit`` bytes, at the end of a line or sentence where possible.

    Head + tail hold every character of the text except white space at the seam.
    """
    if size(text) <= limit:
        return text, ""
    head = text.encode("utf-8", "surrogatepass")[: max(0, limit)].decode("utf-8", "ignore")
    floor = len(head) // 3
    at = max((head.rfind(mark) for mark in _BREAKS), default=-1)
    while at >= 0 and at + 1 < len(head) and head[at + 1] in "”’」』）)":
        at += 1
    if at <= floor or _inside_link(head, at):
        at = head.rfind("\n")
    if at <= floor:
        at = max((head.rfind(mark) for mark in _SOFT_BREAKS), default=-1)
        if at <= floor:
            at = len(head) - 1
    return head[: at + 1].rstrip(), text[at + 1 :].lstrip()


def _inside_link(head: str, at: int) -> bool:
    line = head[head.rfind("\n", 0, at) + 1 :]
    link = line.find("://")
    return link >= 0 and head[at] in "?;!" and " " not in line[link : at - (len(head) - len(line)) + 1]
