"""清单导入: lists that an office keeps in a table, read row by row; a bad row is reported, never guessed."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from knowledge.errors import UnreadableDocument
from knowledge.model import Organ, OrganRelation
from knowledge.readers.text import decode

ORGAN_COLUMNS = ("名称", "简称", "别名", "关系", "职能", "关键词", "电话", "地址", "办公时间", "网址")

_RELATIONS = {
    "本机关": OrganRelation.OWN,
    "部门": OrganRelation.DEPARTMENT,
    "乡镇": OrganRelation.TOWNSHIP,
    "垂直管理": OrganRelation.VERTICAL,
    "公共企事业": OrganRelation.UTILITY,
    "其他": OrganRelation.OTHER,
}


@dataclass(frozen=True, slots=True)
class BadRow:
    """坏行: a row that was left out, and why."""

    line: int  # 1-based line of the table, its head is line 1
    reason: str


@dataclass(frozen=True, slots=True)
class OrganList:
    """机构名录: what could be read of a directory file."""

    organs: tuple[Organ, ...]
    bad: tuple[BadRow, ...]


def read_organs(path: Path) -> OrganList:
    """Read an organ directory (columns ``ORGAN_COLUMNS``; only 名称 is required).

    Raises ``UnreadableDocument`` when the file is no such table at all.
    """
    rows = list(csv.DictReader(io.StringIO(decode(path.read_bytes(), path.name)[0])))
    if not rows or "名称" not in (rows[0].keys() if rows else ()):
        raise UnreadableDocument(f"{path.name}: no organ directory; the first line must hold {','.join(ORGAN_COLUMNS)}")
    organs: dict[str, Organ] = {}
    bad: list[BadRow] = []
    for line, row in enumerate(rows, 2):
        cells = {k.strip(): (v or "").strip() for k, v in row.items() if k}
        problem = _problem(cells, organs)
        if problem:
            bad.append(BadRow(line, problem))
            continue
        organs[cells["名称"]] = _organ(cells)
    return OrganList(tuple(organs.values()), tuple(bad))


def _problem(cells: Mapping[str, str], organs: Mapping[str, Organ]) -> str:
    if not cells.get("名称"):
        return "名称 is empty"
    if cells["名称"] in organs:
        return f"名称 '{cells['名称']}' stands twice"
    relation = cells.get("关系", "")
    if relation and relation not in _RELATIONS:
        return f"关系 must be one of {'/'.join(_RELATIONS)}, not '{relation}'"
    return ""


def _organ(cells: Mapping[str, str]) -> Organ:
    return Organ(
        name=cells["名称"],
        short_name=cells.get("简称", ""),
        aliases=_parts(cells.get("别名", "")),
        relation=_RELATIONS.get(cells.get("关系", ""), OrganRelation.DEPARTMENT),
        functions=_parts(cells.get("职能", ""), "；;"),
        keywords=_parts(cells.get("关键词", "")),
        phone=cells.get("电话", ""),
        address=cells.get("地址", ""),
        hours=cells.get("办公时间", ""),
        website=cells.get("网址", ""),
    )


def _parts(cell: str, separators: str = "、，,；;") -> tuple[str, ...]:
    return tuple(dict.fromkeys(p.strip() for p in re.split(f"[{separators}]", cell) if p.strip()))
