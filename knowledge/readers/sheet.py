"""XLSX and CSV as documents: rows with their heads.

Merged cells are written out (down: repeated in each row, across: given once), a head of two rows becomes one
(「公开对象/全社会」), and a title above the table or a note below it becomes a paragraph. Hidden sheets, rows and columns
are left out: what the office does not show is not published here. Sheets are parsed row by row.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from pathlib import Path
from typing import Any

from openpyxl.styles.numbers import BUILTIN_FORMATS, is_date_format
from openpyxl.utils import column_index_from_string, range_boundaries
from openpyxl.utils.datetime import CALENDAR_MAC_1904, CALENDAR_WINDOWS_1900, from_excel

from knowledge.errors import DocumentTooLarge, EmptyDocument, UnreadableDocument
from knowledge.readers.container import Package, attribute, local, named_errors
from knowledge.readers.raw import Block, BlockKind, RawDocument
from knowledge.readers.text import decode

MAX_COLUMNS = 256
MAX_ROWS = 1_048_576
MAX_CELLS = 2_000_000
_SPACES = (
    "http://schemas.openxmlformats.org/spreadsheetml/2006/main",
    "http://purl.oclc.org/ooxml/spreadsheetml/main",
)
_SHEET_TAGS = tuple(f"{{{space}}}{name}" for space in _SPACES for name in ("row", "col", "mergeCell"))
_TEXT_TAGS = tuple(f"{{{space}}}si" for space in _SPACES)
_NOTE = re.compile(r"^\s*(?:注|备注|说明|填[表报]说明|附注|填[表报]人|制表|联系人|审核人)\s*[：:１1]?")
_DEFAULT_NAME = re.compile(r"^(?:sheet|工作表|表)\s*\d*$", re.I)
_RANGE = re.compile(r"[A-Z]{1,3}\d{1,7}:[A-Z]{1,3}\d{1,7}$")
_PLACE = re.compile(r"([A-Z]{1,3})(\d{1,7})$")


@dataclass(slots=True)
class _Sheet:
    """One sheet as stored; rows and columns count from 1."""

    rows: list[list[str]] = field(default_factory=list)
    hidden_rows: set[int] = field(default_factory=set)
    hidden_columns: set[int] = field(default_factory=set)
    merged: list[tuple[int, int, int, int]] = field(
        default_factory=list
    )  # first column, first row, last column, last row


@dataclass(slots=True)
class _Book:
    """What the cells of all sheets refer to."""

    texts: list[str] = field(default_factory=list)
    formats: list[str] = field(default_factory=list)  # number format by cell style
    epoch: datetime = CALENDAR_WINDOWS_1900
    cells: int = 0


def read_xlsx(path: Path) -> RawDocument:
    """Read an ``.xlsx`` file. Raises ``UnreadableDocument``, ``DocumentTooLarge`` and ``EmptyDocument``."""
    with named_errors(path.name, "Excel workbook"), Package(path) as package:
        return _read(package)


def read_csv(path: Path) -> RawDocument:
    """Read a ``.csv`` file in any Chinese encoding. Raises ``UnknownFormat``, ``EmptyDocument`` and kin."""
    text, warnings = decode(path.read_bytes(), path.name)
    delimiter = max(",;\t", key=lambda mark: text[:8192].count(mark))
    with named_errors(path.name, "CSV table"):
        lines = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    if sum(map(len, lines)) > MAX_CELLS:
        raise DocumentTooLarge(f"{path.name} has more than {MAX_CELLS} cells; split it")
    blocks = list(_blocks(_Sheet(rows=[[cell.strip() for cell in line] for line in lines])))
    if not blocks:
        raise EmptyDocument(f"{path.name} holds no rows; check that the right file was saved")
    return RawDocument(tuple(blocks), "csv", warnings=warnings)


def _read(package: Package) -> RawDocument:
    main = next((part for kind, part in package.relations("").values() if kind == "officeDocument" and part), "")
    main = main or package.find("xl/workbook.xml")
    if not main:
        raise UnreadableDocument(f"{package.name} holds no Excel workbook; open it and save it again as .xlsx")
    parts = package.relations(main)
    book = _Book()
    for kind, part in parts.values():
        if kind == "sharedStrings" and part:
            book.texts = list(_shared_texts(package, part))
        elif kind == "styles" and part:
            book.formats = list(_formats(package.parse(part)))
    sheets: list[tuple[str, list[Block]]] = []
    hidden = False
    for element in package.parse(main).iter():
        if local(element) == "workbookPr" and element.get("date1904") in ("1", "true"):
            book.epoch = CALENDAR_MAC_1904
        if local(element) != "sheet":
            continue
        if element.get("state", "visible") != "visible":
            hidden = True
            continue
        part = parts.get(attribute(element, "id"), ("", ""))[1]
        if not part:
            continue
        sheet = _sheet(package, part, book)
        hidden = hidden or bool(sheet.hidden_rows or sheet.hidden_columns)
        blocks = list(_blocks(sheet))
        if blocks:
            sheets.append((element.get("name", ""), blocks))
    if not sheets:
        raise EmptyDocument(f"{package.name} holds no visible rows; check that the right file was saved")
    found: list[Block] = []
    for title, blocks in sheets:
        if len(sheets) > 1 and title and not _DEFAULT_NAME.match(title):
            found.append(Block(title, BlockKind.HEADING, level=1))
        found += blocks
    warnings = ("hidden sheets, rows or columns were left out",) if hidden else ()
    return RawDocument(tuple(found), "xlsx", warnings=warnings)


def _shared_texts(package: Package, part: str) -> Iterator[str]:
    for element in package.elements(part, _TEXT_TAGS):
        yield _text_of(element)
        _forget(element)


def _text_of(element: Any) -> str:
    """Runs of a cell's text, without the reading marks above them (rPh)."""
    pieces = []
    for child in element:
        name = local(child)
        if name == "t":
            pieces.append(child.text or "")
        elif name == "r":
            pieces.append("".join(part.text or "" for part in child if local(part) == "t"))
    return "".join(pieces).strip()


def _forget(element: Any) -> None:
    """Free what was read of a part."""
    element.clear()
    parent = element.getparent()
    while parent is not None and element.getprevious() is not None:
        del parent[0]


def _formats(root: Any) -> Iterator[str]:
    own = {
        element.get("numFmtId"): element.get("formatCode", "") for element in root.iter() if local(element) == "numFmt"
    }
    for element in root:
        if local(element) == "cellXfs":
            for style in element:
                number = style.get("numFmtId", "0")
                known = BUILTIN_FORMATS.get(int(number), "") if number.isdecimal() and len(number) < 6 else ""
                chinese_date = number.isdecimal() and (27 <= int(number[:4]) <= 36 or 50 <= int(number[:4]) <= 58)
                yield own.get(number) or ("yyyy-mm-dd" if chinese_date else known)


def _sheet(package: Package, part: str, book: _Book) -> _Sheet:
    sheet = _Sheet()
    for element in package.elements(part, _SHEET_TAGS):
        kind = local(element)
        if kind == "row":
            _take_row(element, sheet, book, package.name)
            _forget(element)
        elif kind == "col" and element.get("hidden") in ("1", "true"):
            first, last = (_whole(element.get(name)) for name in ("min", "max"))
            sheet.hidden_columns |= set(range(max(first, 1), min(last, MAX_COLUMNS) + 1))
        elif kind == "mergeCell" and len(sheet.merged) < 100_000 and _RANGE.match(element.get("ref", "")):
            sheet.merged.append(range_boundaries(element.get("ref")))
    return sheet


def _whole(text: str | None) -> int:
    return int(text) if text and re.fullmatch(r"\d{1,8}", text) else 0


def _take_row(element: Any, sheet: _Sheet, book: _Book, name: str) -> None:
    number = _whole(element.get("r")) or len(sheet.rows) + 1
    if number > MAX_ROWS:
        return
    if element.get("hidden") in ("1", "true"):
        sheet.hidden_rows.add(number)
    cells: list[str] = []
    for cell in element:
        place = _PLACE.match(cell.get("r", ""))
        column = column_index_from_string(place[1]) if place else len(cells) + 1
        if column <= MAX_COLUMNS:
            cells.extend([""] * (column - len(cells)))
            cells[column - 1] = _shown(cell, book)
    while cells and not cells[-1]:
        cells.pop()
    if not cells:
        return
    book.cells += len(cells) + max(number - len(sheet.rows), 1)
    if book.cells > MAX_CELLS:
        raise DocumentTooLarge(f"{name} has more than {MAX_CELLS} cells; split it")
    sheet.rows.extend([] for _ in range(number - len(sheet.rows)))
    sheet.rows[number - 1] = cells


def _shown(cell: Any, book: _Book) -> str:
    """A cell as the sheet shows it; errors of formulas are nothing."""
    kind = cell.get("t", "n")
    value = ""
    for child in cell:
        name = local(child)
        if name == "v":
            value = child.text or ""
        elif name == "is":
            return _text_of(child)
    if kind == "s":
        place = _whole(value)
        return book.texts[place] if place < len(book.texts) and value else ""
    if kind == "b":
        return "是" if value == "1" else "否"
    if kind == "e":
        return ""
    if kind != "n" or not value:
        return value.strip()
    style = _whole(cell.get("s"))
    return _number(value, book.formats[style] if style < len(book.formats) else "", book.epoch)


def _number(value: str, form: str, epoch: datetime) -> str:
    try:
        number = float(value)
        if form and is_date_format(form):
            moment = from_excel(number, epoch)
            if isinstance(moment, datetime):
                return moment.strftime("%Y-%m-%d" if moment.time() == time() else "%Y-%m-%d %H:%M")
            return str(moment)
    except (ValueError, OverflowError):
        return value.strip()
    return f"{number * 100:.10g}%" if "%" in form else f"{number:.15g}"


def _blocks(sheet: _Sheet) -> Iterator[Block]:
    """Title lines, the table's rows with one head, and the notes below."""
    lines = _written_out(sheet)
    width = max(map(len, lines), default=0)
    kept = [column for column in range(width) if column + 1 not in sheet.hidden_columns]
    table: list[tuple[str, ...]] = []
    for number, line in enumerate(lines, 1):
        cells = tuple(line[column] if column < len(line) else "" for column in kept)
        if number not in sheet.hidden_rows and any(cells):
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


def _written_out(sheet: _Sheet) -> list[list[str]]:
    """Cells merged downwards are repeated; the rest of a cell merged across stays empty."""
    lines = [list(row) for row in sheet.rows]
    spent = 0
    for left, top, _right, bottom in sheet.merged:
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
