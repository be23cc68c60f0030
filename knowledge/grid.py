"""表格: the cells of an .xlsx or .csv list with their line numbers, merged cells written out.

Lists are read cell by cell where :mod:`knowledge.readers.sheet` reads running text, so this is a reading of its own: every
line keeps its number for the report of bad rows. Formulas are read as the values they last had; nothing is computed,
nothing outside the file is opened.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import openpyxl
from openpyxl.utils import range_boundaries

from knowledge.errors import DocumentTooLarge, EmptyDocument, UnknownFormat
from knowledge.readers.container import Package, attribute, local, named_errors
from knowledge.readers.text import decode

MAX_BYTES = 20 * 1024 * 1024
MAX_ROWS = 50_000
MAX_COLUMNS = 100
MAX_CELLS = 1_000_000
_MAX_MERGES = 50_000
_SPACE = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"

Merge = tuple[int, int, int, int]
"""First column, first row, last column, last row, counted from 1."""


@dataclass(frozen=True, slots=True)
class Row:
    """行: the cells of one line; ``line`` counts from 1 as the spreadsheet program shows it."""

    line: int
    cells: tuple[str, ...]

    def cell(self, column: int) -> str:
        """The text of a column (from 0), empty beyond the end."""
        return self.cells[column] if column < len(self.cells) else ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """工作表: ``rows`` that hold any text. Where cells are merged, each holds the text (``name`` is empty for a CSV)."""

    name: str
    rows: tuple[Row, ...]


def read_sheets(path: Path) -> tuple[Sheet, ...]:
    """The visible sheets of an ``.xlsx``, or the one table of a ``.csv`` in any Chinese encoding.

    Raises ``UnknownFormat`` for any other file, ``DocumentTooLarge``, ``EmptyDocument``, ``UnreadableDocument``.
    """
    suffix = path.suffix.lower()
    if suffix not in (".xlsx", ".csv", ".txt"):
        raise UnknownFormat(f"{path.name}: a list must be .xlsx or .csv; save it again in one of these")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise DocumentTooLarge(f"{path.name} has {size} bytes, the limit for a list is {MAX_BYTES}; split it")
    sheets = _xlsx(path) if suffix == ".xlsx" else (_csv(path),)
    sheets = tuple(sheet for sheet in sheets if sheet.rows)
    if not sheets:
        raise EmptyDocument(f"{path.name} holds no rows; check that the right file was saved")
    return sheets


def _csv(path: Path) -> Sheet:
    text, _warnings = decode(path.read_bytes(), path.name)
    first = text.lstrip("\ufeff").partition("\n")[0]
    delimiter = max(",\t;", key=first.count)
    rows: list[Row] = []
    cells = 0
    with named_errors(path.name, "CSV table"):
        reader = csv.reader(io.StringIO(text.lstrip("\ufeff"), newline=""), delimiter=delimiter)
        before = 0
        for values in reader:
            line, before = before + 1, reader.line_num  # a quoted cell may span lines: name the first
            cells += len(values)
            _keep(rows, line, [value.strip() for value in values[:MAX_COLUMNS]], cells, path.name)
    return Sheet("", tuple(rows))


def _xlsx(path: Path) -> tuple[Sheet, ...]:
    with named_errors(path.name, "Excel workbook"):
        with Package(path) as package:
            package.check_xml()
            merges = _merges(package)
        book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
        try:
            return tuple(
                _sheet(sheet, merges.get(sheet.title, ()), path.name)
                for sheet in book.worksheets
                if sheet.sheet_state == "visible"
            )
        finally:
            book.close()


def _sheet(sheet: Any, merges: Sequence[Merge], name: str) -> Sheet:
    sheet.reset_dimensions()  # what a file says of its own size is not believed
    lines: list[list[str]] = []
    cells = 0
    for values in sheet.iter_rows(max_col=MAX_COLUMNS, values_only=True):
        line = [shown(value) for value in values]
        while line and not line[-1]:
            line.pop()
        lines.append(line)
        cells += len(line) + 1
        if len(lines) > MAX_ROWS or cells > MAX_CELLS:
            raise DocumentTooLarge(f"{name} has more than {MAX_ROWS} lines or {MAX_CELLS} cells; split it")
    for left, top, right, bottom in merges:
        _write_out(lines, left, top, min(right, MAX_COLUMNS), min(bottom, len(lines)))
    rows: list[Row] = []
    for number, line in enumerate(lines, 1):
        _keep(rows, number, line, 0, name)
    return Sheet(sheet.title, tuple(rows))


def _write_out(lines: list[list[str]], left: int, top: int, right: int, bottom: int) -> None:
    if top > len(lines) or left > len(lines[top - 1]):
        return
    value = lines[top - 1][left - 1]
    if not value:
        return
    for line in lines[top - 1 : bottom]:
        line.extend([""] * (right - len(line)))
        line[left - 1 : right] = [value] * (right - left + 1)


def _keep(rows: list[Row], line: int, values: list[str], cells: int, name: str) -> None:
    if len(rows) >= MAX_ROWS or cells > MAX_CELLS:
        raise DocumentTooLarge(f"{name} has more than {MAX_ROWS} lines or {MAX_CELLS} cells; split it")
    if any(values):
        rows.append(Row(line, tuple(values)))


def _merges(package: Package) -> dict[str, tuple[Merge, ...]]:
    """Merged ranges of each sheet by its name; ``openpyxl`` does not tell them when it reads row by row."""
    main = package.find("xl/workbook.xml")
    for kind, part in package.relations("").values():
        main = part if kind == "officeDocument" and part else main
    if not main:
        return {}
    parts = package.relations(main)
    found: dict[str, tuple[Merge, ...]] = {}
    for sheet in package.parse(main).iter():
        part = parts.get(attribute(sheet, "id"), ("", ""))[1] if local(sheet) == "sheet" else ""
        if part:
            found[attribute(sheet, "name")] = tuple(_ranges(package, part))
    return found


def _ranges(package: Package, part: str) -> Iterator[Merge]:
    count = area = 0
    for element in package.elements(part, (f"{_SPACE}row", f"{_SPACE}mergeCell")):
        if local(element) == "mergeCell":
            left, top, right, bottom = range_boundaries(element.get("ref", ""))
            count += 1
            area += (min(right, MAX_COLUMNS) - left + 1) * (min(bottom, MAX_ROWS) - top + 1)
            if count > _MAX_MERGES or area > MAX_CELLS:
                raise DocumentTooLarge(f"{package.name} merges more cells than a list has; clear its formats and save")
            yield left, top, right, bottom
            continue
        element.clear()
        while element.getprevious() is not None:
            del element.getparent()[0]


def shown(value: object) -> str:
    """A cell's value as the sheet shows it; errors of formulas are nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "是" if value else "否"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d" if value.time() == time() else "%Y-%m-%d %H:%M")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):
        return f"{value:.15g}"
    text = str(value).strip()
    return "" if text in ("#N/A", "#REF!", "#NAME?", "#VALUE!", "#DIV/0!", "#NUM!", "#NULL!") else text
