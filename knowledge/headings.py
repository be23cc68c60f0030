"""Numbers that open a heading or an item: 第一章, 第三条, 一、, （一）, 1., （1）, ①, 1.2.3 (GB/T 9704-2012 §7.3.3)."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

from knowledge.dates import numeral

_CN = "一二三四五六七八九十百千零〇○"


class Style(IntEnum):
    """编号样式: in the order in which they nest."""

    BOOK = 0  # 第一编、第一部分
    CHAPTER = 1  # 第一章
    SECTION = 2  # 第一节
    ARTICLE = 3  # 第一条
    HAN = 4  # 一、
    HAN_BRACKET = 5  # （一）
    DIGIT = 6  # 1.
    DOTTED = 7  # 1.1, 1.1.1
    DIGIT_BRACKET = 9  # （1）
    CIRCLED = 10  # ①


@dataclass(frozen=True, slots=True)
class Token:
    """编号: the number at the head of a line; ``label`` as a citizen reads it, ``end`` behind it in characters."""

    style: Style
    number: int
    label: str
    end: int
    depth: int = 0  # parts of a dotted number
    suffix: int = 0  # 第三条之二

    @property
    def rank(self) -> float:
        """Place in the nesting, outermost smallest."""
        return self.style + self.depth / 10


_PATTERNS: tuple[tuple[Style, re.Pattern[str]], ...] = (
    (Style.BOOK, re.compile(rf"第\s*([{_CN}\d]{{1,5}})\s*(编|分编|部分|篇)(?![\u4e00-\u9fff]*[，。])")),
    (Style.CHAPTER, re.compile(rf"第\s*([{_CN}\d]{{1,5}})\s*(章)(?=$|[\s\u3000：:、]|[\u4e00-\u9fff])")),
    (Style.SECTION, re.compile(rf"第\s*([{_CN}\d]{{1,5}})\s*(节)(?=$|[\s\u3000：:、]|[\u4e00-\u9fff])")),
    (Style.HAN, re.compile(r"([一二三四五六七八九十百]{1,4})\s?[、．.]")),
    (Style.HAN_BRACKET, re.compile(r"[（(]\s?([一二三四五六七八九十百]{1,4})\s?[）)]")),
    (Style.DOTTED, re.compile(r"(\d{1,2}(?:[.．]\d{1,2}){1,4})(?=[\s\u3000\u4e00-\u9fff])[.．、]?")),
    (Style.DIGIT, re.compile(r"(\d{1,3})\s?[.．、](?!\d)")),
    (Style.DIGIT_BRACKET, re.compile(r"[（(]?\s?(\d{1,3})\s?[）)]")),
    (Style.CIRCLED, re.compile(r"([①-⑳㉑-㉟㊱-㊿])")),
    (Style.DIGIT_BRACKET, re.compile(r"([⑴-⒇])")),
)
_ARTICLE = re.compile(rf"第\s?([{_CN}\d]{{1,8}})\s?条(?:之([一二三四五六七八九十]{{1,3}}))?")
_BY_FIRST: dict[str, tuple[tuple[Style, re.Pattern[str]], ...]] = {
    **dict.fromkeys("第", _PATTERNS[:3]),
    **dict.fromkeys(_CN, _PATTERNS[3:4]),
    **dict.fromkeys("（(", (_PATTERNS[4], _PATTERNS[7])),
    **dict.fromkeys("0123456789０１２３４５６７８９", _PATTERNS[5:8]),
    **dict.fromkeys(
        (chr(c) for c in (*range(0x2460, 0x2474), *range(0x3251, 0x3260), *range(0x32B1, 0x32C0))), _PATTERNS[8:9]
    ),
    **dict.fromkeys((chr(c) for c in range(0x2474, 0x2488)), _PATTERNS[9:]),
}


def match_token(text: str) -> Token | None:
    """The heading number that opens ``text`` (articles aside), None when it opens with none."""
    return _matched(text[:40])


@lru_cache(maxsize=16384)  # each line is looked at by several passes
def _matched(text: str) -> Token | None:
    indent = len(text) - len(text.lstrip(" \t\u3000"))
    for style, pattern in _BY_FIRST.get(text[indent : indent + 1], ()):
        match = pattern.match(text, indent)
        if match:
            return _token(style, match)
    return None


def _token(style: Style, match: re.Match[str]) -> Token | None:
    value = match[1]
    if style is Style.CIRCLED:
        number = int(unicodedata.numeric(value))
        return Token(style, number, value, match.end())
    if style is Style.DIGIT_BRACKET and "⑴" <= value <= "⒇":
        number = ord(value) - ord("⑴") + 1
        return Token(style, number, f"（{number}）", match.end())
    if style is Style.DOTTED:
        parts = [int(part) for part in re.split(r"[.．]", value)]
        return Token(style, parts[-1], ".".join(map(str, parts)), match.end(), depth=len(parts))
    found = numeral(value)
    if found is None:
        return None
    labels = {
        Style.HAN: f"{value}、",
        Style.HAN_BRACKET: f"（{value}）",
        Style.DIGIT: str(found),
        Style.DIGIT_BRACKET: f"（{found}）",
    }
    label = labels.get(style) or f"第{value}{match[2]}"
    return Token(style, found, label, match.end())


def match_article(text: str) -> Token | None:
    """The 第X条 that opens ``text``; whether it is an article or a mention, the sequence decides."""
    match = _ARTICLE.match(text, 0, 40) if text.startswith("第") else None
    if not match:
        return None
    number = numeral(match[1])
    if number is None:
        return None
    suffix = numeral(match[2]) or 0 if match[2] else 0
    label = re.sub(r"\s", "", match[0])
    return Token(Style.ARTICLE, number, label, match.end(), suffix=suffix)


def begins_article(text: str, token: Token, last: tuple[int, int]) -> bool:
    """Whether ``token`` opens a new article after article ``last`` (number, suffix)."""
    place = (token.number, token.suffix)
    rest = text[token.end :]
    set_off = not rest or rest[0] in " \t\u3000：:【[" or rest[0] == "\xa0"
    if place == (last[0] + 1, 0) or (token.suffix and place == (last[0], last[1] + 1)):
        return set_off or not re.match(r"(?:和|、|及|至|到|第|的|所|规定|之规定|中|或|与|以及|款|项)", rest)
    return set_off and place > last and len(rest.strip()) > 0
