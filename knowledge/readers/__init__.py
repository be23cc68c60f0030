"""Readers: one module a format, joined by one table from suffix to reader.

``read`` is the only door. It refuses a file by its size before a byte is read, and a suffix without a reader by name.
A reader raises an ``UnreadableDocument`` (see :mod:`knowledge`) or returns the text; never an empty text.
"""

from __future__ import annotations

from pathlib import Path

from knowledge.errors import DocumentTooLarge, UnknownFormat, UnreadableDocument
from knowledge.readers import html, text
from knowledge.readers.raw import RawDocument, Reader

DEFAULT_MAX_BYTES = 50 * 1024 * 1024

READERS: dict[str, Reader] = {
    ".txt": text.read_text,
    ".md": text.read_text,
    ".html": html.read_html,
    ".htm": html.read_html,
}


def supported_suffixes() -> tuple[str, ...]:
    """Every suffix that has a reader, sorted."""
    return tuple(sorted(READERS))


def read(path: Path, *, max_bytes: int = DEFAULT_MAX_BYTES) -> RawDocument:
    """Read one file with the reader of its suffix.

    Raises ``UnknownFormat`` (no reader, or the content is something else), ``DocumentTooLarge`` (more than
    ``max_bytes``; nothing is read), ``EmptyDocument`` and whatever ``UnreadableDocument`` the reader names.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
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
        return reader(path)
    except OSError as error:
        raise UnreadableDocument(f"{path.name} cannot be read ({error.strerror}); check its permissions") from error
