"""Readers: one module a format, joined by one table from suffix to reader.

``read`` is the only door. It refuses a file by its size before a byte is read, looks at the content before it believes
the suffix, and names what it cannot read. A reader raises an ``UnreadableDocument`` (see :mod:`knowledge`) or returns the
text; never an empty text. Archives (``.zip``) hold several documents: :mod:`knowledge.readers.archive`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from knowledge.errors import DocumentTooLarge, UnknownFormat, UnreadableDocument
from knowledge.readers import archive, html, ofd, office, pdf, sheet, text, word
from knowledge.readers.raw import RawDocument, Reader
from knowledge.readers.sniff import true_suffix

DEFAULT_MAX_BYTES = 50 * 1024 * 1024

READERS: dict[str, Reader] = {
    ".txt": text.read_text,
    ".md": text.read_text,
    ".html": html.read_html,
    ".htm": html.read_html,
    ".docx": word.read_docx,
    ".pdf": pdf.read_pdf,
    ".ofd": ofd.read_ofd,
    ".doc": office.read_office,
    ".wps": office.read_office,
    ".rtf": office.read_office,
    ".xlsx": sheet.read_xlsx,
    ".csv": sheet.read_csv,
}
_TEXTUAL = (text.read_text, html.read_html, sheet.read_csv)


def supported_suffixes() -> tuple[str, ...]:
    """Every suffix that has a reader, sorted."""
    return tuple(sorted(READERS))


def read(path: Path, *, max_bytes: int = DEFAULT_MAX_BYTES) -> RawDocument:
    """Read one file with the reader of its content; where the suffix says something else, a warning says so.

    Raises ``UnknownFormat`` (no reader for suffix or content), ``DocumentTooLarge`` (more than ``max_bytes``; nothing is
    read), ``EmptyDocument`` and whatever ``UnreadableDocument`` the reader names.
    """
    suffix = path.suffix.lower()
    if suffix not in READERS and suffix not in archive.SUFFIXES:
        known = " ".join(supported_suffixes())
        raise UnknownFormat(f"{path.name}: no reader for '{path.suffix}'; convert it to one of {known}")
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise UnreadableDocument(f"{path.name} is not a file; name a file")
    except OSError as error:
        raise UnreadableDocument(f"{path.name} cannot be opened ({error.strerror}); check the path") from error
    if size > max_bytes:
        raise DocumentTooLarge(f"{path.name} has {size} bytes, the limit is {max_bytes}; split it or raise the limit")
    try:
        true = true_suffix(path)
        reader = _reader(path.name, suffix, true)
        raw = reader(path)
    except OSError as error:
        raise UnreadableDocument(f"{path.name} cannot be read ({error.strerror}); check its permissions") from error
    if reader is READERS.get(suffix):
        return raw
    return replace(raw, warnings=(*raw.warnings, f"the file is named {suffix} but is {true}; it was read as {true}"))


def _reader(name: str, suffix: str, true: str) -> Reader:
    """The reader for content ``true`` (empty: text) in a file named ``suffix``."""
    if true in archive.SUFFIXES:
        raise UnknownFormat(f"{name} is an archive of documents; unpack it and take in what it holds")
    named = READERS.get(suffix)
    if not true:
        if named in _TEXTUAL:
            return named
        raise UnknownFormat(f"{name} is not what its suffix '{suffix}' says; get it again from its source")
    if true not in READERS:
        raise UnknownFormat(f"{name} is {true}, which no reader knows; convert it to .docx or PDF")
    if true == ".html" and suffix == ".md":
        return text.read_text
    return READERS[true]
