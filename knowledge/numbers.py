"""发文字号: finding and comparing document numbers (GB/T 9704-2012 §7.2.5).

One number is written in many ways: 〔〕 or [] or （）, spaces, full-width digits, 「第144号」, a Chinese year, a line
break inside. ``canonical`` brings all of them to ``会政办发〔2020〕144号``; orders and announcements to
``国务院令第711号`` and ``财政部公告2020年第2号``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from knowledge.dates import ASCII_DIGITS, numeral

_OPEN, _CLOSE = "〔\\[［(（【〈<﹝", "〕\\]］)）】〉>﹞"
_YEAR = r"(?:19|20)\d\d|[12]\s?[09]\s?\d\s?\d|[一二][〇零○ＯOo0０一二三四五六七八九]{3}"
_SERIAL = r"\d(?:\s?\d){0,4}|[〇零○一二三四五六七八九十百千]{1,7}"
_BRACKETED = re.compile(
    rf"[{_OPEN}]\s{{0,4}}(?P<year>{_YEAR})\s{{0,4}}年?[{_CLOSE}]\s{{0,4}}(?:第\s{{0,4}})?(?P<serial>{_SERIAL})\s{{0,4}}号"
)
_ORDER = re.compile(
    rf"(?P<kind>令|公告|通告)\s{{0,6}}[（(〔\[]?\s{{0,4}}(?:(?P<year>{_YEAR})\s{{0,4}}年?[）)〕\]]?\s{{0,4}})?"
    rf"第\s{{0,4}}(?P<serial>{_SERIAL})\s{{0,4}}号"
)
# What citizens type: no brackets, no 号.
_LENIENT = re.compile(
    rf"[{_OPEN}]?\s{{0,4}}(?P<year>(?:19|20)\d\d)\s{{0,4}}年?[{_CLOSE}]?\s{{0,4}}(?:第\s{{0,4}})?"
    r"(?P<serial>(?<![\d])\d{1,4})(?!\s{0,4}[\d年月日个万元%．.])\s{0,4}号?"
)
_LONGEST_SYMBOL = 14
_LONGEST_ORGAN = 24
# Words before a number in running text; the symbol begins behind the last of them. The red head ends in 文件.
_BEFORE = re.compile(
    "文件|根据|依据|依照|按照|遵照|参照|执行|落实|贯彻|以及|详见|参见|转发|下发|印发|发布|公布|通过|关于|废止|替代|修改"
    "|现将|现就|请问|所称|中的|这份|查询|通知|意见|办法|方案|规定|决定|文号|字号|编号|要求|其中|并按|包括|规范性|现行|原文|同意|如下|附件"
)
_ORGAN_ENDS = re.compile("人民政府|办公室|办公厅|委员会|领导小组|指挥部|联席会议")
_TYPE_LETTERS = "发函通规办字令电"  # what a symbol ends with; asked for where the brackets are missing
_LEADING = "和及与或即原见以按据由经在对为是将把"
_ORDER_ALIASES = (("中华人民共和国国务院令", "国务院令"), ("中华人民共和国主席令", "主席令"), ("国令", "国务院令"))


@dataclass(frozen=True, slots=True)
class NumberMatch:
    """文号: one number in a text; ``text`` as printed, ``start`` and ``end`` in characters."""

    canonical: str
    text: str
    start: int
    end: int


def _is_hanzi(character: str) -> bool:
    return "\u4e00" <= character <= "\u9fff" or character == "〇"


def _run_before(text: str, end: int, longest: int, floor: int) -> tuple[int, str]:
    """Walk back from ``end``, not below ``floor``, over the letters of a symbol: (start, letters without spaces)."""
    letters: list[str] = []
    place = end
    start = end
    crossed = False
    while place > floor and len(letters) < longest + 16:
        character = text[place - 1]
        if _is_hanzi(character):
            letters.append(character)
            place -= 1
            start = place
            continue
        if not character.isspace():
            break
        gap = place
        while gap > floor and text[gap - 1].isspace() and place - gap < 40:
            gap -= 1
        broken = "\n" in text[gap:place] or "\r" in text[gap:place]
        if gap <= floor or not _is_hanzi(text[gap - 1]):
            break
        if broken:
            # A symbol at the head of a line is whole, unless the number stands in brackets opened on the line above.
            if letters and (crossed or not _opened_before(text, gap, longest)):
                break
            crossed = True
        elif letters and (len(letters) > 1 or place - gap > 1) and not _letter_spaced(text, gap):
            break
        place = gap
    return start, "".join(reversed(letters))


def _opened_before(text: str, end: int, longest: int) -> bool:
    place = end
    while place > 0 and end - place <= longest and _is_hanzi(text[place - 1]):
        place -= 1
    return place < end and place > 0 and text[place - 1] in "（(、，,《》和及"


def _letter_spaced(text: str, end: int) -> bool:
    """True where the letter before ``end`` itself stands alone between spaces (「会 政 办 发」)."""
    return end < 2 or (not _is_hanzi(text[end - 2]) and text[end - 2] not in "，。、；：）》")


def _trim(letters: str, after_number: bool) -> str:
    """Cut what is not part of the symbol from the left."""
    cut = 0
    for match in _BEFORE.finditer(letters):
        if len(letters) - match.end() >= 2:
            cut = match.end()
    letters = letters[cut:]
    if len(letters) > 8:
        cut = 0
        for match in _ORGAN_ENDS.finditer(letters):
            cut = match.end() if 2 <= len(letters) - match.end() <= 8 else cut
        letters = letters[cut:]
    if letters and letters[0] in _LEADING and len(letters) > 3 and (after_number or letters[0] in "以按据由经将把"):
        letters = letters[1:]
    # No word to cut at: 县政办发 and its like have four letters.
    return letters if len(letters) <= _LONGEST_SYMBOL else letters[-4:]


def _trim_organ(letters: str) -> str:
    cut = 0
    for match in _BEFORE.finditer(letters):
        cut = match.end()
    letters = letters[cut:]
    while letters and letters[0] in _LEADING and len(letters) > 2:
        letters = letters[1:]
    return letters if 1 <= len(letters) <= _LONGEST_ORGAN else ""


def _order_name(letters: str, kind: str) -> str:
    name = letters + kind
    for long, short in _ORDER_ALIASES:
        if name == long or (name.endswith(long) and len(long) > 3):
            return short
    return name.removeprefix("中华人民共和国")


def find_numbers(text: str, *, lenient: bool = False) -> tuple[NumberMatch, ...]:
    """Every document number in ``text`` in reading order, without overlaps.

    ``lenient`` also accepts what citizens type (「会政办发2020 144号」, 「国办发〔2020〕17」). Linear in the length of ``text``.
    """
    found: list[NumberMatch] = []
    printed, text = text, text.translate(ASCII_DIGITS)
    for match in _BRACKETED.finditer(text):
        floor = found[-1].end if found else 0
        start, letters = _run_before(text, match.start(), _LONGEST_SYMBOL, floor)
        symbol = _trim(letters, bool(found) and start <= floor + 1)
        year, serial = numeral(match["year"]), numeral(match["serial"])
        if len(symbol) < 2 or year is None or serial is None or not 1949 <= year <= 2100:
            continue
        begin = _begin(text, start, match.start(), symbol)
        found.append(NumberMatch(f"{symbol}〔{year}〕{serial}号", printed[begin : match.end()], begin, match.end()))
    taken = [(item.start, item.end) for item in found]
    orders: list[NumberMatch] = []
    for match in _ORDER.finditer(text):
        if any(begin < match.end() and match.start() < end for begin, end in _near(taken, match.start())):
            continue
        floor = orders[-1].end if orders else 0
        start, letters = _run_before(text, match.start(), _LONGEST_ORGAN, floor)
        organ = _trim_organ(letters)
        serial = numeral(match["serial"])
        if not organ or serial is None:
            continue
        year_text = f"{numeral(match['year'])}年" if match["year"] else ""
        begin = _begin(text, start, match.start(), organ)
        name = _order_name(organ, match["kind"])
        orders.append(NumberMatch(f"{name}{year_text}第{serial}号", printed[begin : match.end()], begin, match.end()))
    found = sorted([*found, *orders], key=lambda item: item.start)
    if lenient:
        found = _with_lenient(printed, text, found)
    return tuple(found)


def _near(taken: list[tuple[int, int]], place: int) -> list[tuple[int, int]]:
    """The spans that may touch ``place``; ``taken`` is sorted, so a bisection keeps the search linear overall."""
    low, high = 0, len(taken)
    while low < high:
        middle = (low + high) // 2
        if taken[middle][1] <= place:
            low = middle + 1
        else:
            high = middle
    return taken[low : low + 2]


def _with_lenient(printed: str, text: str, found: list[NumberMatch]) -> list[NumberMatch]:
    taken = [(item.start, item.end) for item in found]
    extra = []
    for match in _LENIENT.finditer(text):
        if any(begin < match.end() and match.start() < end for begin, end in _near(taken, match.start())):
            continue
        start, letters = _run_before(text, match.start(), _LONGEST_SYMBOL, 0)
        symbol = _trim(letters, False)
        if len(symbol) < 2 or symbol[-1] not in _TYPE_LETTERS:
            continue
        begin = _begin(text, start, match.start(), symbol)
        canonical_form = f"{symbol}〔{int(match['year'])}〕{int(match['serial'])}号"
        extra.append(NumberMatch(canonical_form, printed[begin : match.end()], begin, match.end()))
    return sorted([*found, *extra], key=lambda item: item.start)


def _begin(text: str, start: int, end: int, symbol: str) -> int:
    """Where ``symbol`` begins: its letters are the last of ``text[start:end]``, spaces aside."""
    missing = len(symbol)
    place = end
    while place > start and missing:
        place -= 1
        if not text[place].isspace():
            missing -= 1
    return place


def canonical(text: str) -> str:
    """The canonical form of the first number in ``text``, empty when there is none (lenient)."""
    found = find_numbers(text, lenient=True)
    return found[0].canonical if found else ""


def only_number(text: str) -> NumberMatch | None:
    """The number of a line that says nothing else (bar 签发人 and brackets), None for any other line."""
    if len(text) > 80:
        return None
    found = find_numbers(text)
    if not found:
        return None
    first = found[0]
    before = re.sub(r"[（(【\s发文字号：:]", "", text[: first.start])
    after = re.split(r"签发人", text[found[0].end :])[0].strip("）)】 \t\u3000")
    return first if not before and not after else None
