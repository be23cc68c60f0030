"""理解问题: a question as typed → the question as meant, in words that documents use.

Pinyin is turned into characters, slips of the pen are put right where the library leaves no doubt, and sayings of the
dictionary are joined by the official words for them. Years and organs become filters only where the question asks
for documents of that year or organ; 文号 and titles are the searcher's business (:mod:`knowledge.references`). Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from knowledge import analysis, pinyin, typos
from knowledge.lexicon import Lexicon
from knowledge.model import Filters, Organ
from knowledge.vocabulary import Vocabulary

MOST_EXPANDED = 8
"""Official words that are added at most: more would drown the question."""
MOST_READ = 300
"""Characters of a question that are looked at for sayings and slips; further on, letters tell stories."""

_YEAR_OF_DOCUMENTS = re.compile(
    r"(?<!\d)((?:19|20)\d\d)年(?:度|份)?(?:的|里|内)?(?:(?:新?发布|印发|出台|下发|公布|制定|新?发)的?)?"
    r"(?:政策|规范性|红头|政府)?文件"
)
_OF_ORGAN = r"(?:的|(?:最近|新)?(?:发布|印发|出台|下发|公布|制定|发)(?:过|了)?的?)(?:所有|哪些|什么|有关)?(?:政策|规范性|红头)?(?:文件|政策|通知)"
_COUNTY = re.compile(r"^[㐀-鿿]{2,6}?(?:自治县|县|市|区|旗)")


@dataclass(frozen=True, slots=True)
class Understood:
    """理解: what is searched for. ``text`` is the question itself where nothing had to be put right."""

    text: str
    expanded: tuple[str, ...] = ()  # official words that are not in the question
    filters: Filters = field(
        default_factory=Filters
    )  # the conditions that the question states, joined to those that were given
    corrected: str = ""  # the question as understood after repair, empty without one
    stated: bool = False  # whether the question states a condition of its own


def understand(
    text: str, lexicon: Lexicon, vocabulary: Vocabulary, organs: Sequence[Organ] = (), filters: Filters | None = None
) -> Understood:
    """Read a question. ``filters`` are conditions that the asker chose; they are never overruled."""
    given = filters or Filters()
    head, tail = text[:MOST_READ], text[MOST_READ:]
    repaired = typos.repair(pinyin.to_characters(head, vocabulary), vocabulary)
    changed = repaired != head
    asked = analysis.normalise(repaired)
    organ = "" if given.organ or given.documents else _organ_of_documents(asked, organs)
    year = _YEAR_OF_DOCUMENTS.search(asked) if given.year is None and not given.number else None
    return Understood(
        text=repaired + tail,
        expanded=_expanded(asked, lexicon, organs),
        filters=Filters(
            organ=organ or given.organ,
            year=int(year[1]) if year else given.year,
            number=given.number,
            topic=given.topic,
            audience=given.audience,
            kind=given.kind,
            validity=given.validity,
            documents=given.documents,
        ),
        corrected=repaired + tail if changed else "",
        stated=bool(organ or year),
    )


def _expanded(asked: str, lexicon: Lexicon, organs: Sequence[Organ]) -> tuple[str, ...]:
    named = []
    if _other_names(organs).search(asked):
        named = [(organ, name) for organ in organs for name in (_alias_in(organ, asked),) if name]
    # 「医保局」 names an organ and says nothing about 医保.
    matters = asked
    for _, name in named:
        matters = matters.replace(name, " " * len(name))
    words = [official for said in lexicon.spoken(matters) for official in said.official]
    words += [_COUNTY.sub("", organ.name) for organ, _ in named]
    return tuple(dict.fromkeys(word for word in words if word and word not in asked))[:MOST_EXPANDED]


def _other_names(organs: Sequence[Organ]) -> re.Pattern[str]:
    """Finds a text that holds any other name of any organ: nearly none does, and few need a closer look."""
    global _latest
    if _latest[0] is not organs:
        names = {name for organ in organs for name in (organ.short_name, *organ.aliases) if len(name) > 2}
        _latest = (organs, re.compile("|".join(map(re.escape, sorted(names))) or _NEVER))
    return _latest[1]


_NEVER = "(?!)"
_latest: tuple[Sequence[Organ], re.Pattern[str]] = ((), re.compile(_NEVER))
"""The directory that was asked about last; a library hands in the same object until it changes."""


def _alias_in(organ: Organ, asked: str) -> str:
    """The longest other name of the organ that the question holds."""
    names = [name for name in (organ.short_name, *organ.aliases) if len(name) > 2 and name in asked]
    return "" if organ.name in asked else max(names, key=len, default="")


def _organ_of_documents(asked: str, organs: Sequence[Organ]) -> str:
    """The organ whose documents are asked for: 「县医保局发布的文件」, 「民政局的政策文件」."""
    if "文件" not in asked and "政策" not in asked and "通知" not in asked:
        return ""
    for organ in organs:
        for name in (organ.name, organ.short_name, *organ.aliases):
            if len(name) > 2 and name in asked and re.search(re.escape(name) + _OF_ORGAN, asked):
                return organ.name
    return ""
