"""点名文件: finding the document that a question names by its 文号 or its title, also when it is misspelt.

「会政办发〔2020〕144号」, 「临州办发2020 48」, 「48号文」, 《…》 with two wrong characters, or a title without its marks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz import fuzz, process

from knowledge.analysis import normalise

_OPENING, _CLOSING = r"[〔\[({【「<《]", r"[〕\])}】」>》]"
_NUMBER = re.compile(rf"^(.*?){_OPENING}?((?:19|20)\d\d){_CLOSING}?年?第?(\d{{1,4}})号?$")
_ASKED_NUMBER = re.compile(
    rf"([㐀-鿿]{{2,20}}){_OPENING}?\s*((?:19|20)\d\d)\s*{_CLOSING}?[年,\s]*第?\s*(\d{{1,4}})(?!\d)(?:\s*号)?(?![年月日.%])(?:文件?)?"
)
_NUMBER_WORD = re.compile(r"(?:发|办|函|字|规|令|文|通|告|政|党|委|府|局|厅)$")
_SHORT_NUMBER = re.compile(r"(?<![\d号])第?(\d{1,4})号文件?")
_QUOTED = re.compile(r"《([^《》]{2,80})》")
_TITLE_LIKE = re.compile(
    r"[㐀-鿿0-9a-z()、“”\"]{6,70}(?:方案|通知|办法|细则|规定|意见|条例|指南|要点|预案|规划|公告|通告|计划|目录|制度|规程)"
)
_WRAPPING = re.compile(
    r"^.{0,24}?关于(?:印发|转发|公布|发布|下达)?|(?:\(试行\)|\(修订\))|的?(?:通知|公告|通告)$|[《》\s]"
)
_LIKE = 82.0


@dataclass(frozen=True, slots=True)
class Reference:
    """点名: the documents that a question names, and what else it says.

    ``exact`` means that a full 文号 or an exact title was given; ``rest`` is the normalised question without the name.
    """

    documents: frozenset[str]
    exact: bool
    rest: str


NOBODY = Reference(frozenset(), False, "")


class Registry:
    """Numbers and titles of the library, split once for many lookups."""

    def __init__(self, titles: Sequence[tuple[str, str, str]]) -> None:
        self.source = titles
        self._ids = [document for document, _, _ in titles]
        self._titles = [normalise(title) for _, title, _ in titles]
        self._bare = [bare_title(title) or title for title in self._titles]
        self._numbers: dict[int, list[tuple[str, str, str]]] = {}
        for document, _, number in titles:
            found = _NUMBER.match(normalise(number).replace(" ", "")) if number else None
            if found:
                self._numbers.setdefault(int(found[3]), []).append((found[1], found[2], document))

    def named(self, question: str) -> Reference:
        """The documents that ``question`` names. Pure; a few microseconds unless it looks like naming one."""
        text = normalise(question)
        if "号" in text or "20" in text or "19" in text:
            found = self._by_number(text)
            if found.documents:
                return found
        quoted = _QUOTED.search(text)
        if quoted:
            return self._by_title(quoted[1], text.replace(quoted[0], " "), loose=True)
        if len(text) >= 8:
            like = _TITLE_LIKE.search(text)
            if like:
                return self._by_title(like[0], text.replace(like[0], " "), loose=False)
        return NOBODY

    def by_number(self, number: str) -> frozenset[str]:
        """Documents whose 文号 is ``number``, however it is written."""
        return self._by_number(normalise(number)).documents

    def nearest_titles(self, question: str, most: int) -> list[str]:
        """Titles that resemble the question a little, best first: something to offer on a miss."""
        found = process.extract(
            normalise(question), self._titles, scorer=fuzz.partial_ratio, limit=most, score_cutoff=45.0
        )
        return [self.source[place][1] for _, _, place in found]

    def _by_number(self, text: str) -> Reference:
        for match in _ASKED_NUMBER.finditer(text):
            written = "号" in match[0] or _NUMBER_WORD.search(match[1])
            same = [(p, d) for p, year, d in self._numbers.get(int(match[3]), ()) if year == match[2]]
            if not same or not written:
                continue
            near = [(fuzz.partial_ratio(prefix, match[1]), d) for prefix, d in same]
            best = max(score for score, _ in near)
            if best >= 60.0:
                named = frozenset(d for score, d in near if score == best)
                return Reference(named, len(named) == 1, text.replace(match[0], " "))
        short = _SHORT_NUMBER.search(text)
        if short:
            same_serial = frozenset(d for _, _, d in self._numbers.get(int(short[1]), ()))
            if 0 < len(same_serial) <= 8:
                return Reference(same_serial, False, text.replace(short[0], " "))
        return NOBODY

    def _by_title(self, name: str, rest: str, *, loose: bool) -> Reference:
        bare = bare_title(name) or name
        found = process.extract(bare, self._bare, scorer=fuzz.ratio, limit=5, score_cutoff=_LIKE)
        if not found and loose and len(bare) >= 4:
            # 《…》 often holds a part of the title.
            found = process.extract(
                bare, self._bare, scorer=fuzz.partial_ratio, limit=5, score_cutoff=92.0, processor=None
            )
            found = [f for f in found if len(f[0]) >= len(bare)]
        if not found:
            return NOBODY
        best = found[0][1]
        named = frozenset(self._ids[place] for _, score, place in found if score >= best - 1.0)
        return Reference(named, best >= 99.0 and len(named) == 1, rest)


def bare_title(title: str) -> str:
    """A normalised title without issuer, 「关于印发…的通知」 and marks: what people remember of it."""
    return _WRAPPING.sub("", title)
