"""公开事项目录: the standard catalogues of the 26 fields (基层政务公开标准目录) as documents whose passages are the items.

A catalogue says which matters an office opens, by whom, when and where: eight elements to a matter (公开事项名称, 公开内容, 公开依据,
公开时限, 公开主体, 公开渠道和载体, 公开对象, 公开方式). Real ones have a title line, a head of two or three rows with merged cells, the
matter in two columns (一级事项, 二级事项), and ticks below 全社会/特定群体 and 主动/依申请.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from knowledge.errors import UnreadableDocument
from knowledge.grid import Row, Sheet, read_sheets
from knowledge.lists import BadRow, plain_head
from knowledge.model import Passage

CATALOGUE_COLUMNS = (
    "公开领域",
    "一级事项",
    "二级事项",
    "公开内容（要素）",
    "公开依据",
    "公开时限",
    "公开主体",
    "公开渠道和载体",
    "公开对象",
    "公开方式",
)


class Element(StrEnum):
    """公开要素: a column of the catalogue."""

    FIELD = "公开领域"
    MATTER = "公开事项名称"
    FIRST = "一级事项"
    SECOND = "二级事项"
    CONTENT = "公开内容"
    BASIS = "公开依据"
    TIME = "公开时限"
    ORGAN = "公开主体"
    CHANNEL = "公开渠道和载体"
    AUDIENCE = "公开对象"
    MANNER = "公开方式"
    LEVEL = "公开层级"


_HEADS = {
    Element.FIELD: ("公开领域", "领域", "试点领域"),
    Element.FIRST: ("一级事项", "一级公开事项", "公开事项类别", "事项类别", "公开类别"),
    Element.SECOND: ("二级事项", "二级公开事项", "三级事项"),
    Element.MATTER: ("公开事项名称", "公开事项", "事项名称", "名称"),
    Element.CONTENT: ("公开内容", "内容", "公开要素", "公开内容要素"),
    Element.BASIS: ("公开依据", "依据"),
    Element.TIME: ("公开时限", "时限", "公开时间"),
    Element.ORGAN: ("公开主体", "责任主体", "公开责任主体", "责任单位", "公开单位"),
    Element.CHANNEL: ("公开渠道和载体", "公开渠道", "公开载体", "渠道和载体", "公开渠道与载体"),
    Element.AUDIENCE: ("公开对象",),
    Element.MANNER: ("公开方式",),
    Element.LEVEL: ("公开层级",),
}
_SPELLINGS = {spelling: element for element, spellings in _HEADS.items() for spelling in spellings}
_TICKS = frozenset("√✓✔■☑●○Y1是有")
_EMPTY = ("/", "-", "—", "——", "无", "□")
_TITLE = re.compile(r"^(?P<place>.{0,30}?)(?P<field>[\u4e00-\u9fff、]{2,16})领域(?:基层)?(?:政务|政府信息)公开")
_SHEET_FIELD = re.compile(r"^\s*(?:\d{1,2}|[一二三四五六七八九十]{1,3})?\s*[.、．]?\s*")
_REQUIRED = {Element.CONTENT, Element.ORGAN}


@dataclass(frozen=True, slots=True)
class CatalogueItem:
    """公开事项: one row of a catalogue with its eight elements; ``groups`` are the headings above the matter."""

    field: str
    matter: str
    groups: tuple[str, ...]
    content: str
    basis: str
    time: str
    organ: str
    channel: str
    audience: str
    manner: str
    level: str
    line: int

    def elements(self) -> tuple[tuple[str, str], ...]:
        """(name, value) of the elements that are filled in, in the order of the standard."""
        pairs = (
            (Element.MATTER, " / ".join((*self.groups, self.matter))),
            (Element.CONTENT, self.content),
            (Element.BASIS, self.basis),
            (Element.TIME, self.time),
            (Element.ORGAN, self.organ),
            (Element.CHANNEL, self.channel),
            (Element.AUDIENCE, self.audience),
            (Element.MANNER, self.manner),
            (Element.LEVEL, self.level),
        )
        return tuple((element.value, value) for element, value in pairs if value)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """公开事项目录 of one field, as one document."""

    field: str
    title: str
    items: tuple[CatalogueItem, ...]


@dataclass(frozen=True, slots=True)
class CatalogueList:
    """目录导入结果: one catalogue a field, in the order of the file, and the rows that were left out."""

    catalogues: tuple[Catalogue, ...]
    bad: tuple[BadRow, ...]


def read_catalogues(path: Path) -> CatalogueList:
    """Read the catalogues of one file (.xlsx with a sheet or a column for the field, or .csv).

    Raises ``UnreadableDocument`` when no sheet is such a table.
    """
    gathered: dict[str, list[CatalogueItem]] = {}
    titles: dict[str, str] = {}
    bad: list[BadRow] = []
    found = False
    for sheet in read_sheets(path):
        head = _head(sheet.rows)
        if head is None:
            continue
        found = True
        above = sheet.rows[: head.first]
        name, title = _field(sheet, above, path)
        for row in sheet.rows[head.after :]:
            if row.cells[0] and re.match(r"^(?:注|备注|填表说明|说明)\s*[：:]", row.cells[0]):
                break
            if _is_head_again(row, head):
                continue
            item, problem = _item(row, head, name)
            if item is None:
                bad.append(BadRow(row.line, problem, sheet.name))
                continue
            gathered.setdefault(item.field, []).append(item)
            titles.setdefault(item.field, title if item.field == name and title else _titled(item.field))
    if not found:
        raise UnreadableDocument(
            f"{path.name}: no catalogue of public matters; its head must hold 公开内容 and 公开主体. "
            "Write an empty one with: bianmin lists template catalogue"
        )
    return CatalogueList(tuple(Catalogue(f, titles[f], tuple(items)) for f, items in gathered.items()), tuple(bad))


def passages_of(catalogue: Catalogue, document: str) -> tuple[Passage, ...]:
    """条目: one passage a matter, every element on a line of its own."""
    passages: list[Passage] = []
    for number, item in enumerate(catalogue.items, 1):
        passages.append(
            Passage(
                id=f"{document}-{number}",
                document=document,
                ordinal=number,
                locator=f"第{number}项",
                path=item.groups,
                text="\n".join(f"{name}：{value}" for name, value in item.elements()),
                anchor=f"p-{number}",
                lead=item.matter,
            )
        )
    return tuple(passages)


# --- heads -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Column:
    element: Element
    below: str  # the word under a merged head (全社会, 主动), empty for a plain column


@dataclass(frozen=True, slots=True)
class _Head:
    first: int  # index of the head's first row
    after: int  # index of the first row below the head
    columns: tuple[_Column | None, ...]
    words: frozenset[str]


def _head(rows: Sequence[Row]) -> _Head | None:
    """The head: the first row that names two of the required elements, with the rows of sub-heads below it."""
    for first, row in enumerate(rows[:12]):
        named = [_SPELLINGS.get(plain_head(cell)) for cell in row.cells]
        if not set(named) >= _REQUIRED:
            continue
        after = first + 1
        while after < min(first + 3, len(rows)) and _is_sub_head(rows[after], row):
            after += 1
        levels = rows[first:after]
        width = max(len(level.cells) for level in levels)
        return _Head(
            first,
            after,
            tuple(_column(levels, column) for column in range(width)),
            frozenset(plain_head(cell) for level in levels for cell in level.cells if cell),
        )
    return None


def _is_sub_head(row: Row, head: Row) -> bool:
    """A row whose cells repeat the head's (merged down) or are short words below a head that spans several columns."""
    pairs = [(row.cell(column), head.cell(column)) for column in range(max(len(row.cells), len(head.cells)))]
    new = [(cell, above) for cell, above in pairs if cell and cell != above]
    if not new or any(len(cell) > 12 for cell, _ in new) or any(cell in _TICKS for cell, _ in new):
        return False
    words = {"一级事项", "二级事项", "三级事项", "全社会", "特定群体", "主动", "依申请", "依申请公开", "县级", "乡级"}
    return any(plain_head(cell) in words or plain_head(cell) in _SPELLINGS for cell, _ in new)


def _column(levels: Sequence[Row], column: int) -> _Column | None:
    texts = [plain_head(level.cell(column)) for level in levels]
    own = next((text for text in reversed(texts) if text), "")
    element = _SPELLINGS.get(own)
    if element is not None:
        return _Column(element, "")
    for text in texts:
        if text in _SPELLINGS:
            return _Column(_SPELLINGS[text], own)
    for number in range(column - 1, -1, -1):  # a head that spans columns without being merged
        above = _SPELLINGS.get(plain_head(levels[0].cell(number)))
        if above is not None and not levels[0].cell(column) and own:
            return _Column(above, own)
    return None


def _is_head_again(row: Row, head: _Head) -> bool:
    """Printed lists repeat their head on every page."""
    filled = [plain_head(cell) for cell in row.cells if cell]
    return len(filled) >= 3 and all(cell in head.words for cell in filled)


def _field(sheet: Sheet, above: Sequence[Row], path: Path) -> tuple[str, str]:
    """(field, title) as the line above the table, the sheet's name or the file's name says."""
    for row in above:
        title = next((cell for cell in row.cells if cell), "")
        match = _TITLE.match(re.sub(r"\s", "", title))
        if match:
            return _bare_field(match["field"]), re.sub(r"\s", "", title)
    for name in (_SHEET_FIELD.sub("", sheet.name), path.stem):
        match = _TITLE.match(name)
        if match:
            return _bare_field(match["field"]), name
        if re.fullmatch(r"[\u4e00-\u9fff、]{2,16}(?:领域)?", name) and not re.match(r"工作表|表格?$", name):
            return name.removesuffix("领域"), ""
    return "", ""


def _bare_field(text: str) -> str:
    """青禾县社会救助 → 社会救助: the place before the field is not part of it."""
    return re.sub(r"^.{1,8}?(?:省|自治州|市|县|区|旗|乡|镇)(?=.{2})", "", text)


def _titled(field: str) -> str:
    return f"{field}领域政务公开标准目录"


# --- rows ------------------------------------------------------------------------------------------------------------


def _item(row: Row, head: _Head, sheet_field: str) -> tuple[CatalogueItem | None, str]:
    values: dict[Element, list[str]] = {}
    for column, text in _filled(row, head):
        parts = values.setdefault(column.element, [])
        if column.below and all(mark in _TICKS for mark in text):
            text = column.below
        elif column.below:
            text = f"{column.below}：{text}"
        if text not in parts:
            parts.append(text)
    groups = [*values.get(Element.FIRST, ()), *values.get(Element.SECOND, ())]
    groups = list(dict.fromkeys(groups + values.get(Element.MATTER, [])))
    field = _one(values, Element.FIELD).removesuffix("领域") or sheet_field
    missing = [
        name
        for name, absent in (
            ("公开事项名称", not groups),
            ("公开内容", Element.CONTENT not in values),
            ("公开主体", Element.ORGAN not in values),
            ("公开领域", not field),
        )
        if absent
    ]
    if missing:
        return None, f"{'、'.join(missing)} is empty"
    return (
        CatalogueItem(
            field=field,
            matter=groups[-1],
            groups=tuple(groups[:-1]),
            content=_one(values, Element.CONTENT),
            basis=_one(values, Element.BASIS),
            time=_one(values, Element.TIME),
            organ=_one(values, Element.ORGAN),
            channel=_one(values, Element.CHANNEL),
            audience=_one(values, Element.AUDIENCE),
            manner=_one(values, Element.MANNER),
            level=_one(values, Element.LEVEL),
            line=row.line,
        ),
        "",
    )


def _filled(row: Row, head: _Head) -> Iterator[tuple[_Column, str]]:
    for column, text in zip(head.columns, row.cells, strict=False):
        if column is not None and text and text not in _EMPTY:
            plain = re.sub(r"[^\S\n]+", " ", text)
            if column.element is Element.CHANNEL:
                plain = _ticked(plain)
            if plain:
                yield column, plain


def _ticked(text: str) -> str:
    """Of 「■政府网站 □政府公报 ■公开查阅点」 what is ticked; a cell without boxes is taken as it is."""
    if not re.search(r"[■☑√✓✔]", text):
        return "" if re.fullmatch(r"(?:\s*□[^□]*)+", text) else text
    return "、".join(part.strip(" \n、，；") for part in re.findall(r"[■☑√✓✔]\s*([^■□☑☐√✓✔]+)", text) if part.strip())


def _one(values: dict[Element, list[str]], element: Element) -> str:
    return "、".join(values.get(element, ()))
