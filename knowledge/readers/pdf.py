"""PDF: characters with positions, put back in reading order; pages that are pictures go through OCR when it is installed.

pdfium (BSD) opens the file. The order in which a PDF stores its characters, and the spaces it stores, are not trusted:
:mod:`knowledge.readers.layout` sets the lines anew. pdfium is not thread-safe, so one lock lets one PDF in at a time.
"""

from __future__ import annotations

import ctypes
import logging
import math
import threading
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium

from knowledge.errors import (
    DocumentTooLarge,
    EmptyDocument,
    EncryptedDocument,
    ScannedDocument,
    UnreadableDocument,
)
from knowledge.readers import ocr
from knowledge.readers.container import named_errors
from knowledge.readers.layout import Glyph, Page, Rule, Setter
from knowledge.readers.marks import secrecy_in
from knowledge.readers.raw import RawDocument

log = logging.getLogger(__name__)

MAX_PAGES = 500
MAX_CHARACTERS = 4_000_000
_MAX_PATHS = 6000
_MANY_PATHS = 200  # a page without text and with more strokes is writing turned into outlines
_MAX_PAGE_CHARACTERS = 100_000
_FAR = 20_000.0  # points; what stands beyond is on no page
_FEW = 30  # characters that a scanning app may print on a picture of a page
_OCR_DPI = (150, 250)  # a scan is read at its own resolution within these: enlarging it adds errors, not detail
_OCR_PIXELS = 16_000_000
_LOCK = threading.Lock()
_LINE_ENDS = {0, 0x0A, 0x0D, 0xFFFE, 0xFFFF}
_HYPHENS = {"\u00ad": "-", "\u2010": "-", "\u2011": "-", "\x02": "-"}


@dataclass(slots=True)
class _Tally:
    characters: int = 0
    unmapped: int = 0
    pictures: list[int] = field(default_factory=list)  # pages without a text layer
    layered: list[int] = field(default_factory=list)  # pictures of pages under a text that a scanner recognised
    empty: int = 0
    secret: str = ""


def read_pdf(path: Path) -> RawDocument:
    """Read a ``.pdf`` file.

    Raises ``EncryptedDocument``, ``DocumentTooLarge`` (over 500 pages), ``ScannedDocument`` (only pictures and no
    OCR installed), ``EmptyDocument`` and ``UnreadableDocument``.
    """
    with _LOCK, named_errors(path.name, "PDF document"):
        document = _open(path)
        try:
            return _read(document, path.name)
        finally:
            document.close()


def _open(path: Path) -> Any:
    try:
        return pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == pdfium.FPDF_ERR_PASSWORD:
            raise EncryptedDocument(f"{path.name} needs a password; save it again without one") from error
        raise UnreadableDocument(
            f"{path.name} is damaged or incomplete (PDF: {error}); get it again from its source"
        ) from error


def _read(document: Any, name: str) -> RawDocument:
    count = len(document)
    if count > MAX_PAGES:
        raise DocumentTooLarge(f"{name} has {count} pages, the limit is {MAX_PAGES}; split it")
    if not count:
        raise EmptyDocument(f"{name} has no pages; check that the right file was saved")
    setter, tally = Setter(), _Tally()
    recognise = ocr.available()
    for number in range(1, count + 1):
        page = document[number - 1]
        try:
            setter.add(_page(page, number, tally, recognise=recognise))
        finally:
            page.close()
        if tally.characters > MAX_CHARACTERS:
            raise DocumentTooLarge(f"{name} has more than {MAX_CHARACTERS} characters; split it")
    blocks = tuple(setter.blocks())
    if tally.pictures and not recognise and len(tally.pictures) + tally.empty == count:
        raise ScannedDocument(
            f"{name} is a scan without a text layer ({count} pages); install tesseract with chi_sim, or ask for the original"
        )
    if not blocks:
        raise EmptyDocument(f"{name} holds no text that can be read; check that the right file was saved")
    recognised = sorted([*tally.layered, *(tally.pictures if recognise else ())])
    warnings = ["OCR，待核", f"第{_list(recognised)}页由图片识别"] if recognised else []
    if tally.pictures and not recognise:
        warnings.append(f"第{_list(tally.pictures)}页是图片，没有读出文字")
    return RawDocument(
        blocks,
        "pdf",
        {"密级": tally.secret} if tally.secret else {},
        pages=count,
        ocr=bool(recognised),
        unread_pages=() if recognise else tuple(tally.pictures),
        warnings=tuple(warnings),
        attachments=tuple(_attachments(document)),
    )


def _list(pages: list[int]) -> str:
    return "、".join(map(str, pages[:20])) + ("等" if len(pages) > 20 else "")


def _attachments(document: Any) -> list[str]:
    try:
        return [document.get_attachment(place).get_name() for place in range(min(document.count_attachments(), 100))]
    except pypdfium2.PdfiumError as error:
        log.info("attachments could not be listed: %s", error)
        return []


def _page(page: Any, number: int, tally: _Tally, *, recognise: bool) -> Page:
    textpage = page.get_textpage()
    try:
        printed, askew, unmapped = _printed(textpage)
        # Turned text among upright text is a watermark or a seal; a page of turned text is a wide table.
        quarters = max(range(4), key=lambda turn: (len(printed[turn]), -turn))
        turn = _Turn(page, quarters)
        covered, drawn, rules = _objects(page, turn)
        layered = covered and _is_invisible(textpage)
    finally:
        textpage.close()
    aside = [askew, *("".join(c[0] for c in printed[other]) for other in range(4) if other != quarters)]
    tally.secret = tally.secret or next((mark for text in aside if (mark := secrecy_in(text))), "")
    glyphs = []
    for character, left, bottom, right, top, x, y, size in printed[quarters]:
        # Fonts disagree about their height, so the baseline and the type size place a character in its line.
        x0, _, x1, _ = turn.box(left, bottom, right, top)
        _, base, _, _ = turn.box(x, y, x, y)
        glyphs.append(Glyph(character, x0, base - 0.88 * size, x1, base + 0.12 * size, size))
    garbled = len(glyphs) >= _FEW and unmapped * 5 > len(glyphs)
    if garbled or (len(glyphs) < _FEW and covered) or (drawn and not glyphs):
        tally.pictures.append(number)
        if recognise:
            glyphs, rules = ocr.recognise(*_picture(page)), []
        elif garbled:
            glyphs = []
    elif layered:
        tally.layered.append(number)
    elif not glyphs:
        tally.empty += 1
    tally.characters += len(glyphs)
    return Page(number, glyphs, rules)


def _is_invisible(textpage: Any) -> bool:
    """Whether the text is not drawn: a scanner has put what it recognised behind the picture of the page."""
    count = textpage.count_chars()
    modes = set()
    for place in range(0, count, max(1, count // 8)):
        printed = pdfium.FPDFText_GetTextObject(textpage.raw, place)
        if printed:
            modes.add(pdfium.FPDFTextObj_GetTextRenderMode(printed))
    return bool(modes) and modes <= {pdfium.FPDF_TEXTRENDERMODE_INVISIBLE, pdfium.FPDF_TEXTRENDERMODE_CLIP}


class _Turn:
    """From a PDF page (y upwards) to the page as it is read (y downwards), which may lie on its side.

    ``quarters``: by how many quarter turns clockwise the text of the page is turned.
    """

    def __init__(self, page: Any, quarters: int) -> None:
        self._quarters = quarters
        self._left, self._bottom, self._right, self._top = page.get_bbox()

    def box(self, left: float, bottom: float, right: float, top: float) -> tuple[float, float, float, float]:
        """(x0, y0, x1, y1) as read."""
        if self._quarters == 1:
            return self._top - top, self._right - right, self._top - bottom, self._right - left
        if self._quarters == 2:
            return self._right - right, bottom - self._bottom, self._right - left, top - self._bottom
        if self._quarters == 3:
            return bottom - self._bottom, left - self._left, top - self._bottom, right - self._left
        return left - self._left, self._top - top, right - self._left, self._top - bottom


def _quarters(a: float, b: float) -> int | None:
    """Quarter turns clockwise of text whose matrix begins with ``a b``, None for text that stands askew."""
    turns = -math.atan2(b, a) / (math.pi / 2)
    return round(turns) % 4 if math.isfinite(turns) and abs(turns - round(turns)) < 0.1 else None


def _shown(code: int) -> str:
    """The character that a code prints, empty for controls and half characters."""
    character = _HYPHENS.get(chr(code), chr(code))
    return "" if unicodedata.category(character) in ("Cc", "Cf", "Cs") else character


_Printed = tuple[str, float, float, float, float, float, float, float]


def _printed(textpage: Any) -> tuple[list[list[_Printed]], str, int]:
    """Characters with left, bottom, right, top, origin (x, y) and size, by quarter turns; text askew; how many lack a code."""
    handle = textpage.raw
    count = min(textpage.count_chars(), _MAX_PAGE_CHARACTERS)
    box, matrix = pdfium.FS_RECTF(), pdfium.FS_MATRIX()
    x, y = ctypes.c_double(), ctypes.c_double()
    to_box, to_matrix, to_x, to_y = (ctypes.byref(value) for value in (box, matrix, x, y))
    printed: list[list[_Printed]] = [[], [], [], []]
    shown: dict[int, str] = {}  # code → character, empty for what is not printed
    turns: dict[tuple[float, float, float, float], tuple[int | None, float]] = {}
    askew: list[str] = []
    unmapped = 0
    high = 0
    for place in range(count):
        code = pdfium.FPDFText_GetUnicode(handle, place)
        if 0xD800 <= code < 0xDC00:
            high = code
            continue
        if 0xDC00 <= code < 0xE000:
            code = 0x10000 + ((high - 0xD800) << 10) + (code - 0xDC00) if high else 0xFFFD
        high = 0
        if code in _LINE_ENDS or (code == 0x20 and pdfium.FPDFText_IsGenerated(handle, place) == 1):
            unmapped += code in (0, 0xFFFF)
            continue
        character = shown.get(code)
        if character is None:
            character = shown[code] = _shown(code)
        if not character or not (
            pdfium.FPDFText_GetLooseCharBox(handle, place, to_box)
            and pdfium.FPDFText_GetCharOrigin(handle, place, to_x, to_y)
            and pdfium.FPDFText_GetMatrix(handle, place, to_matrix)
        ):
            continue
        form = (matrix.a, matrix.b, matrix.c, matrix.d)
        if form not in turns:
            turns[form] = (_quarters(matrix.a, matrix.b), math.hypot(matrix.c, matrix.d))
        quarters, scale = turns[form]
        size = abs(pdfium.FPDFText_GetFontSize(handle, place) * scale)
        left, bottom, right, top, at, base = box.left, box.bottom, box.right, box.top, x.value, y.value
        if quarters is None:
            askew.append(character)
            continue
        if not (
            -_FAR < left <= right < _FAR and -_FAR < bottom <= top < _FAR and -_FAR < at < _FAR and -_FAR < base < _FAR
        ):
            continue
        if not size < _FAR:
            continue
        if code == 0xFFFD or 0xE000 <= code < 0xF900 or pdfium.FPDFText_HasUnicodeMapError(handle, place) == 1:
            unmapped += 1
        printed[quarters].append((character, left, bottom, right, top, at, base, max(size, 0.5)))
    return printed, "".join(askew), unmapped


def _objects(page: Any, turn: _Turn) -> tuple[bool, bool, list[Rule]]:
    """Whether pictures cover half of the page, whether anything is drawn on it, and its straight thin strokes."""
    pictures = area = 0.0
    rules: list[Rule] = []
    paths = 0
    left, bottom, right, top = page.get_bbox()
    for item in page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_PATH, pdfium.FPDF_PAGEOBJ_IMAGE], max_depth=3):
        if item.type == pdfium.FPDF_PAGEOBJ_IMAGE:
            x0, y0, x1, y1 = item.get_bounds()
            pictures += 1
            area += max(min(x1, right) - max(x0, left), 0.0) * max(min(y1, top) - max(y0, bottom), 0.0)
            continue
        paths += 1
        if paths > _MAX_PATHS:
            break
        try:
            x0, y0, x1, y1 = turn.box(*item.get_bounds())
        except pypdfium2.PdfiumError:
            continue  # an empty path
        if not (-_FAR < x0 <= x1 < _FAR and -_FAR < y0 <= y1 < _FAR):
            continue
        if min(x1 - x0, y1 - y0) <= 4:
            rules.append(Rule(x0, y0, x1, y1))
        elif pdfium.FPDFPath_CountSegments(item.raw) <= 6 and x1 - x0 >= 8 and y1 - y0 >= 8:
            rules += [Rule(x0, y0, x1, y0), Rule(x0, y1, x1, y1), Rule(x0, y0, x0, y1), Rule(x1, y0, x1, y1)]
    covered = area >= 0.5 * (right - left) * (top - bottom)
    return covered, bool(pictures) or paths > _MANY_PATHS, rules


def _picture(page: Any) -> tuple[bytes, int, int, float]:
    """(grey pixels, width, height, points a pixel) of a page, less fine for a poster."""
    width, height = page.get_size()
    scale = min(_resolution(page) / 72, math.sqrt(_OCR_PIXELS / max(width * height, 1.0)))
    bitmap = page.render(scale=scale, grayscale=True)
    try:
        rows = bytes(bitmap.buffer)
        stride, wide, tall = bitmap.stride, bitmap.width, bitmap.height
    finally:
        bitmap.close()
    if stride != wide:
        rows = b"".join(rows[y * stride : y * stride + wide] for y in range(tall))
    return rows, wide, tall, 1 / scale


def _resolution(page: Any) -> float:
    """Dots an inch of the largest picture on the page, within the bounds for OCR."""
    least, most = _OCR_DPI
    best = (0.0, float(most))
    for item in page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_IMAGE], max_depth=3):
        left, bottom, right, top = item.get_bounds()
        wide, tall = item.get_px_size()
        area = (right - left) * (top - bottom)
        if area > best[0] and right > left:
            best = (area, 72 * max(wide, tall) / max(right - left, top - bottom))
    return min(max(best[1], least), most)
