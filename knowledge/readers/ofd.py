"""OFD (GB/T 33190-2016), China's layout format: text objects with positions, put back in reading order.

The container is a ZIP of XML: ``OFD.xml`` names documents, ``Document.xml`` their pages and page templates, ``Content.xml``
the objects of a page. Elements are matched by local name, since makers use several namespaces. The title is never taken
from the metadata, which often holds the name of the office or of the program.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from knowledge.errors import DocumentTooLarge, EmptyDocument, EncryptedDocument, ScannedDocument, UnreadableDocument
from knowledge.readers.container import Package, local, named_errors, resolve
from knowledge.readers.layout import Glyph, Page, Rule, Setter
from knowledge.readers.marks import secrecy_in
from knowledge.readers.raw import RawDocument

log = logging.getLogger(__name__)

MAX_PAGES = 500
_MAX_CHARACTERS = 4_000_000
_MAX_REPEAT = 100_000  # of a "g n d" run in DeltaX
_DEEPEST = 40
_MAX_ASIDE = 20_000  # characters of watermarks that are looked at
_FAR = 20_000.0  # points; what stands beyond is on no page
_POINTS = 72 / 25.4  # points in a millimetre, OFD's unit
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?"


@dataclass(frozen=True, slots=True)
class _Matrix:
    """An affine map (a b c d e f): x' = ax + cy + e, y' = bx + dy + f."""

    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    d: float = 1.0
    e: float = 0.0
    f: float = 0.0

    def then(self, outer: _Matrix) -> _Matrix:
        """This map, then ``outer``."""
        return _Matrix(
            outer.a * self.a + outer.c * self.b,
            outer.b * self.a + outer.d * self.b,
            outer.a * self.c + outer.c * self.d,
            outer.b * self.c + outer.d * self.d,
            outer.a * self.e + outer.c * self.f + outer.e,
            outer.b * self.e + outer.d * self.f + outer.f,
        )

    def at(self, x: float, y: float) -> tuple[float, float]:
        """The point ``(x, y)`` after the map."""
        return self.a * x + self.c * y + self.e, self.b * x + self.d * y + self.f


@dataclass(slots=True)
class _Tally:
    characters: int = 0
    drawings: int = 0
    aside: str = ""  # turned text: watermarks and seals


def read_ofd(path: Path) -> RawDocument:
    """Read an ``.ofd`` file. Raises ``ScannedDocument`` when its pages are only drawn, ``DocumentTooLarge`` and kin."""
    with named_errors(path.name, "OFD document"), Package(path) as package:
        return _read(package)


def _read(package: Package) -> RawDocument:
    if package.find("Encryptions.xml"):
        raise EncryptedDocument(f"{package.name} is encrypted (GM/T 0099); save it again without a password")
    if not package.find("OFD.xml"):
        raise UnreadableDocument(f"{package.name} lacks OFD.xml; get it again from its source")
    roots = [_text(e) for e in package.parse("OFD.xml").iter() if local(e) == "DocRoot"]
    if not roots:
        raise UnreadableDocument(f"{package.name} names no document in OFD.xml; get it again from its source")
    setter, tally = Setter(), _Tally()
    pages = 0
    unread: list[int] = []
    attachments: list[str] = []
    for root in roots:
        document_part = package.find(resolve("", root))
        if not document_part:
            raise UnreadableDocument(f"{package.name} lacks its part {root}; get it again from its source")
        document = package.parse(document_part)
        folder = document_part.rpartition("/")[0]
        templates = _templates(document, folder)
        for location in _page_locations(document):
            pages += 1
            if pages > MAX_PAGES:
                raise DocumentTooLarge(f"{package.name} has more than {MAX_PAGES} pages; split it")
            characters, drawings = tally.characters, tally.drawings
            setter.add(_page(package, resolve(folder, location), templates, pages, tally))
            if tally.characters == characters and tally.drawings > drawings:
                unread.append(pages)
            if tally.characters > _MAX_CHARACTERS:
                raise DocumentTooLarge(f"{package.name} has more than {_MAX_CHARACTERS} characters; split it")
        attachments.extend(_attachments(package, document, folder))
    if not pages:
        raise EmptyDocument(f"{package.name} has no pages; check that the right file was saved")
    blocks = setter.blocks()
    if not blocks:
        if tally.drawings:
            raise ScannedDocument(
                f"{package.name} has no text layer ({pages} pages of pictures or outlines); "
                "ask for the original with text, or print it to PDF for OCR"
            )
        raise EmptyDocument(f"{package.name} holds no text; check that the right file was saved")
    secret = next((mark for line in tally.aside.splitlines() if (mark := secrecy_in(line))), "")
    metadata = {"密级": secret} if secret else {}
    return RawDocument(
        tuple(blocks), "ofd", metadata, pages=pages, unread_pages=tuple(unread), attachments=tuple(attachments)
    )


def _text(element: Any) -> str:
    return (element.text or "").strip()


def _templates(document: Any, folder: str) -> dict[str, str]:
    """Page templates (letterheads): id → part."""
    return {
        element.get("ID", ""): resolve(folder, element.get("BaseLoc", ""))
        for element in document.iter()
        if local(element) == "TemplatePage"
    }


def _page_locations(document: Any) -> Iterator[str]:
    for element in document:
        if local(element) == "Pages":
            for page in element:
                if local(page) == "Page" and page.get("BaseLoc"):
                    yield page.get("BaseLoc")


def _attachments(package: Package, document: Any, folder: str) -> Iterator[str]:
    """Names of embedded files; their content is not read."""
    for element in document:
        if local(element) != "Attachments":
            continue
        part = package.find(resolve(folder, _text(element)))
        if not part:
            continue
        for attached in package.parse(part).iter():
            if local(attached) != "Attachment":
                continue
            place = next((_text(e) for e in attached if local(e) == "FileLoc"), "")
            name, file = attached.get("Name", "").strip(), place.rpartition("/")[2]
            yield name if "." in name or not file else file


def _page(package: Package, part: str, templates: dict[str, str], number: int, tally: _Tally) -> Page:
    page = Page(number)
    root = package.parse(part)
    for child in root:
        if local(child) == "Template":
            template = package.find(templates.get(child.get("TemplateID", ""), ""))
            if template:
                _content(package.parse(template), page, tally)
    _content(root, page, tally)
    return page


def _content(root: Any, page: Page, tally: _Tally) -> None:
    for child in root:
        if local(child) == "Content":
            _objects(child, _Matrix(_POINTS, 0.0, 0.0, _POINTS), page, tally, 0)


def _objects(parent: Any, outer: _Matrix, page: Page, tally: _Tally, depth: int) -> None:
    if depth > _DEEPEST:
        return
    for element in parent:
        name = local(element)
        if name in ("Layer", "PageBlock"):
            _objects(element, outer, page, tally, depth + 1)
        elif name == "TextObject":
            if element.get("Visible", "true") != "false":
                _text_object(element, outer, page, tally)
        elif name == "PathObject":
            tally.drawings += 1
            _path_object(element, outer, page)
        elif name in ("ImageObject", "CompositeObject"):
            tally.drawings += 1


def _numbers(text: str | None) -> list[float]:
    return [float(n) for n in re.findall(_NUMBER, text or "")[:1000] if math.isfinite(float(n))]


def _placement(element: Any, outer: _Matrix) -> _Matrix | None:
    """From the object's own space to the page: its CTM, then its place (Boundary)."""
    boundary = _numbers(element.get("Boundary"))
    if len(boundary) < 2:
        return None
    matrix = _Matrix(e=boundary[0], f=boundary[1])
    own = _numbers(element.get("CTM"))
    if len(own) == 6:
        matrix = _Matrix(*own).then(matrix)
    return matrix.then(outer)


def _text_object(element: Any, outer: _Matrix, page: Page, tally: _Tally) -> None:
    matrix = _placement(element, outer)
    size = next(iter(_numbers(element.get("Size"))), 0.0)
    if matrix is None or not 0 < size < _FAR:
        return
    if abs(matrix.b) > 0.2 * (abs(matrix.a) + 1e-9):
        if len(tally.aside) < _MAX_ASIDE:  # a watermark or a seal, never a line of the document
            tally.aside += "".join(element.itertext()).strip()[:200] + "\n"
        return
    scale = next(iter(_numbers(element.get("HScale"))), 1.0) or 1.0
    wide = abs(matrix.a) * scale * size
    tall = abs(matrix.d) * size
    x = y = 0.0
    for code in element:
        if local(code) != "TextCode":
            continue
        x = next(iter(_numbers(code.get("X"))), x)
        y = next(iter(_numbers(code.get("Y"))), y)
        text = (code.text or "").strip("\r\n")
        tally.characters += len(text)
        if tally.characters > _MAX_CHARACTERS:
            return
        along, down = _deltas(code.get("DeltaX"), len(text)), _deltas(code.get("DeltaY"), len(text))
        for place, character in enumerate(text):
            left, base = matrix.at(x, y)
            if (character.isprintable() or character.isspace()) and abs(left) < _FAR and abs(base) < _FAR:
                width = wide * (0.5 if character.isascii() else 1.0)
                if place < len(along) and along[place] > 0:
                    width = min(width, along[place] * abs(matrix.a))
                page.glyphs.append(Glyph(character, left, base - 0.88 * tall, left + width, base + 0.12 * tall, tall))
            if place < len(along):
                x += along[place]
            elif not down:
                x += along[-1] if along else size * scale * (0.5 if character.isascii() else 1.0)
            if place < len(down):
                y += down[place]


def _deltas(text: str | None, needed: int) -> list[float]:
    """``DeltaX``: numbers, with ``g n d`` for ``n`` times ``d``."""
    found: list[float] = []
    words = (text or "").split()
    place = 0
    while place < len(words) and len(found) < needed:
        if words[place] == "g" and place + 2 < len(words):
            count = _numbers(words[place + 1])
            step = _numbers(words[place + 2])
            if count and step:
                found.extend([step[0]] * min(int(max(count[0], 0)), _MAX_REPEAT, needed))
            place += 3
            continue
        found.extend(_numbers(words[place])[:1])
        place += 1
    return found[:needed]


def _path_object(element: Any, outer: _Matrix, page: Page) -> None:
    """Straight strokes and thin bars, which may be the rules of a table."""
    matrix = _placement(element, outer)
    data = next((e.text or "" for e in element if local(e) == "AbbreviatedData"), "")
    if matrix is None or not data or len(data) > 2000 or re.search("[QBA]", data):
        return
    points: list[tuple[float, float]] = []
    for match in re.finditer(rf"([SML])\s+({_NUMBER})\s+({_NUMBER})|(C)", data):
        if match[4] or match[1] in "SM":
            _strokes(points, page)
            points = points[:1] if match[4] else []
        if not match[4]:
            points.append(matrix.at(float(match[2]), float(match[3])))
    _strokes(points, page)


def _strokes(points: list[tuple[float, float]], page: Page) -> None:
    if len(points) < 2 or not all(abs(x) < _FAR and abs(y) < _FAR for x, y in points):
        return
    xs, ys = [x for x, _ in points], [y for _, y in points]
    if min(max(xs) - min(xs), max(ys) - min(ys)) < 4:
        page.rules.append(Rule(min(xs), min(ys), max(xs), max(ys)))
        return
    for (x0, y0), (x1, y1) in pairwise(points):
        if min(abs(x1 - x0), abs(y1 - y0)) < 1:
            page.rules.append(Rule(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)))
