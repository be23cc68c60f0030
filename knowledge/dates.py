"""Chinese dates as 公文 print them: ``2020-11-10``, ``2020年11月10日``, ``2020 年 11 月 10 日``, ``二〇二〇年十一月十日``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta

_DIGITS = {c: i for i, c in enumerate("〇一二三四五六七八九")}
_DIGITS |= {"零": 0, "○": 0, "Ｏ": 0, "O": 0, "o": 0, "０": 0, "0": 0, "两": 2}
_UNITS = {"十": 10, "百": 100, "千": 1000}
_SPACE = r"[^\S\n]{0,4}"
_YEAR = rf"(?:19|20)\d\d|[12]{_SPACE}[09]{_SPACE}\d{_SPACE}\d"
_CN_YEAR = rf"[一二](?:{_SPACE}[〇零○ＯOo0０一二三四五六七八九]){{3}}"
_CN_DAY = rf"[一二三四五六七八九十](?:{_SPACE}[一二三四五六七八九十]){{0,2}}"
_ARABIC_DAY = rf"[0-3０-３]?{_SPACE}\d"
_DATE = re.compile(
    rf"(?<!\d)(?P<y>{_YEAR}){_SPACE}(?:年{_SPACE}(?P<m>{_ARABIC_DAY}){_SPACE}月{_SPACE}(?P<d>{_ARABIC_DAY}){_SPACE}日"
    rf"|(?P<sep>[-/.．－]){_SPACE}(?P<m2>\d{{1,2}}){_SPACE}(?P=sep){_SPACE}(?P<d2>\d{{1,2}})(?!\d))"
    rf"|(?P<cy>{_CN_YEAR}){_SPACE}年{_SPACE}(?P<cm>{_CN_DAY}){_SPACE}月{_SPACE}(?P<cd>{_CN_DAY}){_SPACE}日"
)
ASCII_DIGITS = str.maketrans("０１２３４５６７８９", "0123456789")  # keeps every offset
_FIRST = set("12１２一二")
_COMPACT = re.compile(r"^\s*((?:19|20)\d\d)(\d\d)(\d\d)(?:\D|$)")


@dataclass(frozen=True, slots=True)
class DateMatch:
    """日期: one date in a text, with its place in characters."""

    on: date
    start: int
    end: int


def numeral(text: str) -> int | None:
    """The value of ``144``, ``一百四十四``, ``二〇二〇`` or ``十``; None when ``text`` is no numeral."""
    text = re.sub(r"\s", "", text)
    if not text:
        return None
    if text.isdecimal():
        return int(text)
    if any(c not in _DIGITS and c not in _UNITS for c in text):
        return None
    if not any(c in _UNITS for c in text):
        return int("".join(str(_DIGITS[c]) for c in text))
    total, current = 0, 0
    for character in text:
        if character in _UNITS:
            total += (current or 1) * _UNITS[character]
            current = 0
        else:
            current = _DIGITS[character]
    return total + current


def _compose(year: str, month: str, day: str) -> date | None:
    parts = [numeral(part) for part in (year, month, day)]
    if parts[0] is None or parts[1] is None or parts[2] is None:
        return None
    try:
        return date(parts[0], parts[1], parts[2])
    except ValueError:
        return None


def find_dates(text: str) -> tuple[DateMatch, ...]:
    """Every real calendar date in ``text``; impossible ones (``2020年13月40日``) are left out."""
    found = []
    for match in _DATE.finditer(text.translate(ASCII_DIGITS)):
        year = match["y"] or match["cy"]
        month = match["m"] or match["m2"] or match["cm"]
        day = match["d"] or match["d2"] or match["cd"]
        on = _compose(year, month, day)
        if on:
            found.append(DateMatch(on, match.start(), match.end()))
    return tuple(found)


def parse_date(text: str) -> date | None:
    """The first date in ``text`` (metadata values, also ``20201110``), None when it holds none."""
    found = find_dates(text)
    if found:
        return found[0].on
    compact = _COMPACT.match(text)
    return _compose(*compact.groups()) if compact else None


def only_date(text: str) -> date | None:
    """The date of a line that says nothing but a date, brackets aside; None for any other line."""
    stripped = text.strip("（）() \t\u3000。")
    if not 8 <= len(stripped) <= 40 or stripped[0] not in _FIRST:
        return None
    found = find_dates(stripped)
    if len(found) == 1 and found[0].start == 0 and found[0].end == len(stripped):
        return found[0].on
    return None


def years_later(start: date, years: int) -> date:
    """The last day of a period of ``years`` that begins on ``start`` (2024-01-01 and 5 → 2028-12-31)."""
    try:
        end = start.replace(year=start.year + years)
    except ValueError:  # 29 February
        end = date(start.year + years, 3, 1)
    return end - timedelta(days=1)
