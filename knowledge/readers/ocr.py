"""文字识别: tesseract with simplified Chinese (Apache-2.0), run as a program, one page a call.

What it reads is never trusted: the reader marks the document 「OCR，待核」 and the library holds it for staff.
"""

from __future__ import annotations

import csv
import functools
import io
import logging
import os
import shutil

from knowledge.errors import UnreadableDocument
from knowledge.readers.layout import Glyph
from knowledge.readers.process import run

log = logging.getLogger(__name__)

LANGUAGE = "chi_sim"
_PAGE_SECONDS = 180.0
_LEAST_CONFIDENCE = 10.0  # of 100; below it a word is a stain, not a word


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
    """Words of tesseract's TSV; the height of a word's line stands in for its type size."""
    glyphs: list[Glyph] = []
    line = (0.0, 0.0)
    for row in csv.DictReader(io.StringIO(table), delimiter="\t", quoting=csv.QUOTE_NONE):
        try:
            level, confidence = int(row["level"]), float(row["conf"])
            x, y, w, h = (int(row[key]) * points for key in ("left", "top", "width", "height"))
        except (KeyError, TypeError, ValueError):
            continue
        if level == 4:
            line = (y, y + h)
        text = (row.get("text") or "").strip()
        if level == 5 and text and confidence >= _LEAST_CONFIDENCE:
            size = max(line[1] - line[0], 1.0)
            glyphs.append(Glyph(text, x, line[0], x + w, line[1], size))
    return glyphs
