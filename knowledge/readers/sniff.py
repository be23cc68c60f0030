"""真实格式: what a file is by its content. A suffix is a promise; the first bytes and the parts inside are the fact."""

from __future__ import annotations

import re
from pathlib import Path

from knowledge.errors import EncryptedDocument, UnknownFormat
from knowledge.readers.container import Package

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_HEAD = 4096
_FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG", "a PNG picture; save the scan as PDF"),
    (b"\xff\xd8\xff", "a JPEG picture; save the scan as PDF"),
    (b"GIF8", "a GIF picture; save the scan as PDF"),
    (b"II*\0", "a TIFF picture; save the scan as PDF"),
    (b"MM\0*", "a TIFF picture; save the scan as PDF"),
    (b"BM", "a BMP picture; save the scan as PDF"),
    (b"Rar!", "a RAR archive; unpack it or pack it as ZIP"),
    (b"7z\xbc\xaf", "a 7-Zip archive; unpack it or pack it as ZIP"),
    (b"\x1f\x8b", "a gzip archive; unpack it"),
    (b"\x7fELF", "a program, not a document"),
    (b"MZ", "a program, not a document"),
)
_STREAMS: tuple[tuple[str, str], ...] = (
    ("WordDocument", ".doc"),
    ("Workbook", "an old Excel workbook; save it as .xlsx"),
    ("Book", "an old Excel workbook; save it as .xlsx"),
    ("PowerPoint Document", "a presentation; save it as PDF"),
)
_HTML = re.compile(rb"^(?:\xef\xbb\xbf)?\s*(?:<!--[^\0]{0,2000}?-->\s*)?<(?:!doctype\s+html|html[\s>])", re.I)
_OWNER_FILE = 162  # bytes of the file in which Word notes who has a document open


def true_suffix(path: Path) -> str:
    """The suffix that fits the content: ``.pdf .docx .xlsx .ofd .zip .doc .rtf .html``, empty for plain text.

    Raises ``UnknownFormat`` for content that no reader knows, ``EncryptedDocument`` for an Office file under a password.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if path.name.startswith(("~$", ".~")) or _is_owner_file(path, head):
        raise UnknownFormat(f"{path.name} is the lock file of an open document, not a document; leave it out")
    if b"%PDF-" in head[:1024]:
        return ".pdf"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")):
        return _zip_kind(path)
    if head.startswith(_OLE):
        return _ole_kind(path)
    if head.startswith(b"{\\rtf"):
        return ".rtf"
    for magic, what in _FOREIGN:
        if head.startswith(magic) and (len(magic) > 2 or b"\0" in head[:64]):
            raise UnknownFormat(f"{path.name} is {what}")
    return ".html" if _HTML.match(head) else ""


def _is_owner_file(path: Path, head: bytes) -> bool:
    """Word's and WPS's note of who edits a document: 162 or 165 bytes, a length, a name, nothing else."""
    return len(head) in (_OWNER_FILE, 165) and 0 < head[0] < 56 and b"\0" in head and path.suffix.lower() != ".txt"


def _zip_kind(path: Path) -> str:
    with Package(path) as package:
        names = [name.lower() for name in package.names]
        kind = ""
        if package.find("OFD.xml"):
            return ".ofd"
        if package.find("[Content_Types].xml") or package.find("_rels/.rels"):
            if any(name.startswith("word/") for name in names):
                return ".docx"
            if any(name.startswith("xl/") for name in names):
                return ".xlsx"
            kind = "a presentation" if any(name.startswith("ppt/") for name in names) else "an unknown Office file"
        elif package.find("mimetype"):
            kind = package.read("mimetype", 200).decode("ascii", "replace").strip()
            kind = f"an OpenDocument file ({kind})" if "opendocument" in kind else ""
        if kind:
            raise UnknownFormat(f"{path.name} is {kind}; save it as .docx or PDF")
    return ".zip"


def _ole_kind(path: Path) -> str:
    """By the names of the streams in the directory of the compound file, which are UTF-16."""
    data = path.read_bytes()
    if "EncryptedPackage".encode("utf-16-le") in data:
        raise EncryptedDocument(f"{path.name} needs a password; save it again without one")
    for stream, kind in _STREAMS:
        if stream.encode("utf-16-le") + b"\0\0" in data:
            if kind.startswith("."):
                return kind
            raise UnknownFormat(f"{path.name} is {kind}")
    raise UnknownFormat(f"{path.name} is an Office file of an unknown kind; save it as .docx or PDF")
