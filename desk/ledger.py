"""公开台账: what has been disclosed, how fast and with what explanation.

For the inspection that every office knows: documents by 公开属性 and year; from formation to publication within 20 working
days (条例 art. 26); policies with and without an interpretation, by issuer. Counting only: nothing here decides or writes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any

from openpyxl import Workbook
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Alignment, Font

from knowledge.library import Library
from knowledge.model import DisclosureAttribute, DocumentKind, LinkKind, PolicyDocument, Stage
from register.calendar import WorkCalendar
from register.errors import CalendarUnknown

WORKING_DAYS = 20
"""条例 art. 26: within 20 working days of formation or change."""

ATTRIBUTE_LABELS = {
    DisclosureAttribute.PUBLIC: "主动公开",
    DisclosureAttribute.REDACTED: "删减后公开",
    DisclosureAttribute.ON_REQUEST: "依申请公开",
    DisclosureAttribute.SECRET: "不公开",
    DisclosureAttribute.UNKNOWN: "未标明",
}
_CLOSED = (DisclosureAttribute.ON_REQUEST, DisclosureAttribute.SECRET)


class Timeliness(StrEnum):
    """公开时效 of one document against the 20 working days."""

    IN_TIME = "in_time"  # 按期公开
    LATE = "late"  # 逾期公开
    PENDING = "pending"  # 待公开，未到期
    OVERDUE = "overdue"  # 逾期未公开
    UNKNOWN = "unknown"  # 无法判断

    @property
    def label(self) -> str:
        """The word that staff read."""
        return _TIMELINESS_LABELS[self]


_TIMELINESS_LABELS = {
    Timeliness.IN_TIME: "按期公开",
    Timeliness.LATE: "逾期公开",
    Timeliness.PENDING: "待公开（未到期）",
    Timeliness.OVERDUE: "逾期未公开",
    Timeliness.UNKNOWN: "无法判断",
}


@dataclass(frozen=True, slots=True)
class YearCount:
    """年度件数: documents of one year by 公开属性. ``year`` 0 stands for texts without a 成文日期.

    ``closed_share`` is the share (0..1) of 依申请公开 and 不公开 among those whose attribute is stated, None when none is.
    ``falling`` says whether that share is lower than in the year before (None: no comparison).
    """

    year: int
    counts: Mapping[DisclosureAttribute, int]
    closed_share: float | None
    falling: bool | None

    @property
    def total(self) -> int:
        """All documents of the year."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Publication:
    """公开时效记录: from formation to publication of one document. ``due`` is the 20th working day, ``working_days`` what it
    took; ``provisional`` when the holiday notice of a year is missing; ``reason`` (Chinese) where something is unknown."""

    document: str
    title: str
    number: str
    issuer: str
    formed_on: date | None
    published_on: date | None
    due: date | None
    working_days: int | None
    timeliness: Timeliness
    provisional: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Uninterpreted:
    """未解读文件: a published policy without an interpretation."""

    document: str
    title: str
    number: str
    written_on: date | None


@dataclass(frozen=True, slots=True)
class IssuerShare:
    """解读率 of one issuer: ``interpreted`` of ``policies`` have a confirmed interpretation."""

    issuer: str
    policies: int
    interpreted: int
    lacking: tuple[Uninterpreted, ...]

    @property
    def share(self) -> float:
        """0..1."""
        return self.interpreted / self.policies if self.policies else 0.0


@dataclass(frozen=True, slots=True)
class Ledger:
    """公开台账 as of a day. Withdrawn documents are not counted."""

    as_of: date
    documents: int
    years: tuple[YearCount, ...]  # newest first, texts without a date last
    publications: tuple[Publication, ...]  # what needs attention first
    issuers: tuple[IssuerShare, ...]  # most lacking first

    @property
    def timeliness(self) -> dict[Timeliness, int]:
        """How many publications are in each state."""
        found = Counter(p.timeliness for p in self.publications)
        return {state: found[state] for state in Timeliness}

    @property
    def policies(self) -> int:
        """Published policies."""
        return sum(i.policies for i in self.issuers)

    @property
    def interpreted(self) -> int:
        """Published policies with an interpretation."""
        return sum(i.interpreted for i in self.issuers)


def ledger(library: Library, calendar: WorkCalendar, today: date) -> Ledger:
    """The ledger of a library; nothing is changed."""
    documents = [d for d in library.documents(staff=True) if d.stage is not Stage.WITHDRAWN]
    open_ids = {d.id for d in library.documents()}
    links = library.links_between(LinkKind.INTERPRETS)
    interpreted = {link.target for link in links if link.source in open_ids}
    entered = library.entered_on()
    return Ledger(
        as_of=today,
        documents=len(documents),
        years=count_years(documents),
        publications=_most_urgent_first(
            publication(d, entered.get(d.id), calendar, today) for d in documents if _has_clock(d)
        ),
        issuers=share_by_issuer(documents, interpreted),
    )


# --- pure parts ------------------------------------------------------------------------------------------------------


def count_years(documents: Iterable[PolicyDocument]) -> tuple[YearCount, ...]:
    """Documents by year of 成文 and attribute, newest year first."""
    counts: dict[int, Counter[DisclosureAttribute]] = defaultdict(Counter)
    for document in documents:
        counts[document.written_on.year if document.written_on else 0][document.attribute] += 1
    result: list[YearCount] = []
    before: float | None = None
    for year in sorted(counts):
        share = _closed_share(counts[year])
        falling = share < before if year and share is not None and before is not None else None
        result.append(YearCount(year, {a: counts[year][a] for a in DisclosureAttribute}, share, falling))
        if year:
            before = share if share is not None else before
    return tuple(sorted(result, key=lambda y: y.year, reverse=True))


def _closed_share(counts: Mapping[DisclosureAttribute, int]) -> float | None:
    stated = sum(n for attribute, n in counts.items() if attribute is not DisclosureAttribute.UNKNOWN)
    return sum(counts.get(a, 0) for a in _CLOSED) / stated if stated else None


def _has_clock(document: PolicyDocument) -> bool:
    """Art. 26 binds what the office itself has to publish: its own policies, not laws or what is withheld."""
    return document.kind is DocumentKind.POLICY and document.attribute.open_to_citizens


def publication(document: PolicyDocument, entered_on: date | None, calendar: WorkCalendar, today: date) -> Publication:
    """One document against the 20 working days.

    The library sets 发布日期 to the day of entry where the text names none: that day proves publication in time, but never
    a delay, since the text may have been published elsewhere long before.
    """
    formed, published = document.written_on, document.published_on

    def record(
        timeliness: Timeliness,
        reason: str = "",
        due: date | None = None,
        taken: int | None = None,
        unsure: bool = False,
    ) -> Publication:
        return Publication(
            document.id,
            document.title,
            document.number,
            document.issuer,
            formed,
            published,
            due,
            taken,
            timeliness,
            unsure,
            reason,
        )

    if formed is None:
        return record(Timeliness.UNKNOWN, "没有成文日期")
    due = calendar.add_working_days(formed, WORKING_DAYS)
    if published is None or document.stage is not Stage.PUBLISHED:
        late = today > due.date if due.date else False
        state = Timeliness.OVERDUE if late else Timeliness.PENDING if due.date else Timeliness.UNKNOWN
        return record(state, due.reason, due.date, unsure=due.provisional)
    if published < formed:
        return record(Timeliness.UNKNOWN, "发布日期早于成文日期，请核对", due.date, unsure=due.provisional)
    try:
        taken: int | None = calendar.working_days_between(formed, published)
    except CalendarUnknown:
        return record(Timeliness.UNKNOWN, due.reason or "工作日历没有这一年的数据", due.date, unsure=True)
    if due.date is not None and published <= due.date:
        return record(Timeliness.IN_TIME, due.reason, due.date, taken, due.provisional)
    if published == entered_on:
        return record(Timeliness.UNKNOWN, "文中没有发布日期，只知道入库日期", due.date, unsure=due.provisional)
    return record(Timeliness.LATE, due.reason, due.date, taken, due.provisional)


_URGENCY = (Timeliness.OVERDUE, Timeliness.PENDING, Timeliness.LATE, Timeliness.UNKNOWN, Timeliness.IN_TIME)


def _most_urgent_first(publications: Iterable[Publication]) -> tuple[Publication, ...]:
    return tuple(
        sorted(publications, key=lambda p: (_URGENCY.index(p.timeliness), p.due or date.max, p.title, p.document))
    )


def share_by_issuer(documents: Iterable[PolicyDocument], interpreted: Iterable[str]) -> tuple[IssuerShare, ...]:
    """Published policies in force and their interpretations, by issuer; lapsed ones need none any more."""
    explained = set(interpreted)
    own: dict[str, list[PolicyDocument]] = defaultdict(list)
    for document in documents:
        shown = document.stage is Stage.PUBLISHED and document.attribute.open_to_citizens
        if shown and document.kind is DocumentKind.POLICY and not document.validity.lapsed:
            own[document.issuer or "（未标明）"].append(document)
    shares = [_share(issuer, policies, explained) for issuer, policies in own.items()]
    return tuple(sorted(shares, key=lambda s: (-len(s.lacking), s.issuer)))


def _share(issuer: str, policies: Sequence[PolicyDocument], explained: set[str]) -> IssuerShare:
    lacking = [d for d in policies if d.id not in explained]
    lacking.sort(key=lambda d: (d.written_on or date.min, d.title), reverse=True)
    return IssuerShare(
        issuer,
        len(policies),
        len(policies) - len(lacking),
        tuple(Uninterpreted(d.id, d.title, d.number, d.written_on) for d in lacking),
    )


# --- out -------------------------------------------------------------------------------------------------------------


def as_json(found: Ledger) -> dict[str, object]:
    """One JSON value; days as ISO text, shares 0..1."""
    return {
        "as_of": found.as_of.isoformat(),
        "documents": found.documents,
        "years": [
            {
                "year": y.year or None,
                "total": y.total,
                "counts": {a.value: n for a, n in y.counts.items()},
                "closed_share": None if y.closed_share is None else round(y.closed_share, 4),
                "falling": y.falling,
            }
            for y in found.years
        ],
        "timeliness": {state.value: n for state, n in found.timeliness.items()},
        "publications": [
            {
                "id": p.document,
                "title": p.title,
                "number": p.number,
                "issuer": p.issuer,
                "formed_on": _iso(p.formed_on),
                "published_on": _iso(p.published_on),
                "due": _iso(p.due),
                "working_days": p.working_days,
                "timeliness": p.timeliness.value,
                "provisional": p.provisional,
                "reason": p.reason,
            }
            for p in found.publications
        ],
        "policies": found.policies,
        "interpreted": found.interpreted,
        "issuers": [
            {
                "issuer": i.issuer,
                "policies": i.policies,
                "interpreted": i.interpreted,
                "share": round(i.share, 4),
                "lacking": [
                    {"id": d.document, "title": d.title, "number": d.number, "written_on": _iso(d.written_on)}
                    for d in i.lacking
                ],
            }
            for i in found.issuers
        ],
    }


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day else None


def write_xlsx(found: Ledger, path: Path) -> None:
    """The ledger as a workbook of four sheets. Titles come from files: no cell is ever a formula."""
    book = Workbook()
    book.remove(book.active)
    labels = list(ATTRIBUTE_LABELS.values())
    _sheet(
        book,
        "按年度和公开属性",
        ["年度", "合计", *labels, "依申请和不公开占比", "比上年下降"],
        [
            [
                y.year or "无成文日期",
                y.total,
                *(y.counts[a] for a in ATTRIBUTE_LABELS),
                "" if y.closed_share is None else f"{y.closed_share:.1%}",
                "" if y.falling is None else "是" if y.falling else "否",
            ]
            for y in found.years
        ],
    )
    _sheet(
        book,
        "公开时效",
        ["标题", "文号", "发文机关", "成文日期", "发布日期", "应公开日期", "用时（工作日）", "结果", "暂定", "说明"],
        [
            [
                p.title,
                p.number,
                p.issuer,
                p.formed_on or "",
                p.published_on or "",
                p.due or "",
                "" if p.working_days is None else p.working_days,
                p.timeliness.label,
                "是" if p.provisional else "",
                p.reason,
            ]
            for p in found.publications
        ],
    )
    _sheet(
        book,
        "解读率",
        ["发文机关", "现行政策文件", "已解读", "解读率"],
        [[i.issuer, i.policies, i.interpreted, f"{i.share:.1%}"] for i in found.issuers],
    )
    _sheet(
        book,
        "尚无解读",
        ["发文机关", "标题", "文号", "成文日期"],
        [[i.issuer, d.title, d.number, d.written_on or ""] for i in found.issuers for d in i.lacking],
    )
    book.save(path)


def _sheet(book: Workbook, name: str, heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    sheet = book.create_sheet(name)
    for number, values in enumerate([heads, *rows], 1):
        for column, value in enumerate(values, 1):
            cell = sheet.cell(number, column)
            if isinstance(value, str):
                cell.value = ILLEGAL_CHARACTERS_RE.sub("", value)
                cell.data_type = "s"  # a title that begins with = stays a title
                cell.quotePrefix = value.startswith(("=", "+", "-", "@"))
            else:
                cell.value = value
            if number == 1:
                cell.font = Font(bold=True)
            cell.alignment = Alignment(vertical="top", wrap_text=True)
    sheet.freeze_panes = "A2"
    for letter, width in zip("ABCDEFGHIJ", (40, 24, 24, 14, 14, 14, 16, 16, 12, 30), strict=True):
        sheet.column_dimensions[letter].width = width
