"""引用: which other documents a text names, and what it does to them (废止, 修改, 解读)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from knowledge.numbers import NumberMatch, find_numbers


@dataclass(frozen=True, slots=True)
class Citation:
    """引用: another document by canonical number and/or title, and the sentence that says so."""

    number: str
    title: str
    evidence: str


@dataclass(frozen=True, slots=True)
class TitleMatch:
    """书名号: one title between 《》, ``start`` and ``end`` around the marks."""

    title: str
    start: int
    end: int


_SENTENCE_END = re.compile(r"[。！？!?\n]")
_REPEAL = re.compile(r"废止|停止执行|不再执行|自行失效|宣布失效|同时失效|终止执行")
_REPEAL_TITLE = re.compile(r"关于(?:宣布)?(?:废止|停止执行|宣布失效)")
_LISTED = re.compile(r"^(?:下列|以下|如下)?[^《。；]{0,12}《")
_LIST_LINE = re.compile(r"^\s*(?:[（(]?[\d一二三四五六七八九十]{1,3}[.．、）)])?\s*《")
_AMEND_TITLE = re.compile(r"关于(?:修改|修订|修正|调整|部分修改)(?=.{0,30}[《〈])")
_AMEND = re.compile(
    r"(?:决定)?(?:对|将)[^。；]{0,80}?(?:作出?(?:如下|以下)?(?:修改|修订|修正|调整)|进行修改|予以修改)|修改如下|作如下修改"
)
_INTERPRET = re.compile(r"解读|图解|一图读懂|读懂|问答|起草说明|政策说明")
_LONGEST_TITLE = 200


def find_titles(text: str) -> tuple[TitleMatch, ...]:
    """Every outermost 《…》 of at most 200 characters; inner 《》 and 〈〉 belong to the title."""
    found = []
    stack: list[int] = []
    for place, character in enumerate(text):
        if character == "《":
            if stack and place - stack[0] > _LONGEST_TITLE:
                stack.clear()
            stack.append(place)
        elif character == "》" and stack:
            start = stack.pop()
            if not stack and place - start <= _LONGEST_TITLE:
                title = tidy_title(text[start + 1 : place])
                if title:
                    found.append(TitleMatch(title, start, place + 1))
    return tuple(found)


def tidy_title(text: str) -> str:
    """A title without the spaces and line breaks of its setting; one space stays between joint issuers and Latin words."""
    pieces = text.split()
    joined = "".join(pieces[:1])
    for piece in pieces[1:]:
        joined += (" " if _keeps_space(joined, piece) else "") + piece
    return joined


_ORGAN_END = re.compile(r"(?:局|委员会|委|办公室|办公厅|部|厅|政府|院|署|总局|中心|银行|会|公司|支队|大队|组)$")
_ORGAN_START = re.compile(
    r"^[\u4e00-\u9fff（）]{2,24}?(?:局|委员会|委|办公室|办公厅|部|厅|政府|院|署|总局|中心|银行|会|公司|支队|大队)(?=关于|印发|转发|$|等|的)"
)


def _keeps_space(left: str, right: str) -> bool:
    if left[-1].isascii() and left[-1].isalnum() and right[0].isascii() and right[0].isalnum():
        return True
    return bool(_ORGAN_END.search(left)) and bool(_ORGAN_START.match(right))


def sentence_around(text: str, place: int) -> str:
    """The sentence that holds ``place``."""
    start = max((text.rfind(mark, max(0, place - 600), place) for mark in "。！？\n"), default=-1) + 1
    end = _SENTENCE_END.search(text, place)
    return text[start : end.end() if end else min(len(text), place + 600)].strip()


def _pairs(text: str) -> list[tuple[NumberMatch | None, TitleMatch | None]]:
    """Titles with the number in the bracket behind them, and numbers that stand alone."""
    numbers = list(find_numbers(text))
    pairs: list[tuple[NumberMatch | None, TitleMatch | None]] = []
    taken: set[int] = set()
    for title in find_titles(text):
        following = next((n for n in numbers if title.end <= n.start <= title.end + 3), None)
        if following is not None:
            taken.add(following.start)
        pairs.append((following, title))
    pairs += [(number, None) for number in numbers if number.start not in taken and not _within(number, pairs)]
    return pairs


def _within(number: NumberMatch, pairs: Iterable[tuple[NumberMatch | None, TitleMatch | None]]) -> bool:
    return any(title is not None and title.start < number.start < title.end for _, title in pairs)


def _citations(sentence: str) -> list[Citation]:
    return [
        Citation(number.canonical if number else "", title.title if title else "", sentence)
        for number, title in _pairs(sentence)
    ]


def repeals(title: str, text: str) -> tuple[Citation, ...]:
    """What the document repeals: sentences that say so, lists under 「下列文件予以废止：」, a title 关于废止…."""
    found: list[Citation] = []
    listing = bool(_REPEAL_TITLE.search(title))
    if listing:
        found += _citations(title)
    for sentence in _sentences(text):
        if len(sentence) > 3000:
            continue
        match = _REPEAL.search(sentence)
        if match:
            behind = sentence[match.end() :]
            clause = (
                behind
                if _LISTED.match(behind)
                else sentence[sentence.rfind("；", 0, match.start()) + 1 : match.start()]
            )
            found += [Citation(c.number, c.title, sentence) for c in _citations(clause)]
            listing = listing or sentence.endswith(("：", ":"))
        elif listing and _LIST_LINE.match(sentence):
            found += _citations(sentence)
        elif not _REPEAL_TITLE.search(title):
            listing = False
    return _unique(found)


def amends(title: str, text: str) -> tuple[Citation, ...]:
    """What the document changes: 关于修改《…》的决定, 对《…》作如下修改."""
    found: list[Citation] = []
    for sentence in _sentences(text):
        if len(sentence) > 3000:
            continue
        match = _AMEND.search(sentence)
        if match:
            clause = sentence[max(0, match.start() - 200) : match.end()]
            found += [Citation(c.number, c.title, sentence) for c in _citations(clause) if c.title]
    match = _AMEND_TITLE.search(title)
    if match:
        found += [Citation(c.number, c.title, title) for c in _citations(title[match.end() :]) if c.title]
    return _unique(found)


def interprets(title: str, text: str) -> Citation | None:
    """The document that a 政策解读 explains: the one in its title, its number from the text."""
    if not _INTERPRET.search(title):
        return None
    titles = find_titles(title)
    target = max((t.title for t in titles), key=len, default="")
    opening = text[:3000]
    pairs = _pairs(opening)
    for number, match in pairs:
        if match is not None and number is not None and (not target or _same(match.title, target)):
            return Citation(number.canonical, target or match.title, sentence_around(opening, match.start))
    for _, match in pairs:
        if match is not None and target and _same(match.title, target):
            return Citation("", target, sentence_around(opening, match.start))
    if target:
        return Citation("", target, title)
    return None


def _same(left: str, right: str) -> bool:
    def plain(text: str) -> str:
        return re.sub(r"[\s《》〈〉（）()]", "", text)

    one, other = plain(left), plain(right)
    return one == other or (len(other) >= 6 and (other in one or one in other) and "试行" not in one.replace(other, ""))


def _sentences(text: str) -> Iterable[str]:
    start = 0
    for match in _SENTENCE_END.finditer(text):
        if match.end() - start > 1:
            yield text[start : match.end()].strip()
        start = match.end()
    if text[start:].strip():
        yield text[start:].strip()


def _unique(found: list[Citation]) -> tuple[Citation, ...]:
    """Each document once; a bare number or title gives way to the pair that holds it."""
    kept: dict[tuple[str, str], Citation] = {}
    for citation in found:
        kept.setdefault((citation.number, citation.title), citation)
    numbers = {c.number for c in kept.values() if c.title}
    titles = {c.title for c in kept.values() if c.number}
    return tuple(
        c
        for c in kept.values()
        if (c.number or c.title)
        and not (not c.title and c.number in numbers)
        and not (not c.number and c.title in titles)
    )
