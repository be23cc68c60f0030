"""清单导入: lists that an office keeps in a table, read row by row; a bad row is reported, never guessed.

Two lists are read here: the organ directory with the 权责清单 (several rows of one organ are gathered), and the manifest
that says of the files in a folder what their texts do not. The 公开事项标准目录 is :mod:`knowledge.catalogue`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from knowledge.dates import parse_date
from knowledge.errors import UnreadableDocument
from knowledge.frame import stated_attribute
from knowledge.grid import Row, Sheet, read_sheets
from knowledge.model import (
    DisclosureAttribute,
    DocumentKind,
    Organ,
    OrganRelation,
    PolicyDocument,
    Validity,
)
from knowledge.numbers import canonical

ORGAN_COLUMNS = ("名称", "简称", "别名", "关系", "职能", "关键词", "电话", "地址", "办公时间", "网址")
MANIFEST_COLUMNS = (
    "文件名",
    "标题",
    "文号",
    "发文机关",
    "成文日期",
    "发布日期",
    "施行日期",
    "失效日期",
    "公开属性",
    "种类",
    "公开领域",
    "面向对象",
    "效力",
    "网址",
    "索引号",
)

_RELATIONS = {
    "本机关": OrganRelation.OWN,
    "部门": OrganRelation.DEPARTMENT,
    "乡镇": OrganRelation.TOWNSHIP,
    "垂直管理": OrganRelation.VERTICAL,
    "公共企事业": OrganRelation.UTILITY,
    "其他": OrganRelation.OTHER,
}
# What real directories and 权责清单 call their columns.
_ORGAN_HEADS = {
    "名称": (
        "名称",
        "机构名称",
        "单位名称",
        "部门名称",
        "实施主体",
        "责任主体",
        "行使主体",
        "责任单位",
        "单位",
        "部门",
    ),
    "简称": ("简称", "机构简称", "单位简称"),
    "别名": ("别名", "其他名称", "曾用名", "俗称", "内设机构"),
    "关系": ("关系", "与本机关的关系", "机构性质", "类别"),
    "职能": ("职能", "主要职责", "职责", "主要职能", "职权名称", "事项名称", "权力名称", "权责事项", "职责事项"),
    "关键词": ("关键词", "俗名", "群众常用说法"),
    "电话": ("电话", "联系电话", "办公电话", "咨询电话"),
    "地址": ("地址", "办公地址", "通讯地址"),
    "办公时间": ("办公时间", "工作时间", "办公时段"),
    "网址": ("网址", "网站", "门户网站"),
}
_MANIFEST_HEADS = {
    "文件名": ("文件名", "文件", "文件名称", "路径"),
    "标题": ("标题", "公文标题", "名称"),
    "文号": ("文号", "发文字号"),
    "发文机关": ("发文机关", "发文单位", "制发机关", "发布机构"),
    "成文日期": ("成文日期", "发文日期", "生成日期"),
    "发布日期": ("发布日期", "公开日期"),
    "施行日期": ("施行日期", "实施日期", "生效日期"),
    "失效日期": ("失效日期", "有效期至", "废止日期"),
    "公开属性": ("公开属性", "公开方式", "公开类别"),
    "种类": ("种类", "文件种类", "类型"),
    "公开领域": ("公开领域", "领域", "主题分类", "主题"),
    "面向对象": ("面向对象", "服务对象"),
    "效力": ("效力", "有效性", "时效性"),
    "网址": ("网址", "原文链接", "来源网址", "链接"),
    "索引号": ("索引号",),
}
_KINDS = {
    "政策文件": DocumentKind.POLICY,
    "法律法规": DocumentKind.LAW,
    "政策解读": DocumentKind.INTERPRETATION,
    "办事指南": DocumentKind.SERVICE_GUIDE,
    "机构职能": DocumentKind.FUNCTION,
    "常见问题": DocumentKind.FAQ,
    "公开目录": DocumentKind.CATALOGUE,
    "政府公报": DocumentKind.GAZETTE,
}
_VALIDITIES = {v.label: v for v in Validity} | {
    "废止": Validity.REPEALED,
    "失效": Validity.EXPIRED,
    "现行有效": Validity.IN_FORCE,
    "尚未生效": Validity.NOT_YET,
}
_STRICTNESS = (
    DisclosureAttribute.UNKNOWN,
    DisclosureAttribute.PUBLIC,
    DisclosureAttribute.REDACTED,
    DisclosureAttribute.ON_REQUEST,
    DisclosureAttribute.SECRET,
)


@dataclass(frozen=True, slots=True)
class BadRow:
    """坏行: a row that was left out, and why."""

    line: int  # 1-based line of the table as the spreadsheet program counts
    reason: str
    sheet: str = ""


# --- 机构名录、权责清单 --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OrganList:
    """机构名录: what could be read of a directory file."""

    organs: tuple[Organ, ...]
    bad: tuple[BadRow, ...]


def read_organs(path: Path) -> OrganList:
    """Read an organ directory or a 权责清单 from .xlsx or .csv (``ORGAN_COLUMNS``; only 名称 is required).

    Several rows of one organ are gathered: functions, aliases and words are joined in their order. A later row may add
    what an earlier one left empty; one that contradicts it is bad. Raises ``UnreadableDocument`` when the file is no
    such table at all.
    """
    organs: dict[str, Organ] = {}
    bad: list[BadRow] = []
    found = False
    for sheet in read_sheets(path):
        head = _head(sheet, _ORGAN_HEADS, "名称", others=1)
        if head is None:
            continue
        found = True
        start, columns = head
        for row in sheet.rows[start:]:
            cells = {name: row.cell(column) for name, column in columns.items()}
            problem = _organ_problem(cells, organs)
            if problem:
                bad.append(BadRow(row.line, problem, sheet.name))
            else:
                organ = _organ(cells)
                organs[organ.name] = _gathered(organs[organ.name], organ) if organ.name in organs else organ
    if not found:
        raise UnreadableDocument(
            f"{path.name}: no organ directory; its head must hold {','.join(ORGAN_COLUMNS)}. "
            "Write an empty one with: bianmin lists template organs"
        )
    return OrganList(tuple(organs.values()), tuple(bad))


def _organ_problem(cells: Mapping[str, str], organs: Mapping[str, Organ]) -> str:
    name = cells.get("名称", "")
    if not name:
        return "名称 is empty"
    if len(name) > 120:
        return f"名称 has {len(name)} characters, the limit is 120"
    relation = cells.get("关系", "")
    if relation and relation not in _RELATIONS:
        return f"关系 must be one of {'/'.join(_RELATIONS)}, not '{relation}'"
    before = organs.get(name)
    if before is None:
        return ""
    if not cells.get("职能"):
        return f"名称 '{name}' stands twice, and this row adds no 职能"
    if relation and _RELATIONS[relation] is not before.relation:
        return f"关系 of '{name}' contradicts an earlier row"
    for column, earlier in (("电话", before.phone), ("地址", before.address), ("网址", before.website)):
        value = cells.get(column, "")
        if value and earlier and value != earlier:
            return f"{column} of '{name}' is '{value}', an earlier row says '{earlier}'"
    return ""


def _organ(cells: Mapping[str, str]) -> Organ:
    return Organ(
        name=cells["名称"],
        short_name=cells.get("简称", ""),
        aliases=_parts(cells.get("别名", "")),
        relation=_RELATIONS.get(cells.get("关系", ""), OrganRelation.DEPARTMENT),
        functions=_parts(cells.get("职能", ""), "；;\n"),
        keywords=_parts(cells.get("关键词", "")),
        phone=cells.get("电话", ""),
        address=cells.get("地址", ""),
        hours=cells.get("办公时间", ""),
        website=cells.get("网址", ""),
    )


def _gathered(before: Organ, more: Organ) -> Organ:
    return replace(
        before,
        short_name=before.short_name or more.short_name,
        aliases=tuple(dict.fromkeys(before.aliases + more.aliases)),
        functions=tuple(dict.fromkeys(before.functions + more.functions)),
        keywords=tuple(dict.fromkeys(before.keywords + more.keywords)),
        phone=before.phone or more.phone,
        address=before.address or more.address,
        hours=before.hours or more.hours,
        website=before.website or more.website,
    )


def _parts(cell: str, separators: str = "、，,；;\n") -> tuple[str, ...]:
    return tuple(dict.fromkeys(p.strip() for p in re.split(f"[{separators}]", cell) if p.strip()))


# --- 著录清单 ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stated:
    """著录: what staff say of one file; empty or None: nothing."""

    title: str = ""
    number: str = ""
    issuer: str = ""
    written_on: date | None = None
    published_on: date | None = None
    effective_on: date | None = None
    expires_on: date | None = None
    attribute: DisclosureAttribute | None = None
    kind: DocumentKind | None = None
    topic: str = ""
    audience: str = ""
    validity: Validity | None = None
    source_url: str = ""
    index_number: str = ""


_COPIED = (
    "title",
    "number",
    "issuer",
    "written_on",
    "published_on",
    "effective_on",
    "expires_on",
    "kind",
    "topic",
    "audience",
    "source_url",
    "index_number",
)


def with_stated(document: PolicyDocument, stated: Stated) -> PolicyDocument:
    """The document as staff describe it: what they say wins, except that of two 公开属性 the stricter holds."""
    said = {name: getattr(stated, name) for name in _COPIED if getattr(stated, name)}
    attribute = document.attribute
    if stated.attribute is not None:
        attribute = max(attribute, stated.attribute, key=_STRICTNESS.index)
    return replace(document, **said, attribute=attribute, validity=stated.validity or document.validity)


@dataclass(frozen=True, slots=True)
class Manifest:
    """著录清单: file name (or its path below the folder, with /) → what staff say of it, and the bad rows."""

    entries: dict[str, Stated]
    bad: tuple[BadRow, ...]

    def of(self, path: Path) -> Stated | None:
        """What is said of a file: the longest path that fits its end, else nothing."""
        parts = [unicodedata.normalize("NFC", part) for part in path.parts]
        for start in range(len(parts)):
            found = self.entries.get("/".join(parts[start:]))
            if found is not None:
                return found
        return None


def read_manifest(path: Path) -> Manifest:
    """Read a manifest from .xlsx or .csv (``MANIFEST_COLUMNS``; only 文件名 is required).

    Raises ``UnreadableDocument`` when the file is no such table at all.
    """
    entries: dict[str, Stated] = {}
    bad: list[BadRow] = []
    found = False
    for sheet in read_sheets(path):
        head = _head(sheet, _MANIFEST_HEADS, "文件名", others=1)
        if head is None:
            continue
        found = True
        start, columns = head
        for row in sheet.rows[start:]:
            cells = {name: row.cell(column) for name, column in columns.items()}
            name = unicodedata.normalize("NFC", cells["文件名"].replace("\\", "/").lstrip("./"))
            stated, problem = _stated(cells)
            if not name:
                problem = "文件名 is empty"
            elif name in entries:
                problem = f"文件名 '{name}' stands twice; the first row was taken"
            if problem:
                bad.append(BadRow(row.line, problem, sheet.name))
            else:
                entries[name] = stated
    if not found:
        raise UnreadableDocument(
            f"{path.name}: no manifest; its head must hold 文件名 and any of {','.join(MANIFEST_COLUMNS[1:])}. "
            "Write an empty one with: bianmin lists template manifest"
        )
    return Manifest(entries, tuple(bad))


def _stated(cells: Mapping[str, str]) -> tuple[Stated, str]:
    days: dict[str, date | None] = {}
    for column in ("成文日期", "发布日期", "施行日期", "失效日期"):
        text = cells.get(column, "")
        days[column] = parse_date(text) if text else None
        if text and days[column] is None:
            return Stated(), f"{column} '{text}' is no date such as 2026-03-02"
    attribute = cells.get("公开属性", "")
    said = stated_attribute(attribute) if attribute else None
    if attribute and said is None:
        return Stated(), f"公开属性 must be 主动公开, 删减后公开, 依申请公开 or 不公开, not '{attribute}'"
    kind, validity = cells.get("种类", ""), cells.get("效力", "")
    if kind and kind not in _KINDS:
        return Stated(), f"种类 must be one of {'/'.join(_KINDS)}, not '{kind}'"
    if validity and validity not in _VALIDITIES:
        return Stated(), f"效力 must be one of {'/'.join(_VALIDITIES)}, not '{validity}'"
    number = cells.get("文号", "")
    address = cells.get("网址", "")
    if address and not re.match(r"https?://[^\s/]+", address):
        return Stated(), f"网址 '{address}' must begin with http:// or https://"
    return (
        Stated(
            title=cells.get("标题", ""),
            number=canonical(number) or number,
            issuer=cells.get("发文机关", ""),
            written_on=days["成文日期"],
            published_on=days["发布日期"],
            effective_on=days["施行日期"],
            expires_on=days["失效日期"],
            attribute=said,
            kind=_KINDS.get(kind),
            topic=cells.get("公开领域", ""),
            audience=cells.get("面向对象", ""),
            validity=_VALIDITIES.get(validity),
            source_url=address,
            index_number=cells.get("索引号", ""),
        ),
        "",
    )


# --- heads -----------------------------------------------------------------------------------------------------------


def plain_head(text: str) -> str:
    """A column's head without spaces, marks of duty and what stands in brackets: 「名 称（必填）*」 → 「名称」."""
    return re.sub(r"[（(][^（()）]*[）)]|[\s*＊：:]", "", text)


def _head(
    sheet: Sheet, names: Mapping[str, Sequence[str]], required: str, *, others: int
) -> tuple[int, dict[str, int]] | None:
    """(index of the first row after the head, column of each field); None when the first rows hold no such head."""
    for number, row in enumerate(sheet.rows[:10]):
        columns = _columns(row, names)
        if required in columns and len(columns) > min(others, len({c for c in row.cells if c}) - 1):
            return number + 1, columns
    return None


def _columns(row: Row, names: Mapping[str, Sequence[str]]) -> dict[str, int]:
    heads = [plain_head(cell) for cell in row.cells]
    found: dict[str, int] = {}
    for name, spellings in names.items():
        for spelling in spellings:
            if spelling in heads:
                found[name] = heads.index(spelling)
                break
    return found
