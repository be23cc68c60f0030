"""文字识别: tesseract with simplified Chinese (Apache-2.0), run as a program, one page a call.

What it reads is never trusted: the reader marks the document 「OCR，待核」 and the library holds it for staff.
"""

from __future__ import annotations

import csv
import functools
import io
import logging
import os
import re
import shutil

from knowledge.errors import UnreadableDocument
from knowledge.readers.layout import Glyph
from knowledge.readers.process import run

log = logging.getLogger(__name__)

LANGUAGE = "chi_sim"
_PAGE_SECONDS = 180.0
_FULL_WIDTH = str.maketrans(",;:?!()", "，；：？！（）")
_HAN = re.compile(r"[\u4e00-\u9fff（）《》“”]")


@functools.cache
def available() -> bool:
    """Whether tesseract and its Chinese model are installed (looked up once a process)."""
    program = shutil.which("tesseract")
    if program is None:
        return False
    outcome = run([program, "--list-langs"], seconds=30)
    return outcome.code == 0 and LANGUAGE.encode() in outcome.out.split()


def recognise(pixels: bytes, width: int, height: int, points: float) -> list[Glyph]:
    """Words of one page with their places.

    ``pixels`` are grey, one byte each, row by row from the top; ``points`` is the size of a pixel in points. Raises
    ``UnreadableDocument`` when tesseract fails.
    """
    picture = b"P5\n%d %d\n255\n" % (width, height) + pixels
    outcome = run(
        ["tesseract", "stdin", "stdout", "-l", LANGUAGE, "--psm", "3", "--dpi", str(round(72 / points)), "tsv"],
        stdin=picture,
        seconds=_PAGE_SECONDS,
        environment={**os.environ, "OMP_THREAD_LIMIT": "1"},
    )
    if outcome.code != 0:
        reason = outcome.error.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no reason given"]
        raise UnreadableDocument(f"tesseract could not read a page ({reason[0]}); check its installation")
    return _words(outcome.out.decode("utf-8", "replace"), points)


def _words(table: str, points: float) -> list[Glyph]:
    """Words of tesseract's TSV. The heights it gives vary with the words, so the type size comes from their widths."""
    lines: list[list[tuple[str, float, float]]] = []
    places: list[tuple[float, float]] = []
    for row in csv.DictReader(io.StringIO(table), delimiter="\t", quoting=csv.QUOTE_NONE):
        try:
            level = int(row["level"])
            x, y, w, h = (int(row[key]) * points for key in ("left", "top", "width", "height"))
        except (KeyError, TypeError, ValueError):
            continue
        if level == 4:
            lines.append([])
            places.append((y, y + h))
        text = (row.get("text") or "").strip()
        if level == 5 and text and lines:
            lines[-1].append((text, x, x + w))
    lines = [_full_width(words) for words in lines]
    pitches = [_pitch(words) for words in lines]
    known = sorted(pitch for pitch in pitches if pitch)
    usual = known[len(known) // 2] if known else 0.0
    glyphs: list[Glyph] = []
    for words, (top, bottom), pitch in zip(lines, places, pitches, strict=True):
        size = usual if not pitch or abs(pitch - usual) < 0.2 * usual else pitch
        size = size or max(bottom - top, 1.0)
        middle = (top + bottom) / 2
        glyphs += [Glyph(text, x0, middle - size / 2, x1, middle + size / 2, size) for text, x0, x1 in words]
    return glyphs


def _full_width(words: list[tuple[str, float, float]]) -> list[tuple[str, float, float]]:
    """Punctuation beside a Chinese character is full-width in print; tesseract gives either."""
    text = "".join(word for word, _, _ in words)
    mended = ""
    for place, character in enumerate(text):
        beside = mended[-1:] + text[place + 1 : place + 2]
        mended += character.translate(_FULL_WIDTH) if _HAN.search(beside) else character
    found, place = [], 0
    for word, x0, x1 in words:
        found.append((mended[place : place + len(word)], x0, x1))
        place += len(word)
    return found


def _pitch(words: list[tuple[str, float, float]]) -> float:
    """Width of one full-width character of a line, 0 where the line is too short to tell."""
    units = sum(0.5 if character.isascii() else 1.0 for text, _, _ in words for character in text)
    return (words[-1][2] - words[0][1]) / units if units >= 6 else 0.0
