"""Plain text and Markdown: find the encoding, then one block a line.

The candidates are few and known (UTF-8, GB18030, UTF-16), so each is decoded strictly and judged by how much of it is
everyday Chinese; general detectors guess among dozens of code pages and take short GBK texts for Big5 or Johab.
Markdown marks that carry no text (``#``, ``---``, ``|---|``, HTML comments) become block kinds or are dropped.
"""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from knowledge.errors import EmptyDocument, UnknownFormat
from knowledge.readers.raw import Block, BlockKind, RawDocument

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP container (DOCX, OFD, XLSX)"),
    (b"\xd0\xcf\x11\xe0", "a Word 97-2003 or WPS file"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x7fELF", "a program"),
    (b"{\\rtf", "an RTF file"),
)
_BOMS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE = 65536
_EVERYDAY = set("，。、；：？！“”‘’（）《》〈〉【】〔〕—…·％○〇　\n\r\t")
_COMMENT = re.compile(r"<!--[^\0]*?-->")
_HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t\u3000]+(\S.*?)[ \t]*#*$")
_RULE = re.compile(r"^[ \t]*(?:-{3,}|\*{3,}|_{3,}|={3,}|—{3,}|─{3,})[ \t]*$")
_TABLE_RULE = re.compile(r"^[ \t]*\|?[ \t]*:?-{2,}:?[ \t]*(?:\|[ \t]*:?-{2,}:?[ \t]*)*\|?[ \t]*$")


def read_text(path: Path) -> RawDocument:
    """Read a ``.txt`` or ``.md`` file. Raises ``EmptyDocument`` and ``UnknownFormat``."""
    text, encoding = decode(path.read_bytes(), path.name)
    if not text.strip(" \t\r\n\u3000\xa0\ufeff\u200b\x0c"):
        raise EmptyDocument(f"{path.name} holds no text; check that the right file was saved")
    return RawDocument(
        blocks=tuple(blocks_of(text)), format=path.suffix.lower().lstrip(".") or "txt", warnings=encoding
    )


def decode(data: bytes, name: str) -> tuple[str, tuple[str, ...]]:
    """Text of ``data`` and warnings. Raises ``UnknownFormat`` for what is not text, ``EmptyDocument`` for nothing."""
    if not data:
        raise EmptyDocument(f"{name} has no bytes; check that the right file was saved")
    for magic, what in _MAGIC:
        if data.startswith(magic):
            raise UnknownFormat(f"{name} is {what}, not text; give it its right suffix")
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            try:
                return _not_empty(data.decode(encoding), name), ()
            except UnicodeDecodeError:
                break
    best, best_score = "", 0.0
    for encoding in ("utf-8", "gb18030", "utf-16-le", "utf-16-be"):
        text = _decoded(data, encoding)
        if text is None:
            continue
        score = _plausibility(text[:_SAMPLE])
        if encoding == "utf-8" and score > 0 and any(character > "\u07ff" for character in text[:_SAMPLE]):
            score += 1  # bytes that are valid three-byte UTF-8 by chance are very rare
        if score > best_score:
            best, best_score = text, score
    if best_score >= 0.75:
        return best, ()
    mended = data.decode("utf-8", errors="replace")
    broken = mended.count("\ufffd")
    if broken * 200 <= len(mended) and _plausibility(mended[:_SAMPLE]) >= 0.75:
        return mended, (f"{broken} damaged bytes were replaced; compare with the original",)
    raise UnknownFormat(f"{name} is not text in UTF-8, GB18030 or UTF-16; save it again as UTF-8")


def _not_empty(text: str, name: str) -> str:
    if not text:
        raise EmptyDocument(f"{name} holds a byte order mark and nothing else; check that the right file was saved")
    return text


def _decoded(data: bytes, encoding: str) -> str | None:
    if encoding.startswith("utf-16") and len(data) % 2:
        return None
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _plausibility(text: str) -> float:
    """Share of everyday characters (ASCII print, common hanzi, Chinese punctuation), minus control characters."""
    if not text:
        return 0.0
    good = bad = 0.0
    for character in text:
        code = ord(character)
        if 0x20 <= code < 0x7F or character in _EVERYDAY or 0xFF01 <= code <= 0xFF5E:
            good += 1
        elif 0x4E00 <= code <= 0x9FFF:
            good += 1 if _common_hanzi(character) else 0.4
        elif code < 0x20 or 0x7F <= code < 0xA0 or 0xE000 <= code <= 0xF8FF or code == 0xFFFD or code > 0x2FFFF:
            bad += 0 if character in "\x0c\x0b\ufeff\x1a" else 1
        elif 0x2000 <= code <= 0x33FF or 0xA0 <= code <= 0x24FF:
            good += 0.7
    return max(0.0, (good - 8 * bad) / len(text))


def _common_hanzi(character: str) -> bool:
    """GB 2312 level 1: the 3,755 most used hanzi, in rows 16 to 55."""
    try:
        return 0xB0 <= character.encode("gb2312")[0] <= 0xD7
    except UnicodeEncodeError:
        return False


def blocks_of(text: str) -> list[Block]:
    """One block a line; Markdown headings, rules and tables are recognised in any text file."""
    lines = re.split(r"\r\n|\r|\n|\x0c|\u2028|\u2029", _COMMENT.sub("", text))
    blocks: list[Block] = []
    number = 0
    while number < len(lines):
        line = lines[number].strip("\ufeff\x1a")
        if "|" in line and number + 1 < len(lines) and _is_table(line, lines[number + 1]):
            number = _read_table(lines, number, blocks)
            continue
        number += 1
        if not line.strip():
            continue
        heading = _HEADING.match(line)
        if heading:
            blocks.append(Block(heading[2].strip(), BlockKind.HEADING, level=len(heading[1])))
        elif _RULE.match(line):
            blocks.append(Block(line.strip(), BlockKind.RULE))
        else:
            blocks.append(Block(line.rstrip()))
    return blocks


def _is_table(head: str, rule: str) -> bool:
    return len(rule) < 1000 and "|" in rule and "-" in rule and bool(_TABLE_RULE.match(rule)) and head.count("|") >= 1


def _read_table(lines: list[str], number: int, blocks: list[Block]) -> int:
    blocks.append(_row(lines[number], header=True))
    number += 2
    while number < len(lines) and "|" in lines[number] and lines[number].strip():
        blocks.append(_row(lines[number], header=False))
        number += 1
    return number


def _row(line: str, *, header: bool) -> Block:
    cells = tuple(cell.strip() for cell in line.strip().strip("|").split("|"))
    return Block(" ".join(cell for cell in cells if cell), BlockKind.ROW, cells=cells, header=header)
