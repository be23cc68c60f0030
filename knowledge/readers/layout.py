"""版面还原: from glyphs with positions to paragraphs and table rows in reading order.

Shared by the formats that store pages, not paragraphs (PDF, OFD, OCR). A page is cut into tables (where ruled lines say
so) and lines; two columns are read one after the other; page numbers and running heads are dropped; lines are joined to
paragraphs by indent, fill and leading. Lengths are in points (1/72 inch), y grows downwards.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice, pairwise
from typing import NamedTuple

from knowledge.headings import match_article, match_token
from knowledge.numbers import only_number
from knowledge.readers.marks import tells_of_disclosure
from knowledge.readers.raw import Block, BlockKind

_PAGE_NUMBER = re.compile(
    r"^[\s\u3000]*(?:[-—–－―─一·•.~∼]{1,3}\s*\d{1,4}\s*[-—–－―─一·•.~∼]{1,3}|第\s*\d{1,4}\s*页(?:\s*[,，/|]?\s*共\s*\d{1,4}\s*页)?"
    r"|[-—–一]{1,3}\s*\d{1,4}\s*[\]】|丨]\s*[-—–一]{1,3}|\d{1,4}\s*/\s*\d{1,4}|[Pp]age\s*\d{1,4}(?:\s*of\s*\d{1,4})?)[\s\u3000]*$"
)
_BARE = re.compile(r"^\s*(\d{1,4}|[ivx]{1,5})\s*$")
_ENDS = "。！？；：!?;:…"
_ALONE = re.compile(
    r"^(?:附\s*件|抄\s*送|抄\s*报|主\s*送|主题词|联\s*系\s*(?:人|电话)|[（(]此件|问\s*[：:]|答\s*[：:])"
)
_MAX_RULES = 6000
_LARGER = 1.12  # times the body: type of titles
_COLUMN_ROWS = 4  # rows that must stand side by side before a page counts as set in columns
_WIDEST = 5000.0  # points; nothing wider is a page of prose
_NEAR = 3.0  # points within which two strokes touch
_LETTERHEAD = re.compile(
    r"^[\u4e00-\u9fff（） \u3000]{2,30}(?:局|委|厅|室|府|会|院|部|办|署|行|中心|司|组|公司)[“”\"'’‘ \u3000]?(?:文件)?$|^文[ \u3000]*件$"
)
_CJK = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef\u3000-\u303f“”‘’—…]")


class Glyph(NamedTuple):
    """字形: one or more characters at one place; ``size`` is the type size."""

    text: str
    x0: float
    y0: float
    x1: float
    y1: float
    size: float


class Rule(NamedTuple):
    """线: a straight line or a thin bar of a page."""

    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(slots=True)
class Page:
    """一页: what stands on one page, in any order."""

    number: int
    glyphs: list[Glyph] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)


@dataclass(slots=True)
class _Line:
    """One line of text, or one table row (``cells``), with the measure of its column."""

    text: str
    x0: float
    x1: float
    y0: float
    y1: float
    size: float
    page: int
    cells: tuple[str, ...] = ()
    opens: bool = False
    left: float = 0.0
    right: float = 0.0
    column: int = 0


class Setter:
    """Takes pages one by one, keeps only their lines, and gives the blocks of the whole document."""

    def __init__(self) -> None:
        self._pages: list[list[_Line]] = []

    def add(self, page: Page) -> None:
        """Set one page."""
        self._pages.append(_set_page(page))

    def blocks(self) -> list[Block]:
        """Paragraphs, and table rows, in reading order."""
        _drop_furniture(self._pages)
        if self._pages:
            _join_letterhead(self._pages[0])
        _measure(self._pages)
        return _join([line for page in self._pages for line in page])


# ---------------------------------------------------------------- one page


def _set_page(page: Page) -> list[_Line]:
    tables, glyphs = _tables(page)
    rows = _rows(glyphs)
    lines: list[_Line] = []
    for table in sorted(tables, key=lambda table: table[0].y0):
        above = [row for row in rows if _middle(row) < table[0].y0]
        rows = [row for row in rows if _middle(row) >= table[0].y0]
        lines += _columns(above, page.number)
        lines += table
    return lines + _columns(rows, page.number)


def _middle(row: Sequence[Glyph]) -> float:
    return (row[0].y0 + row[0].y1) / 2


def _rows(glyphs: Sequence[Glyph]) -> list[list[Glyph]]:
    """Glyphs on one baseline, left to right."""
    rows: list[list[Glyph]] = []
    middle = height = 0.0
    for glyph in sorted(glyphs, key=lambda g: (g.y0 + g.y1) / 2):
        own = (glyph.y0 + glyph.y1) / 2
        tall = glyph.y1 - glyph.y0
        if rows and own - middle < 0.5 * min(height, tall):
            rows[-1].append(glyph)
            if tall > height:
                middle, height = (middle + own) / 2, tall
        else:
            rows.append([glyph])
            middle, height = own, tall
    kept_rows: list[list[Glyph]] = []
    for row in rows:
        row.sort(key=lambda g: g.x0)
        kept: list[Glyph] = []
        for glyph in row:
            twin = next((g for g in kept[-3:] if g.text == glyph.text and glyph.x0 - g.x0 < 0.3 * g.size), None)
            if twin is None:  # a glyph printed twice is bold, not doubled
                kept.append(glyph)
        while kept and kept[-1].text.isspace():
            kept.pop()
        while kept and kept[0].text.isspace():
            del kept[0]
        if kept:
            kept_rows.append(kept)
    return kept_rows


def _line(row: Sequence[Glyph], page: int) -> _Line:
    sizes = Counter(round(g.size, 1) for g in row)
    return _Line(
        text=_text(row),
        x0=row[0].x0,
        x1=max(g.x1 for g in row),
        y0=min(g.y0 for g in row),
        y1=max(g.y1 for g in row),
        size=max(sizes.items(), key=lambda item: (item[1], item[0]))[0] or 1.0,
        page=page,
    )


def _text(row: Sequence[Glyph]) -> str:
    """Characters of one row; a space only where the page shows one."""
    printed = [glyph for glyph in row if not glyph.text.isspace()]
    gaps = sorted(b.x0 - a.x1 for a, b in pairwise(printed))
    usual = max(gaps[len(gaps) // 2], 0.0) if gaps else 0.0
    pieces: list[str] = []
    previous: Glyph | None = None
    spaced = False
    for glyph in row:
        if glyph.text.isspace():
            spaced = True
            continue
        if previous is not None:
            pieces.append(_space(previous, glyph, usual, spaced))
        pieces.append(glyph.text)
        previous, spaced = glyph, False
    return "".join(pieces)


def _space(left: Glyph, right: Glyph, usual: float, spaced: bool) -> str:
    """What stands between two characters whose neighbours are usually ``usual`` apart; ``spaced``: a space is stored."""
    gap = (right.x0 - left.x1) / max(left.size, right.size)
    usual /= max(left.size, right.size)
    chinese = bool(_CJK.match(left.text[-1])) + bool(_CJK.match(right.text[0]))
    if chinese == 2:
        if gap > max(0.75, 2.0 * usual + 0.3):
            return "\u3000"
        return " " if spaced and gap > 0.2 + usual else ""
    if chinese == 1:  # print sets figures and Chinese a little apart; that is no space
        return " " if gap > max(0.9, 2.0 * usual) else ""
    return " " if gap > max(0.17, 1.6 * usual) else ""


# ---------------------------------------------------------------- columns


def _columns(rows: Sequence[list[Glyph]], page: int) -> list[_Line]:
    """Lines of ``rows`` in reading order: where the page is set in two columns, the left one first."""
    gutter = _gutter(rows)
    if gutter is None:
        return [_line(row, page) for row in rows]
    lines: list[_Line] = []
    band: list[list[Glyph]] = []
    for row in [*rows, None]:
        if row is not None and _side(row, gutter) is not _Side.CROSSES:
            band.append(row)
            continue
        lines += _band(band, gutter, page)
        band = []
        if row is not None:
            lines.append(_line(row, page))
    return lines


class _Side(Enum):
    LEFT = 1
    RIGHT = 2
    BOTH = 3
    CROSSES = 4


def _side(row: Sequence[Glyph], at: float) -> _Side:
    """On which side of ``at`` a row stands; it crosses where no gap of a character's width is there."""
    if row[-1].x1 <= at:
        return _Side.LEFT
    if row[0].x0 >= at:
        return _Side.RIGHT
    left, right = _parts(row, at)
    if left and right and right[0].x0 - left[-1].x1 >= 0.9 * right[0].size and left[-1].x1 <= at <= right[0].x0:
        return _Side.BOTH
    return _Side.CROSSES


def _parts(row: Sequence[Glyph], at: float) -> tuple[list[Glyph], list[Glyph]]:
    return [g for g in row if (g.x0 + g.x1) / 2 < at], [g for g in row if (g.x0 + g.x1) / 2 >= at]


def _gutter(rows: Sequence[list[Glyph]]) -> float | None:
    """Where two columns of prose part, None on a page of one column."""
    wide = [row for row in rows if len(row) > 1]
    if len(wide) < _COLUMN_ROWS:
        return None
    left, right = min(row[0].x0 for row in wide), max(row[-1].x1 for row in wide)
    width = right - left
    if not 100 < width < _WIDEST:
        return None
    gaps: Counter[int] = Counter()
    lowest, highest = left + 0.3 * width, left + 0.7 * width
    for row in wide:
        for a, b in pairwise(row):
            if b.x0 - a.x1 >= 0.9 * b.size:
                gaps.update(range(int(max(a.x1, lowest) // 4) + 1, int(min(b.x0, highest) // 4) + 1))
    best = max(gaps.values(), default=0)
    if best < _COLUMN_ROWS:
        return None
    places = sorted(place for place, count in gaps.items() if count == best)
    gutter = places[len(places) // 2] * 4.0
    both = [_parts(row, gutter) for row in wide if _side(row, gutter) is _Side.BOTH]
    filled = sum(
        1
        for a, b in both
        if a[-1].x1 - a[0].x0 >= 0.6 * (gutter - left) and b[-1].x1 - b[0].x0 >= 0.6 * (right - gutter)
    )
    return gutter if len(both) >= _COLUMN_ROWS and filled * 10 >= len(both) * 6 else None


def _band(rows: Sequence[list[Glyph]], gutter: float, page: int) -> list[_Line]:
    both = sum(1 for row in rows if _side(row, gutter) is _Side.BOTH)
    if both < _COLUMN_ROWS:
        return [_line(row, page) for row in rows]
    columns: tuple[list[_Line], list[_Line]] = ([], [])
    for row in rows:
        for number, part in enumerate(_parts(row, gutter)):
            if part:
                line = _line(part, page)
                line.column = number + 1
                columns[number].append(line)
    return [*columns[0], *columns[1]]


# ---------------------------------------------------------------- tables


def _tables(page: Page) -> tuple[list[list[_Line]], list[Glyph]]:
    """Ruled tables as rows, and the glyphs that stand in none."""
    if len(page.rules) > _MAX_RULES:
        return [], page.glyphs
    glyphs = page.glyphs
    tables: list[list[_Line]] = []
    for grid in grids(page.rules):
        inside = [g for g in glyphs if grid.holds(g)]
        rows = grid.rows(inside, page.number) if inside else []
        if rows:
            tables.append(rows)
            taken = set(map(id, inside))
            glyphs = [g for g in glyphs if id(g) not in taken]
    return tables, glyphs


@dataclass(slots=True)
class Grid:
    """表格线: the lines of one ruled table; ``across`` and ``down`` hold (place, from, to) of each stroke."""

    xs: list[float]
    ys: list[float]
    across: list[tuple[float, float, float]]
    down: list[tuple[float, float, float]]

    def holds(self, glyph: Glyph) -> bool:
        """Whether the middle of ``glyph`` lies inside."""
        x, y = (glyph.x0 + glyph.x1) / 2, (glyph.y0 + glyph.y1) / 2
        return self.xs[0] - _NEAR <= x <= self.xs[-1] + _NEAR and self.ys[0] - _NEAR <= y <= self.ys[-1] + _NEAR

    def rows(self, glyphs: Sequence[Glyph], page: int) -> list[_Line]:
        """One line a table row; empty where this is a frame around text, not a table."""
        height, width = len(self.ys) - 1, len(self.xs) - 1
        region = self._regions(height, width)
        found: defaultdict[tuple[int, int], list[Glyph]] = defaultdict(list)
        for glyph in glyphs:
            row = min(max(bisect_right(self.ys, (glyph.y0 + glyph.y1) / 2) - 1, 0), height - 1)
            column = min(max(bisect_right(self.xs, (glyph.x0 + glyph.x1) / 2) - 1, 0), width - 1)
            found[region[row][column]].append(glyph)
        if len(found) < 2:
            return []
        rights = {region[r][c]: self.xs[c + 1] for r in range(height) for c in range(width)}
        texts = {place: _cell_text(inside, rights[place]) for place, inside in found.items()}
        used = [c for c in range(width) if any(region[r][c][1] == c and texts.get(region[r][c]) for r in range(height))]
        lines: list[_Line] = []
        for row in range(height):
            cells: list[str] = []
            for column in used:
                place = region[row][column]
                cells.append(texts.get(place, "") if place[1] == column else "")
            if any(text and region[row][column][0] == row for text, column in zip(cells, used, strict=True)):
                shown = " ".join(cell for cell in cells if cell)
                top, bottom = self.ys[row], self.ys[row + 1]
                opens = not lines
                lines.append(_Line(shown, self.xs[0], self.xs[-1], top, bottom, 10.0, page, tuple(cells), opens=opens))
        return lines

    def _regions(self, height: int, width: int) -> list[list[tuple[int, int]]]:
        """(row, column) of the top left cell of the merged cell that each cell belongs to."""
        down = [[stroke for stroke in self.down if abs(stroke[0] - x) <= _NEAR] for x in self.xs]
        across = [[stroke for stroke in self.across if abs(stroke[0] - y) <= _NEAR] for y in self.ys]
        region = [[(row, column) for column in range(width)] for row in range(height)]
        for row in range(height):
            for column in range(width):
                y, x = (self.ys[row] + self.ys[row + 1]) / 2, (self.xs[column] + self.xs[column + 1]) / 2
                if column and not _covered(down[column], y):
                    region[row][column] = region[row][column - 1]
                elif row and not _covered(across[row], x):
                    region[row][column] = region[row - 1][column]
        return region


def _covered(strokes: Sequence[tuple[float, float, float]], along: float) -> bool:
    return any(start - _NEAR <= along <= end + _NEAR for _, start, end in strokes)


def grids(rules: Sequence[Rule]) -> list[Grid]:
    """Tables that the rules of a page draw: horizontal and vertical strokes that touch each other."""
    across = _strokes([(r.y0, r.x0, r.x1) for r in rules if r.x1 - r.x0 >= 8 and r.y1 - r.y0 <= 4])
    down = _strokes([(r.x0, r.y0, r.y1) for r in rules if r.y1 - r.y0 >= 4 and r.x1 - r.x0 <= 4])
    if len(across) * len(down) > 250_000:
        return []
    groups: list[tuple[set[int], set[int]]] = []
    for number, (y, left, right) in enumerate(across):
        touching = {
            n
            for n, (x, top, bottom) in enumerate(down)
            if left - _NEAR <= x <= right + _NEAR and top - _NEAR <= y <= bottom + _NEAR
        }
        if not touching:
            continue
        joined = ({number}, touching)
        rest = []
        for group in groups:
            if group[1] & joined[1]:
                joined = (joined[0] | group[0], joined[1] | group[1])
            else:
                rest.append(group)
        groups = [*rest, joined]
    found = []
    for rows, columns in groups:
        here, there = [across[n] for n in rows], [down[n] for n in columns]
        ys, xs = _places(y for y, _, _ in here), _places(x for x, _, _ in there)
        left, right = min(a for _, a, _ in here), max(b for _, _, b in here)
        if left < xs[0] - 12:
            xs.insert(0, left)
        if right > xs[-1] + 12:
            xs.append(right)
        if len(ys) >= 2 and len(xs) >= 2 and (len(ys) - 1) * (len(xs) - 1) >= 2 and len(xs) * len(ys) < 10_000:
            found.append(Grid(xs, ys, here, there))
    return found


def _strokes(parts: Sequence[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    """Strokes on one line that touch or overlap, joined."""
    joined: list[tuple[float, float, float]] = []
    places = _places(place for place, _, _ in parts)
    by_place: defaultdict[float, list[tuple[float, float]]] = defaultdict(list)
    for place, start, end in parts:
        nearest = places[max(bisect_right(places, place + 1e-6) - 1, 0)]
        by_place[nearest].append((start, end))
    for place, spans in by_place.items():
        spans.sort()
        start, end = spans[0]
        for a, b in spans[1:]:
            if a <= end + _NEAR:
                end = max(end, b)
            else:
                joined.append((place, start, end))
                start, end = a, b
        joined.append((place, start, end))
    return joined


def _places(values: Iterable[float]) -> list[float]:
    """Distinct places, those nearer than a stroke's width taken as one."""
    found: list[float] = []
    for value in sorted(values):
        if not found or value - found[-1] > _NEAR:
            found.append(value)
    return found


def _cell_text(glyphs: Sequence[Glyph], right: float) -> str:
    text = ""
    previous: list[Glyph] = []
    for row in _rows(glyphs):
        if previous:
            wrapped = right - previous[-1].x1 < 1.6 * previous[-1].size
            wrapped = wrapped and not (previous[-1].text.isascii() and row[0].text.isascii())
            text += _glue(text, _text(row)) if wrapped else "\n"
        text += _text(row)
        previous = row
    return text


# ---------------------------------------------------------------- pages


def _drop_furniture(pages: list[list[_Line]]) -> None:
    """Page numbers at an edge of the page, and lines that stand at one place on most pages."""
    repeated = _repeated(pages)
    offsets: Counter[int] = Counter()
    for lines in pages:
        for line in _edges(lines, 1):
            match = _BARE.match(line.text)
            if match and match[1].isdigit():
                offsets[int(match[1]) - line.page] += 1
    for lines in pages:
        for _ in range(3):  # a running head may stand inside a page number
            gone = [
                line
                for line in _edges(lines, 2)
                if (line.page, line.text, round(line.y0)) in repeated
                or (line in _edges(lines, 1) and _is_page_number(line, offsets, len(pages)))
            ]
            if not gone:
                break
            lines[:] = [line for line in lines if line not in gone]


def _edges(lines: Sequence[_Line], count: int) -> list[_Line]:
    """The topmost and lowest lines of a page."""
    text = [line for line in lines if not line.cells]
    ordered = sorted(text, key=lambda line: line.y0)
    return [*ordered[:count], *[line for line in ordered[-count:] if line not in ordered[:count]]]


def _is_page_number(line: _Line, offsets: Counter[int], pages: int) -> bool:
    if _PAGE_NUMBER.match(line.text):
        return True
    match = _BARE.match(line.text)
    if not match:
        return False
    if not match[1].isdigit():
        return pages > 2
    offset = int(match[1]) - line.page
    return offsets[offset] >= 2 or (pages == 1 and offset == 0)


def _repeated(pages: Sequence[Sequence[_Line]]) -> set[tuple[int, str, int]]:
    """(page, text, y) of running heads: the same words at the same height on most pages, counting along or not."""
    places: defaultdict[tuple[str, int], list[_Line]] = defaultdict(list)
    for lines in pages:
        if len(lines) < 3:
            continue
        for line in _set_apart(lines):
            for words in _wordings(line):
                places[words, round(line.y0 / max(line.size, 1.0))].append(line)
    needed = max(3, 0.4 * len(pages)) if len(pages) > 2 else 2
    found: set[tuple[int, str, int]] = set()
    for (words, _y), there in places.items():
        if len({line.page for line in there}) >= needed and len(words) < 80:
            first = [there[0].page] if tells_of_disclosure(words) else []
            found |= {(line.page, line.text, round(line.y0)) for line in there if line.page not in first}
    return found


def _set_apart(lines: Sequence[_Line]) -> list[_Line]:
    """Lines at the edges of a page that the body does not run into: by their size, or by the space to the body."""
    ordered = sorted((line for line in lines if not line.cells), key=lambda line: line.y0)
    if len(ordered) < 3:
        return ordered
    sizes, steps = sorted(line.size for line in ordered), sorted(b.y0 - a.y0 for a, b in pairwise(ordered))
    size, step = sizes[len(sizes) // 2], steps[len(steps) // 2]
    found = []
    for edge in (ordered, ordered[::-1]):
        near = [abs(b.y0 - a.y0) > 1.15 * step for a, b in pairwise(edge[:3])]
        found += [
            line for place, line in enumerate(edge[:2]) if any(near[place:]) or abs(line.size - size) > 0.1 * size
        ]
    return found


def _wordings(line: _Line) -> set[str]:
    """The text as it stands, and with each number that may be the page's given as its distance from the page."""
    found = {line.text}
    for match in islice(re.finditer(r"\d{1,4}", line.text), 4):
        found.add(f"{line.text[: match.start()]}#{int(match[0]) - line.page}#{line.text[match.end() :]}")
    return found


def _join_letterhead(lines: list[_Line]) -> None:
    """版头 of several issuers: their names one below the other, 文件 beside them, become one line.

    It is what stands above the 文号 in larger type; where there is no 文号, what reads like names of organs.
    """
    end = next((place for place, line in enumerate(lines[:10]) if only_number(line.text)), 0)
    start = end
    while start and not lines[start - 1].cells and lines[start - 1].size >= 1.4 * lines[end].size:
        start -= 1
    if start == end:
        start = next((place for place, line in enumerate(lines[:8]) if _LETTERHEAD.match(line.text)), 0)
        end = start
        while end < len(lines) and _LETTERHEAD.match(lines[end].text) and not lines[end].cells:
            end += 1
    run = lines[start:end]
    if sum(bool(re.search(r"文\s*件", line.text)) for line in run) != 1 or (
        len(run) == 1 and run[0].text.endswith("文件")
    ):
        return
    names = [re.sub(r"文\s*件|[^\u4e00-\u9fff（） \u3000]", "", line.text).strip() for line in run]
    first = run[0]
    first.text = "\u3000".join(name for name in names if name) + "文件"
    first.x0, first.x1 = min(line.x0 for line in run), max(line.x1 for line in run)
    first.y1 = max(line.y1 for line in run)
    first.size = max(line.size for line in run)
    del lines[start + 1 : end]


def _measure(pages: Sequence[Sequence[_Line]]) -> None:
    """The left and right edge of each column, from its own page or, on a short page, from the document."""
    everywhere = _edges_of([line for lines in pages for line in lines if not line.cells and not line.column])
    for lines in pages:
        columns: defaultdict[int, list[_Line]] = defaultdict(list)
        for line in lines:
            columns[line.column].append(line)
        for column, members in columns.items():
            text = [line for line in members if not line.cells]
            edges = _edges_of(text)
            if not column and everywhere:
                edges = _settled(edges, everywhere, text)
            for line in members:
                line.left, line.right = edges or (line.x0, line.x1)


def _settled(
    own: tuple[float, float] | None, everywhere: tuple[float, float], lines: Sequence[_Line]
) -> tuple[float, float]:
    """The edges of a page: its own where its lines fill them, else those of the document.

    A page that holds only the first lines of items is set in by their indent; that is no edge.
    """
    if own is None or len(lines) < 6:
        return everywhere
    size = sorted(line.size for line in lines)[len(lines) // 2]
    filled = sum(1 for line in lines if abs(own[1] - line.x1) <= size)
    right = own[1] if filled >= max(5, 0.4 * len(lines)) else max(own[1], everywhere[1])
    apart = (own[0] - everywhere[0]) / size
    same_right = abs(right - everywhere[1]) <= 0.6 * size
    return (everywhere[0] if same_right and 0.6 < apart < 3.2 else own[0]), right


def _edges_of(lines: Sequence[_Line]) -> tuple[float, float] | None:
    if not lines:
        return None
    outliers = len(lines) // 40  # a long formula, a mark in the margin
    return sorted(line.x0 for line in lines)[outliers], sorted(line.x1 for line in lines)[-1 - outliers]


# ---------------------------------------------------------------- paragraphs


def _join(lines: Sequence[_Line]) -> list[Block]:
    indents = _uses_indents(lines)
    leading = _leading(lines)
    body = _body_size(lines)
    blocks: list[Block] = []
    pieces: list[str] = []
    first: _Line | None = None
    last: _Line | None = None

    def close() -> None:
        nonlocal pieces, first
        if first is not None and pieces:
            text = "".join(pieces)
            centred = _centred(first) and (len(pieces) == 1 or first.size > _LARGER * body)
            blocks.append(Block(text, page=first.page, centred=centred))
        pieces, first = [], None

    for line in lines:
        if line.cells:
            close()
            if not (
                line.opens and last is not None and last.cells and last.page != line.page and _same_head(blocks, line)
            ):
                blocks.append(
                    Block(line.text, BlockKind.ROW, cells=line.cells, page=line.page, level=1 if line.opens else 0)
                )
            last = line
            continue
        if first is not None and last is not None and _same_title(last, line, body):
            pieces.append("\u3000" + line.text)  # the parser of titles knows which of these breaks are spaces
        elif first is not None and last is not None and _continues(last, line, indents=indents, leading=leading):
            pieces.append(_glue(last.text, line.text) + line.text)
        else:
            close()
            first, pieces = line, [line.text]
        last = line
    close()
    return blocks


def _same_head(blocks: Sequence[Block], line: _Line) -> bool:
    """Whether ``line`` repeats the head of the table that the page break has cut."""
    for block in reversed(blocks):
        if block.kind is not BlockKind.ROW:
            return False
        if block.level == 1:
            return block.cells == line.cells
    return False


def _glue(last: str, text: str) -> str:
    return " " if last[-1:].isascii() and last[-1:].isalnum() and text[:1].isascii() and text[:1].isalpha() else ""


def _centred(line: _Line) -> bool:
    before, behind = (line.x0 - line.left) / line.size, (line.right - line.x1) / line.size
    if min(before, behind) > 3:
        return abs(before - behind) < 1.6
    return min(before, behind) > 1 and abs(before - behind) < 0.6 and abs(before - 2) > 0.2  # two in is an indent


def _body_size(lines: Sequence[_Line]) -> float:
    """The type size of most characters."""
    sizes: Counter[float] = Counter()
    for line in lines:
        if not line.cells:
            sizes[line.size] += len(line.text)
    return sizes.most_common(1)[0][0] if sizes else 1.0


def _same_title(last: _Line, line: _Line, body: float) -> bool:
    """Whether two lines are one title, set in larger type and broken where it fits."""
    return (
        not last.cells
        and last.page == line.page
        and min(last.size, line.size) > _LARGER * body
        and abs(last.size - line.size) <= 0.05 * last.size
        and 0 < line.y0 - last.y0 < 2.6 * last.size
        and last.text[-1] not in _ENDS
        and not last.text.endswith(("文件", "公报"))
        and _centred(line)
    )


def _uses_indents(lines: Sequence[_Line]) -> bool:
    """Whether paragraphs begin two characters in, as 公文 do."""
    text = [line for line in lines if not line.cells]
    indented = sum(1 for line in text if 1.4 <= (line.x0 - line.left) / line.size <= 2.6)
    return indented * 12 >= len(text)


def _leading(lines: Sequence[_Line]) -> tuple[float, float]:
    """The closest and the usual distance from one line to the next, in type sizes."""
    steps = sorted(
        round((b.y0 - a.y0) / a.size, 1)
        for a, b in pairwise(lines)
        if a.page == b.page
        and a.column == b.column
        and not a.cells
        and not b.cells
        and a.size < b.y0 - a.y0 < 4 * a.size
    )
    if not steps:
        return 2.0, 2.0
    return steps[max(1, len(steps) // 25) if len(steps) > 1 else 0], steps[len(steps) // 2]


def _continues(last: _Line, line: _Line, *, indents: bool, leading: tuple[float, float]) -> bool:
    """Whether ``line`` goes on with the paragraph of ``last``; ``leading``: see :func:`_leading`."""
    if last.cells or _ALONE.match(line.text) or abs(last.size - line.size) > 0.15 * last.size:
        return False
    if _centred(line) or _centred(last):
        return False
    step = (line.y0 - last.y0) / last.size if last.page == line.page and last.column == line.column else 0.0
    close, usual = leading
    if step > usual + 0.9 or (step > close + 0.4 and last.text[-1] in _ENDS + "）)”’》"):
        return False
    short = (last.right - last.x1) / last.size
    ended = last.text[-1] in _ENDS or (last.text[-1] in "）)”’》" and last.text[-2:-1] in tuple(_ENDS))
    numbered = match_token(line.text) is not None or match_article(line.text) is not None
    inset = (line.x0 - line.left) / line.size
    if short > 2.6 or (short > 1.2 and (ended or numbered)):
        return False
    if inset > 1.2:
        if ended or numbered:
            return False
        if indents and inset < 2.8:
            return False
        if abs(line.x0 - last.x0) < 0.4 * line.size:  # a block set in as a whole
            return True
        return match_token(last.text) is not None and 0 < line.x0 - last.x0 < 3 * line.size
    closed = ended or last.text[-1] in "）)》”"
    return not (closed and numbered and not (indents and match_article(line.text) is None))
