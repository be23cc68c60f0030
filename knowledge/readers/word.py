"""DOCX (ISO/IEC 29500): the text of the body as the final version shows it.

Kept: paragraphs and table rows in their order, text boxes, tracked insertions, footnotes and endnotes (behind their
paragraph), automatic numbering written out. Left out: tracked deletions, comments, hidden text, the table of contents,
running heads (but a 密级 in one is reported as metadata). The body is parsed piece by piece; elements are matched by
namespace, never by prefix.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from knowledge.errors import EmptyDocument, UnreadableDocument
from knowledge.readers.container import Package, attribute, local, named_errors
from knowledge.readers.marks import secrecy_in
from knowledge.readers.numbering import figure
from knowledge.readers.raw import Block, BlockKind, RawDocument

_SPACES = (
    "http://schemas.openxmlformats.org/wordprocessingml/2006/main",
    "http://purl.oclc.org/ooxml/wordprocessingml/main",
)
_WORD = {f"{{{space}}}" for space in _SPACES}
_BODY_TAGS = tuple(f"{{{space}}}{name}" for space in _SPACES for name in ("p", "tbl", "sdt", "customXml"))
_LEFT_OUT = {
    "del",
    "moveFrom",
    "delText",
    "instrText",
    "delInstrText",
    "rt",
    "pPr",
    "rPr",
    "sdtPr",
    "tblPr",
    "comment",
    "annotationRef",
}
_BOX = {"txbxContent"}
_NOTES = {"footnoteReference": "footnotes", "endnoteReference": "endnotes"}
_HEADING_NAME = re.compile(r"^(?:heading|标题)\s*([1-9])$", re.I)
_TITLE_NAME = re.compile(r"^(?:title|标题)$", re.I)
_CONTENTS_NAME = re.compile(r"^(?:toc|目录)\s*\d*$|^(?:toc heading)$", re.I)
_IMPRINT = re.compile(r"^\s*(?:抄\s*[送报]|主\s*送|分\s*送|主\s*题\s*词|签\s*发\s*人)\s*[：:]|日\s*印\s*发\s*$")
_CHECKBOXES = {"F0A3": "□", "F0A8": "□", "F06F": "□", "F071": "□", "F0FE": "☑", "F052": "☑", "F053": "☒", "F054": "☒"}
_LONGEST_HEADING = 100
_MAX_SPAN = 63  # columns of a table in Word


@dataclass(slots=True)
class _Style:
    """What a paragraph style says; None: ask the style it is based on."""

    name: str = ""
    based_on: str = ""
    outline: int | None = None
    number: str | None = None
    level: int | None = None
    centred: bool | None = None


@dataclass(slots=True)
class _Level:
    start: int = 1
    style: str = "decimal"
    text: str = ""
    suffix: str = "tab"
    legal: bool = False
    restart: int | None = None  # restarts behind this level (1-based); 0: never
    paragraph_style: str = ""


@dataclass(slots=True)
class _Number:
    """One numbering instance: the list that it counts in, its levels, and where it begins anew."""

    abstract: str
    levels: dict[int, _Level]
    starts: dict[int, int]


@dataclass(slots=True)
class _Book:
    """The parts that explain the body: styles, numbering with its counters, notes."""

    styles: dict[str, _Style] = field(default_factory=dict)
    default_style: str = ""
    numbers: dict[str, _Number] = field(default_factory=dict)
    counters: dict[str, dict[int, int]] = field(default_factory=dict)
    begun: set[tuple[str, int]] = field(default_factory=set)
    notes: dict[tuple[str, str], str] = field(default_factory=dict)
    noted: int = 0
    hidden: bool = False
    carried: str = ""  # text whose paragraph mark is deleted


def read_docx(path: Path) -> RawDocument:
    """Read a ``.docx`` file. Raises ``UnreadableDocument``, ``EncryptedDocument``, ``EmptyDocument`` and their kin."""
    with named_errors(path.name, "Word document"), Package(path) as package:
        return _read(package)


def _read(package: Package) -> RawDocument:
    main = next((part for kind, part in package.relations("").values() if kind == "officeDocument" and part), "")
    main = main or package.find("word/document.xml")
    if not main:
        raise UnreadableDocument(f"{package.name} holds no Word document; open it and save it again as .docx")
    related: dict[str, list[str]] = {}
    for kind, part in package.relations(main).values():
        if part:
            related.setdefault(kind, []).append(part)
    folder = main.rpartition("/")[0]

    def part_of(kind: str) -> str:
        return next(iter(related.get(kind, ())), "") or package.find(f"{folder}/{kind}.xml")

    book = _Book()
    if part_of("styles"):
        _take_styles(package.parse(part_of("styles")), book)
    if part_of("numbering"):
        _take_numbering(package.parse(part_of("numbering")), book)
    for kind in ("footnotes", "endnotes"):
        if part_of(kind):
            _take_notes(package.parse(part_of(kind)), kind, book)
    blocks: list[Block] = []
    for element in package.elements(main, _BODY_TAGS):
        parent = element.getparent()
        if parent is None or local(parent) != "body":
            continue
        blocks.extend(_blocks_of(element, book))
        element.clear()
        while element.getprevious() is not None:
            del parent[0]
    if not any(block.text.strip() for block in blocks):
        raise EmptyDocument(f"{package.name} holds no text; if it is a picture of a page, save the scan as PDF")
    metadata = {}
    for kind in ("header", "footer"):
        for part in related.get(kind, ()):
            secret = _secrecy_in(package.parse(part))
            if secret:
                metadata["密级"] = secret
    attachments = tuple(
        name.rpartition("/")[2] for name in package.names if name.startswith(f"{folder}/embeddings/") and folder
    )
    warnings = ("hidden text was left out",) if book.hidden else ()
    return RawDocument(tuple(blocks), "docx", metadata, warnings=warnings, attachments=attachments)


# ---------------------------------------------------------------- styles and numbering


def _value(parent: Any, name: str) -> str | None:
    """``w:val`` of the child ``name``, None when there is no such child; empty when it states none."""
    for child in parent:
        if local(child) == name:
            return attribute(child, "val")
    return None


def _child(parent: Any, name: str) -> Any:
    return next((child for child in parent if local(child) == name), None)


def _whole(text: str | None) -> int | None:
    if text is None or not re.fullmatch(r"\d{1,9}", text):
        return None
    return int(text)


def _on(value: str | None) -> bool:
    """An OOXML switch: the element alone means yes."""
    return value is not None and value not in ("0", "false", "off", "none")


def _take_styles(root: Any, book: _Book) -> None:
    for element in root:
        if local(element) != "style" or attribute(element, "type") != "paragraph":
            continue
        style = _Style(name=_value(element, "name") or "", based_on=_value(element, "basedOn") or "")
        properties = _child(element, "pPr")
        if properties is not None:
            style.outline = _whole(_value(properties, "outlineLvl"))
            alignment = _value(properties, "jc")
            style.centred = None if alignment is None else alignment == "center"
            numbering = _child(properties, "numPr")
            if numbering is not None:
                style.number = _value(numbering, "numId")
                style.level = _whole(_value(numbering, "ilvl"))
        identity = attribute(element, "styleId")
        book.styles[identity] = style
        if attribute(element, "default") in ("1", "true", "on"):
            book.default_style = identity


def _chain(book: _Book, identity: str) -> Iterator[_Style]:
    seen: set[str] = set()
    identity = identity or book.default_style
    while identity and identity not in seen and identity in book.styles:
        seen.add(identity)
        yield book.styles[identity]
        identity = book.styles[identity].based_on


def _take_numbering(root: Any, book: _Book) -> None:
    abstracts: dict[str, dict[int, _Level]] = {}
    linked: dict[str, str] = {}
    for element in root:
        if local(element) != "abstractNum":
            continue
        identity = attribute(element, "abstractNumId")
        abstracts[identity] = {
            level: _level(child)
            for child in element
            if local(child) == "lvl" and (level := _whole(attribute(child, "ilvl"))) is not None
        }
        link = _value(element, "numStyleLink")
        if link:
            linked[identity] = link
    for element in root:
        if local(element) != "num":
            continue
        abstract = _value(element, "abstractNumId") or ""
        levels = dict(abstracts.get(abstract, {}))
        starts: dict[int, int] = {}
        for child in element:
            level = _whole(attribute(child, "ilvl")) if local(child) == "lvlOverride" else None
            if level is None:
                continue
            start = _whole(_value(child, "startOverride"))
            own = _child(child, "lvl")
            if own is not None:
                levels[level] = _level(own)
            if start is not None:
                starts[level] = start
        book.numbers[attribute(element, "numId")] = _Number(abstract, levels, starts)
    for number in book.numbers.values():  # a list that takes its levels from a numbering style
        if not number.levels and number.abstract in linked:
            style = book.styles.get(linked[number.abstract])
            other = book.numbers.get(style.number or "") if style else None
            if other is not None:
                number.levels = other.levels


def _level(element: Any) -> _Level:
    start = _whole(_value(element, "start"))
    return _Level(
        start=1 if start is None else start,
        style=_value(element, "numFmt") or "decimal",
        text=_value(element, "lvlText") or "",
        suffix=_value(element, "suff") or "tab",
        legal=_on(_value(element, "isLgl")),
        restart=_whole(_value(element, "lvlRestart")),
        paragraph_style=_value(element, "pStyle") or "",
    )


def _label(book: _Book, identity: str, level: int) -> str:
    """Count one paragraph and return its number as printed."""
    number = book.numbers.get(identity)
    if number is None or level not in number.levels:
        return ""
    counters = book.counters.setdefault(number.abstract, {})
    here = number.levels[level]
    if level in number.starts and (identity, level) not in book.begun:
        counters[level] = number.starts[level]
        book.begun.add((identity, level))
    elif level in counters:
        counters[level] += 1
    else:
        counters[level] = here.start
    for deeper in [other for other in counters if other > level]:
        restart = number.levels[deeper].restart if deeper in number.levels else None
        if restart is None or level < restart:
            del counters[deeper]
    if here.style == "bullet":
        return ""

    def place(match: re.Match[str]) -> str:
        other = int(match[1]) - 1
        shape = number.levels.get(other)
        if shape is None:
            return ""
        return figure(
            counters.get(other, shape.start), "decimal" if here.legal and shape.style != "none" else shape.style
        )

    text = re.sub(r"%([1-9])", place, here.text)
    if not text.strip() or here.suffix == "nothing":
        return text
    return text + _after(text)


def _after(label: str) -> str:
    """What stands between a number and its text: a full space behind 第一条, a space behind 1.1, nothing behind 一、."""
    if re.search(r"[\u4e00-\u9fff]$", label):
        return "\u3000"
    return " " if re.search(r"[0-9A-Za-z.]$", label) and not re.fullmatch(r"\d{1,3}\.", label) else ""


def _take_notes(root: Any, kind: str, book: _Book) -> None:
    for element in root:
        identity = attribute(element, "id")
        if local(element) in ("footnote", "endnote") and attribute(element, "type") in ("", "normal"):
            pieces: list[str] = []
            for paragraph in element.iter():
                if local(paragraph) == "p":
                    pieces.append("".join(t for t in _texts(paragraph, book, []) if t != "\n").strip())
            book.notes[kind, identity] = " ".join(piece for piece in pieces if piece)


def _secrecy_in(root: Any) -> str:
    """A 密级 mark in a running head or in its watermark."""
    pieces = ["".join(element.itertext()) for element in root.iter() if local(element) == "p"]
    pieces += [attribute(element, "string") for element in root.iter() if local(element) == "textpath"]
    return next((mark for piece in pieces if (mark := secrecy_in(piece))), "")


# ---------------------------------------------------------------- body


def _blocks_of(element: Any, book: _Book) -> Iterator[Block]:
    name = local(element)
    if name == "p":
        yield from _paragraph(element, book)
    elif name == "tbl":
        yield from _table(element, book)
    elif name in ("sdt", "customXml", "sdtContent", "ins", "moveTo", "smartTag", "AlternateContent", "Choice"):
        if name == "sdt" and _is_contents(element):
            return
        for child in element:
            yield from _blocks_of(child, book)


def _is_contents(element: Any) -> bool:
    properties = _child(element, "sdtPr")
    gallery = (e for e in properties.iter() if local(e) == "docPartGallery") if properties is not None else ()
    return any(attribute(found, "val") == "Table of Contents" for found in gallery)


def _paragraph(element: Any, book: _Book) -> Iterator[Block]:
    properties = _child(element, "pPr")
    style = (_value(properties, "pStyle") or "") if properties is not None else ""
    chain = list(_chain(book, style))
    if any(_CONTENTS_NAME.match(found.name) for found in chain):
        return
    boxes: list[Any] = []
    notes: list[str] = []
    text = "".join(_texts(element, book, boxes, notes))
    first_box = bool(boxes) and not text.strip()
    mark = _child(properties, "rPr") if properties is not None else None
    if mark is not None and _child(mark, "del") is not None:
        book.carried += text  # the paragraph mark is deleted: the text goes on in the next paragraph
        text = ""
        gone = True
    else:
        text, book.carried, gone = book.carried + text, "", False
    label = "" if gone else _label_of(properties, style, chain, book)
    if first_box:
        yield from _boxes(boxes, book)
    level = _heading_level(properties, chain)
    centred = _is_centred(properties, chain)
    for number, line in enumerate(text.split("\n")):
        if not line.strip():
            continue
        line = label + line if label and number == 0 else line
        if level and len(line) <= _LONGEST_HEADING:
            yield Block(line, BlockKind.HEADING, level=level, centred=centred)
        else:
            yield Block(line, centred=centred)
    if not first_box:
        yield from _boxes(boxes, book)
    for note in notes:
        book.noted += 1
        yield Block(f"注{book.noted}：{note}")


def _boxes(boxes: list[Any], book: _Book) -> Iterator[Block]:
    for box in boxes:
        for child in box:
            yield from _blocks_of(child, book)


def _label_of(properties: Any, style: str, chain: list[_Style], book: _Book) -> str:
    numbering = _child(properties, "numPr") if properties is not None else None
    identity = level = None
    if numbering is not None:
        if _child(numbering, "del") is not None:
            return ""
        identity, level = _value(numbering, "numId"), _whole(_value(numbering, "ilvl"))
    for found in chain:
        identity = found.number if identity is None else identity
        level = found.level if level is None else level
    if not identity or identity == "0":
        return ""
    if level is None:
        number = book.numbers.get(identity)
        levels = number.levels if number else {}
        level = next((n for n, found in levels.items() if style and found.paragraph_style == style), 0)
    return _label(book, identity, level)


def _heading_level(properties: Any, chain: list[_Style]) -> int:
    """1 to 9 for a heading of the outline, 0 for text."""
    outline = _whole(_value(properties, "outlineLvl")) if properties is not None else None
    for found in chain:
        if outline is None:
            outline = found.outline
        named = _HEADING_NAME.match(found.name)
        if outline is None and named:
            outline = int(named[1]) - 1
        if outline is None and _TITLE_NAME.match(found.name):
            outline = 0
    return outline + 1 if outline is not None and outline < 9 else 0


def _is_centred(properties: Any, chain: list[_Style]) -> bool:
    alignment = _value(properties, "jc") if properties is not None else None
    if alignment is not None:
        return alignment == "center"
    return next((found.centred for found in chain if found.centred is not None), False)


def _texts(element: Any, book: _Book, boxes: list[Any], notes: list[str] | None = None) -> Iterator[str]:
    """Visible text of one paragraph; text boxes and notes are put aside."""
    for child in element:
        name = local(child)
        if not name or name in _LEFT_OUT:
            continue
        if name in _BOX:
            boxes.append(child)
        elif name == "t":
            yield (child.text or "").replace("\n", " ")
        elif name == "r":
            if _is_hidden(child):
                book.hidden = True
                continue
            yield from _texts(child, book, boxes, notes)
        elif name == "AlternateContent":
            chosen = _child(child, "Choice")
            before = len(boxes)
            pieces = list(_texts(chosen, book, boxes, notes)) if chosen is not None else []
            fallback = _child(child, "Fallback")
            if not any(pieces) and len(boxes) == before and fallback is not None:
                pieces = list(_texts(fallback, book, boxes, notes))
            yield from pieces
        elif name == "br":
            if attribute(child, "type") in ("", "textWrapping"):
                yield "\n"
        elif name == "cr":
            yield "\n"
        elif name in ("tab", "ptab"):
            yield "\u3000"
        elif name == "noBreakHyphen":
            yield "-"
        elif name == "f" and _child(child, "den") is not None:
            parts = (_child(child, "num"), _child(child, "den"))
            yield "/".join(_grouped("".join(_texts(part, book, boxes, notes))) for part in parts if part is not None)
        elif name == "sym":
            yield _CHECKBOXES.get(attribute(child, "char").upper(), "")
        elif name in _NOTES and notes is not None:
            note = book.notes.get((_NOTES[name], attribute(child, "id")), "")
            if note:
                notes.append(note)
        else:
            yield from _texts(child, book, boxes, notes)


def _grouped(text: str) -> str:
    """A part of a fraction, in brackets where it is more than one quantity."""
    return f"({text})" if re.search(r"[-+−±×÷*/ ]", text) else text


def _is_hidden(run: Any) -> bool:
    properties = _child(run, "rPr")
    return properties is not None and _on(_value(properties, "vanish"))


# ---------------------------------------------------------------- tables


def _table(element: Any, book: _Book) -> Iterator[Block]:
    """Rows of a table; a table that only lays out the page (one column, or the imprint 版记) becomes paragraphs."""
    rows = list(_rows(element))
    cells_by_row = [list(_cells(row, book)) for row in rows]
    widest = max((sum(1 for cell in cells if cell.text) for cells in cells_by_row), default=0)
    joined = [" ".join(cell.text for cell in cells if cell.text and not cell.goes_on) for cells in cells_by_row]
    letterhead = [cell for cells in cells_by_row for cell in cells if re.fullmatch(r"文\s*件", cell.text)]
    if letterhead and len(rows) <= 8 and widest <= 2:
        names = [cell.text for cells in cells_by_row for cell in cells if cell not in letterhead and cell.text]
        yield Block("\u3000".join(name.replace("\n", "\u3000") for name in names) + "文件", centred=True)
        return
    if widest <= 1 or (len(rows) <= 5 and any(_IMPRINT.search(text) for text in joined)):
        for cells in cells_by_row:
            if widest <= 1:
                for cell in cells:
                    yield from cell.blocks
            elif any(cell.text for cell in cells):
                yield Block("\u3000".join(cell.text.replace("\n", "") for cell in cells if cell.text))
        return
    above: list[str] = []
    first = True
    for row, cells in zip(rows, cells_by_row, strict=True):
        texts: list[str] = []
        for cell in cells:
            place = len(texts)
            texts.append(above[place] if cell.goes_on and place < len(above) else cell.text)
            texts.extend([""] * (cell.span - 1))
        if any(texts):
            shown = " ".join(text for text in texts if text)
            yield Block(shown, BlockKind.ROW, cells=tuple(texts), header=_is_head(row), level=1 if first else 0)
            first = False
        above = texts


@dataclass(slots=True)
class _Cell:
    blocks: list[Block]
    text: str
    span: int
    goes_on: bool  # the cell above reaches down into this row


def _rows(element: Any) -> Iterator[Any]:
    for child in element:
        name = local(child)
        if name == "tr":
            properties = _child(child, "trPr")
            if properties is None or _child(properties, "del") is None:
                yield child
        elif name in ("sdt", "sdtContent", "customXml", "ins"):
            yield from _rows(child)


def _cells(element: Any, book: _Book) -> Iterator[_Cell]:
    for child in element:
        name = local(child)
        if name == "tc":
            properties = _child(child, "tcPr")
            merge = _value(properties, "vMerge") if properties is not None else None
            span = _whole(_value(properties, "gridSpan")) if properties is not None else None
            blocks = [block for part in child for block in _blocks_of(part, book)]
            text = "\n".join(block.text.strip() for block in blocks if block.text.strip())
            goes_on = merge is not None and merge != "restart"
            yield _Cell(blocks, text, min(max(span or 1, 1), _MAX_SPAN), goes_on)
        elif name in ("sdt", "sdtContent", "customXml"):
            yield from _cells(child, book)


def _is_head(row: Any) -> bool:
    properties = _child(row, "trPr")
    return properties is not None and _on(_value(properties, "tblHeader"))
