"""XLSX and CSV as documents: rows with their heads.

Merged cells are written out (down: repeated in each row, across: given once), a head of two rows becomes one
(「公开对象/全社会」), and a title above the table or a note below it becomes a paragraph. Hidden sheets, rows and columns
are left out: what the office does not show is not published here. ``openpyxl`` reads the cells, one row at a time.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import openpyxl
from openpyxl.utils import range_boundaries

from knowledge.errors import DocumentTooLarge, EmptyDocument, UnreadableDocument
from knowledge.readers.container import Package, attribute, local, named_errors
from knowledge.readers.raw import Block, BlockKind, RawDocument
from knowledge.readers.text import decode

MAX_COLUMNS = 256
MAX_CELLS = 2_000_000
_SPACE = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_SHAPE_TAGS = tuple(f"{{{_SPACE}}}{name}" for name in ("row", "col", "mergeCell"))
_NOTE = re.compile(r"^\s*(?:注|备注|说明|填[表报]说明|附注|填[表报]人|制表|联系人|审核人)\s*[：:１1]?")
_DEFAULT_NAME = re.compile(r"^(?:sheet|工作表|表)\s*\d*$", re.I)


@dataclass(slots=True)
class _Shape:
    """What a sheet says of its form; rows and columns count from 1."""

    hidden_rows: set[int] = field(default_factory=set)
    hidden_columns: set[int] = field(default_factory=set)
    merged: list[tuple[int, int, int, int]] = field(
        default_factory=list
    )  # first column, first row, last column, last row


def read_xlsx(path: Path) -> RawDocument:
    """Read an ``.xlsx`` file. Raises ``UnreadableDocument``, ``DocumentTooLarge`` and ``EmptyDocument``."""
    with named_errors(path.name, "Excel workbook"):
        with Package(path) as package:
            package.check_xml()
            shapes = _shapes(package)
        book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
        try:
            return _read(book, shapes, path.name)
        finally:
            book.close()


def read_csv(path: Path) -> RawDocument:
    """Read a ``.csv`` file in any Chinese encoding. Raises ``UnknownFormat``, ``EmptyDocument`` and kin."""
    text, warnings = decode(path.read_bytes(), path.name)
    delimiter = max(",;\t", key=lambda mark: text[:8192].count(mark))
    with named_errors(path.name, "CSV table"):
        lines = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    if sum(map(len, lines)) > MAX_CELLS:
        raise DocumentTooLarge(f"{path.name} has more than {MAX_CELLS} cells; split it")
    blocks = list(_blocks([[cell.strip() for cell in line] for line in lines], _Shape()))
    if not blocks:
        raise EmptyDocument(f"{path.name} holds no rows; check that the right file was saved")
    return RawDocument(tuple(blocks), "csv", warnings=warnings)


def _shapes(package: Package) -> dict[str, _Shape]:
    """Form of each sheet, by its name."""
    main = next((part for kind, part in package.relations("").values() if kind == "officeDocument" and part), "")
    main = main or package.find("xl/workbook.xml")
    if not main:
        raise UnreadableDocument(f"{package.name} holds no Excel workbook; open it and save it again as .xlsx")
    parts = package.relations(main)
    shapes: dict[str, _Shape] = {}
    for sheet in package.parse(main).iter():
        if local(sheet) != "sheet":
            continue
        part = parts.get(attribute(sheet, "id"), ("", ""))[1]
        if part:
            shapes[attribute(sheet, "name")] = _shape(package, part)
    return shapes


def _shape(package: Package, part: str) -> _Shape:
    shape, row = _Shape(), 0
    for element in package.elements(part, _SHAPE_TAGS):
        kind = local(element)
        if kind == "row":
            number = element.get("r", "")
            row = int(number) if number.isdecimal() and len(number) < 9 else row + 1
            if element.get("hidden") in ("1", "true"):
                shape.hidden_rows.add(row)
            element.clear()
            while element.getprevious() is not None:
                del element.getparent()[0]
        elif kind == "col" and element.get("hidden") in ("1", "true"):
            first, last = (min(int(element.get(name, "0")), MAX_COLUMNS) for name in ("min", "max"))
            shape.hidden_columns |= set(range(first, last + 1))
        elif kind == "mergeCell" and len(shape.merged) < 100_000:
            shape.merged.append(range_boundaries(element.get("ref", "")))
    return shape


def _read(book: Any, shapes: dict[str, _Shape], name: str) -> RawDocument:
    sheets: list[tuple[str, list[Block]]] = []
    hidden, cells = False, 0
    for sheet in book.worksheets:
        if sheet.sheet_state != "visible":
            hidden = True
            continue
        shape = shapes.get(sheet.title, _Shape())
        hidden = hidden or bool(shape.hidden_rows or shape.hidden_columns)
        sheet.reset_dimensions()
        rows: list[list[str]] = []
        for row in sheet.iter_rows(max_col=MAX_COLUMNS):
            values = [_shown(cell) for cell in row]
            while values and not values[-1]:
                values.pop()
            cells += len(values) + 1
            if cells > MAX_CELLS:
                raise DocumentTooLarge(f"{name} has more than {MAX_CELLS} cells; split it")
            rows.append(values)
        blocks = list(_blocks(rows, shape))
        if blocks:
            sheets.append((sheet.title, blocks))
    if not sheets:
        raise EmptyDocument(f"{name} holds no visible rows; check that the right file was saved")
    found: list[Block] = []
    for title, blocks in sheets:
        if len(sheets) > 1 and not _DEFAULT_NAME.match(title):
            found.append(Block(title, BlockKind.HEADING, level=1))
        found += blocks
    warnings = ("hidden sheets, rows or columns were left out",) if hidden else ()
    return RawDocument(tuple(found), "xlsx", warnings=warnings)


def _shown(cell: Any) -> str:
    """A cell as the sheet shows it; errors of formulas are nothing."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "是" if value else "否"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d" if value.time() == time() else "%Y-%m-%d %H:%M")
    if isinstance(value, date | time | timedelta):
        return str(value)
    if isinstance(value, int | float):
        if "%" in (getattr(cell, "number_format", "") or ""):
            return f"{value * 100:.10g}%"
        return f"{value:.15g}"
    text = str(value).strip()
    return "" if text.startswith("#") and text.endswith(("!", "?", "/A")) and text.isascii() else text


def _blocks(rows: Sequence[Sequence[str]], shape: _Shape) -> Iterator[Block]:
    """Title lines, the table's rows with one head, and the notes below."""
    lines = _written_out(rows, shape)
    width = max(map(len, lines), default=0)
    kept = [column for column in range(width) if column + 1 not in shape.hidden_columns]
    table: list[tuple[str, ...]] = []
    for number, line in enumerate(lines, 1):
        cells = tuple(line[column] if column < len(line) else "" for column in kept)
        if number not in shape.hidden_rows and any(cells):
            table.append(cells)
    used = [column for column in range(len(kept)) if any(cells[column] for cells in table)]
    table = [tuple(cells[column] for column in used) for cells in table]
    start = 0
    while start < len(table) and _filled(table[start]) == 1 and (len(used) > 1 or start == 0):
        yield Block(_only(table[start]), centred=start == 0)
        start += 1
    end = len(table)
    while end > start and _filled(table[end - 1]) == 1 and _NOTE.match(_only(table[end - 1])):
        end -= 1
    body = _one_head(table[start:end])
    for number, cells in enumerate(body):
        shown = " ".join(cell for cell in cells if cell)
        yield Block(shown, BlockKind.ROW, cells=cells, header=number == 0, level=1 if number == 0 else 0)
    for cells in table[end:]:
        yield Block(_only(cells))


def _written_out(rows: Sequence[Sequence[str]], shape: _Shape) -> list[list[str]]:
    """Cells merged downwards are repeated; the rest of a cell merged across stays empty."""
    lines = [list(row) for row in rows]
    spent = 0
    for left, top, _right, bottom in shape.merged:
        if bottom <= top or top > len(lines) or left > MAX_COLUMNS:
            continue
        value = lines[top - 1][left - 1] if left <= len(lines[top - 1]) else ""
        spent += bottom - top
        if not value or spent > MAX_CELLS:
            continue
        for line in lines[top : min(bottom, len(lines))]:
            line.extend([""] * (left - len(line)))
            line[left - 1] = value
    return lines


def _one_head(table: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Where the first row leaves gaps that the second fills, the two are one head."""
    if len(table) < 3:
        return list(table)
    first, second = table[0], table[1]
    gaps = [column for column in range(1, len(first)) if not first[column]]
    if not gaps or not all(second[column] for column in gaps):
        return list(table)
    if any(len(cell) > 20 for cell in second) or not any(a and a == b for a, b in zip(first, second, strict=True)):
        return list(table)
    head: list[str] = []
    above = ""
    for upper, lower in zip(first, second, strict=True):
        above = upper or above
        head.append(above if lower in ("", above) else f"{above}/{lower}")
    return [tuple(head), *table[2:]]


def _filled(cells: Iterable[str]) -> int:
    return sum(1 for cell in cells if cell)


def _only(cells: Iterable[str]) -> str:
    return next(cell for cell in cells if cell)
