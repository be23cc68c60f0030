"""条目草稿: what every way of cutting a document needs: a passage before it has an id, long texts, tables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from knowledge.labels import SECTION_NAMES
from knowledge.lines import Line
from knowledge.model import ResponsibleUnit
from knowledge.units import Directory, find_unit_groups, flat, role_of_head, units_of_cell

LONGEST = 1500  # characters of a passage before it is split
_TABLE_GROUP = 800  # characters of table rows in one passage


@dataclass(frozen=True, slots=True)
class Draft:
    """条目草稿: a passage before it has an id and an ordinal."""

    locator: str
    path: tuple[str, ...]
    text: str
    lead: str = ""
    units: tuple[ResponsibleUnit, ...] = ()


def tables(rows: Sequence[Line], locator: str, path: tuple[str, ...], directory: Directory) -> list[Draft]:
    tables: list[list[Line]] = []
    for row in rows:
        if row.opens_table or not tables:
            tables.append([])
        tables[-1].append(row)
    drafts: list[Draft] = []
    for number, table in enumerate(tables, 1):
        name = f"表{number}" if len(tables) > 1 else "表"
        place = f"{locator} {name}" if locator and locator not in ("正文", "前言") else name
        drafts.extend(_table(table, place, path, directory))
    return drafts


def _table(rows: list[Line], locator: str, path: tuple[str, ...], directory: Directory) -> list[Draft]:
    caption: list[str] = []
    while len(rows) > 1 and sum(1 for cell in rows[0].cells if cell) == 1:
        caption.append(next(cell for cell in rows[0].cells if cell).replace("\n", " "))
        rows = rows[1:]
    heads, body = _heads_of(rows)
    roles = [role_of_head(head) for head in heads]
    groups: list[tuple[list[str], list[ResponsibleUnit]]] = []
    size = 0
    for row in body:
        text = _row_text(row.cells, heads)
        units = [
            unit
            for place, cell in enumerate(row.cells)
            if place < len(roles) and (role := roles[place]) is not None
            for unit in units_of_cell(role, cell, directory)
        ]
        if not groups or (size + len(text) > _TABLE_GROUP and size):
            groups.append(([], []))
            size = 0
        groups[-1][0].append(text)
        groups[-1][1].extend(units)
        size += len(text)
    if not body:
        groups = [([_row_text(row.cells, []) for row in rows], [])]
    unused = [
        head
        for place, head in enumerate(heads)
        if head and not any(row.cells[place : place + 1] > ("",) for row in body)
    ]
    if body and unused:
        groups[0][0].insert(0, "；".join(unused))  # columns that no row fills
    if len(groups) > 1 and sum(len(line) for texts, _ in groups for line in texts) <= _TABLE_GROUP + 200:
        groups = [([line for texts, _ in groups for line in texts], [unit for _, units in groups for unit in units])]
    steps = (*path, *(text for text in caption if text not in path))
    drafts = []
    first = 1
    for texts, units in groups:
        place = locator if len(groups) == 1 else f"{locator} 第{first}—{first + len(texts) - 1}行"
        if len(groups) > 1 and len(texts) == 1:
            place = f"{locator} 第{first}行"
        first += len(texts)
        text = "\n".join(texts if any(texts) else caption)
        drafts.append(Draft(place, steps, text, caption[-1] if caption else "", tuple(dict.fromkeys(units))))
    return drafts


def _heads_of(rows: Sequence[Line]) -> tuple[list[str], list[Line]]:
    marked = 0
    while marked < len(rows) and rows[marked].header:
        marked += 1
    if not marked and len(rows) >= 2 and not _pairs_of_name_and_value(rows):
        cells = rows[0].cells
        filled = [cell for cell in cells if cell]
        marked = 1 if len(filled) >= 2 and all(len(cell) <= 20 and not cell.endswith("。") for cell in filled) else 0
    if not marked:
        return [], list(rows)
    width = max(len(row.cells) for row in rows)
    heads = ["" for _ in range(width)]
    for row in rows[:marked]:
        carried = ""
        for place in range(width):
            cell = row.cells[place] if place < len(row.cells) else ""
            carried = cell or (carried if marked > 1 else "")
            if carried and not heads[place].endswith(carried):
                heads[place] += carried
    return [re.sub(r"\s", "", head) for head in heads], list(rows[marked:])


def _pairs_of_name_and_value(rows: Sequence[Line]) -> bool:
    """A table of two columns whose left column names things (办理时限 | 30日) has no head row."""
    named_rows = sum(1 for row in rows if re.sub(r"[\s：:]", "", row.cells[0]) in SECTION_NAMES)
    return max(len(row.cells) for row in rows) == 2 and named_rows * 2 >= len(rows)


def _row_text(cells: Sequence[str], heads: Sequence[str]) -> str:
    """「列名：值；列名：值」; a row of two cells without heads reads 「名：值」."""
    filled = [cell.replace("\n", " ") for cell in cells if cell]
    if not heads and len(filled) == 2 and len(filled[0]) <= 16:
        return named(filled[0], filled[1])
    text = ""
    for place, cell in enumerate(cells):
        if cell:
            head = heads[place] if place < len(heads) else ""
            value = named(head, cell.replace("\n", " "))
            text += value if not text or text[-1] in "；;" else f"；{value}"
    return text


def named(name: str, value: str) -> str:
    return f"{name}{value}" if not name or name[-1] in "：:" else f"{name}：{value}"


def plain(
    lines: Sequence[Line], locator: str, path: tuple[str, ...], directory: Directory, lead: str = ""
) -> list[Draft]:
    """Text without numbers: one passage, or groups of paragraphs named by their place when it is long."""
    words = [line for line in lines if not line.is_row]
    rows = [line for line in lines if line.is_row]
    drafts: list[Draft] = []
    if words:
        text = joined(words)
        if len(text) <= LONGEST:
            drafts.append(draft(locator, path, text, directory, lead))
        else:
            drafts.extend(_paragraph_groups(words, locator, path, directory, lead))
    if rows:
        drafts.extend(tables(rows, locator, path, directory))
    return drafts


def _paragraph_groups(
    words: Sequence[Line], locator: str, path: tuple[str, ...], directory: Directory, lead: str
) -> list[Draft]:
    drafts: list[Draft] = []
    group: list[str] = []
    first, size = 1, 0

    def finish(last: int) -> None:
        nonlocal group, size
        if group:
            place = f"{locator}第{first}段" if first == last else f"{locator}第{first}—{last}段"
            drafts.append(draft(place, path, "\n".join(group), directory, lead if not drafts else ""))
        group, size = [], 0

    for number, line in enumerate(words, 1):
        if size and size + len(line.text) > LONGEST * 2 // 3:
            finish(number - 1)
        for place, piece in enumerate(pieces(line.text)):
            if place:
                finish(number)
            if not group:
                first = number
            group.append(piece)
            size += len(piece)
    finish(len(words))
    return drafts


def pieces(text: str) -> list[str]:
    """``text`` whole, or cut at line and sentence ends into pieces of at most ``LONGEST`` characters."""
    if len(text) <= LONGEST:
        return [text] if text else []
    pieces: list[str] = []
    start = 0
    while len(text) - start > LONGEST:
        window = text[start : start + LONGEST]
        end = max(window.rfind("\n"), window.rfind("。"), window.rfind("；")) + 1
        end = end if end > LONGEST // 4 else LONGEST
        pieces.append(window[:end].strip("\n"))
        start += end
    pieces.append(text[start:].strip("\n"))
    return [piece for piece in pieces if piece]


def joined(lines: Sequence[Line]) -> str:
    return "\n".join(line.text for line in lines if line.text)


def draft(locator: str, path: tuple[str, ...], text: str, directory: Directory, lead: str = "") -> Draft:
    return Draft(locator, path, text, lead, flat(find_unit_groups(text, directory)))
