"""Automatic numbering of word processors, written out as the reader of the page sees it: 一、 （一） 1. ①."""

from __future__ import annotations

_DIGITS = "〇一二三四五六七八九"
_LEGAL = "零壹贰叁肆伍陆柒捌玖"
_ROMAN = (
    (1000, "m"),
    (900, "cm"),
    (500, "d"),
    (400, "cd"),
    (100, "c"),
    (90, "xc"),
    (50, "l"),
    (40, "xl"),
    (10, "x"),
    (9, "ix"),
    (5, "v"),
    (4, "iv"),
    (1, "i"),
)
_COUNTING = {
    "chineseCounting",
    "chineseCountingThousand",
    "japaneseCounting",
    "taiwaneseCounting",
    "taiwaneseCountingThousand",
    "ideographEnclosedCircle",
    "koreanCounting",
}
_DIGITAL = {"ideographDigital", "japaneseDigitalTenThousand", "taiwaneseDigital", "koreanDigital", "koreanDigital2"}
_LEGALS = {"chineseLegalSimplified", "ideographLegalTraditional", "japaneseLegal"}


def chinese(number: int, digits: str = _DIGITS, units: str = "十百千") -> str:
    """一百二十三 for 123; 1 to 9999, Arabic figures beyond."""
    if not 0 < number < 10_000:
        return str(number)
    text, gap = "", False
    for place in (3, 2, 1, 0):
        digit = number // 10**place % 10
        if not digit:
            gap = bool(text)
            continue
        text += (digits[0].replace("〇", "零") if gap else "") + digits[digit] + (units[place - 1] if place else "")
        gap = False
    return text.removeprefix(digits[1]) if digits is _DIGITS and 10 <= number < 20 else text


def figure(number: int, style: str) -> str:
    """``number`` in a number format of OOXML (``w:numFmt``); bullets and unknown pictures give nothing."""
    if style in ("none", "bullet") or number < 0:
        return ""
    if style in _COUNTING:
        return chinese(number)
    if style in _DIGITAL:
        return "".join(_DIGITS[int(digit)] for digit in str(number))
    if style in _LEGALS:
        return chinese(number, _LEGAL, "拾佰仟")
    if style in ("upperRoman", "lowerRoman") and 0 < number < 4000:
        return _roman(number).upper() if style == "upperRoman" else _roman(number)
    if style in ("upperLetter", "lowerLetter") and 0 < number <= 26 * 20:
        letter = chr(ord("a") + (number - 1) % 26) * ((number - 1) // 26 + 1)
        return letter.upper() if style == "upperLetter" else letter
    if style.startswith("decimalEnclosedCircle") and 0 < number <= 50:
        return chr(0x245F + number if number <= 20 else 0x323C + number if number <= 35 else 0x328D + number)
    if style == "decimalEnclosedParen" and 0 < number <= 20:
        return chr(0x2473 + number)
    if style == "decimalEnclosedFullstop" and 0 < number <= 20:
        return chr(0x2487 + number)
    if style in ("decimalFullWidth", "decimalFullWidth2"):
        return str(number).translate({ord("0") + n: ord("０") + n for n in range(10)})
    if style == "decimalZero":
        return f"{number:02d}"
    if style == "ideographTraditional" and 0 < number <= 10:
        return "甲乙丙丁戊己庚辛壬癸"[number - 1]
    if style == "ideographZodiac" and 0 < number <= 12:
        return "子丑寅卯辰巳午未申酉戌亥"[number - 1]
    return str(number)


def _roman(number: int) -> str:
    text = ""
    for value, letters in _ROMAN:
        count, number = divmod(number, value)
        text += letters * count
    return text
