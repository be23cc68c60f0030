"""压缩包: the documents inside a ZIP, written to a folder one after the other; archives inside it are opened once.

Nothing is trusted: names that lead outside are refused, links and programs are not written, every byte that is expanded
is counted, and names without a stated encoding are read as GB18030, as Chinese Windows writes them.
"""

from __future__ import annotations

import logging
import re
import stat
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from knowledge.errors import DocumentTooLarge, EncryptedDocument, UnreadableDocument
from knowledge.readers.container import DAMAGE, ZIP_ERRORS, damaged

log = logging.getLogger(__name__)

SUFFIXES = (".zip",)
MAX_MEMBERS = 5_000
MAX_EXPANDED = 1024 * 1024 * 1024  # bytes of all members of one archive
MAX_MEMBER = 50 * 1024 * 1024  # bytes of one member
_MAX_RATIO = 200  # expanded to packed; beyond it, and beyond 16 MiB, a member is a bomb
_SMALL = 16 * 1024 * 1024
_CHUNK = 256 * 1024
_JUNK = re.compile(r"(?:^|/)(?:__MACOSX|\.[^./][^/]*|~\$[^/]*|Thumbs\.db|desktop\.ini)(?:/|$)", re.I)
_UTF8_NAME = 0x800
_UNICODE_PATH = 0x7075  # Info-ZIP's extra field with the name in UTF-8


@dataclass(frozen=True, slots=True)
class Member:
    """压缩包成员: ``name`` as stored, with its folders; ``path`` where it was written, or None with the ``error``."""

    name: str
    path: Path | None
    error: UnreadableDocument | None = None


@dataclass(slots=True)
class _Budget:
    """What may still be expanded, for an archive and the archives inside it together."""

    members: int
    bytes: int


def members(path: Path, into: Path) -> Iterator[Member]:
    """Write the files of the archive ``path`` below the folder ``into`` and give them one by one, in their order.

    A member may be deleted as soon as the next one is asked for. A member that cannot be had carries its error and the
    rest goes on. Raises ``UnreadableDocument`` when ``path`` is no sound archive and ``DocumentTooLarge`` when the archive
    as a whole goes beyond 5,000 members or 1 GiB.
    """
    yield from _members(path, into, "", _Budget(MAX_MEMBERS, MAX_EXPANDED), nested=False)


def _members(path: Path, into: Path, prefix: str, budget: _Budget, *, nested: bool) -> Iterator[Member]:
    name = prefix.rstrip("/") or path.name
    try:
        archive = zipfile.ZipFile(path)
    except ZIP_ERRORS as error:
        raise damaged(name, error) from error
    with archive:
        for info in archive.infolist():
            member = _name(info)
            if not info.filename or info.is_dir() or _JUNK.search(member):
                continue
            budget.members -= 1
            if budget.members < 0:
                raise DocumentTooLarge(f"{name} holds more than {MAX_MEMBERS} files; split it")
            shown = f"{prefix}{member}"
            place = into / f"{MAX_MEMBERS - budget.members:05d}"
            try:
                target = _write(archive, info, member, place, budget)
            except UnreadableDocument as error:
                yield Member(shown, None, error)
                continue
            if budget.bytes < 0:
                target.unlink(missing_ok=True)
                raise DocumentTooLarge(f"{name} expands to more than {MAX_EXPANDED} bytes; split it")
            if target.suffix.lower() not in SUFFIXES:
                yield Member(shown, target)
            elif nested:
                yield Member(shown, None, UnreadableDocument(f"{shown} lies in an archive in an archive; unpack it"))
            else:
                try:
                    yield from _members(target, into, f"{shown}/", budget, nested=True)
                except DocumentTooLarge:
                    raise
                except UnreadableDocument as error:
                    yield Member(shown, None, error)
                target.unlink(missing_ok=True)


def _name(info: zipfile.ZipInfo) -> str:
    """The member's name: UTF-8 where the archive says so, else UTF-8 or GB18030, whichever fits."""
    if info.flag_bits & _UTF8_NAME:
        return info.filename.replace("\\", "/")
    stated = _unicode_path(info.extra)
    if stated:
        return stated.replace("\\", "/")
    try:
        stored = info.orig_filename.encode("cp437")
    except UnicodeEncodeError:
        return info.filename.replace("\\", "/")
    for encoding in ("utf-8", "gb18030"):
        try:
            return stored.decode(encoding).replace("\\", "/")
        except UnicodeDecodeError:
            continue
    return info.filename.replace("\\", "/")


def _unicode_path(extra: bytes) -> str:
    place = 0
    while place + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, place)
        if kind == _UNICODE_PATH and size > 5:
            return extra[place + 9 : place + 4 + size].decode("utf-8", "replace")
        place += 4 + size
    return ""


def _write(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, folder: Path, budget: _Budget) -> Path:
    """Expand one member into a folder of its own, under its own last name."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\0" in name or re.match(r"^[A-Za-z]:", name):
        raise UnreadableDocument(f"{name!r} leads outside the archive; it was not unpacked")
    if stat.S_ISLNK(info.external_attr >> 16):
        raise UnreadableDocument(f"{name} is a link, not a file; it was not unpacked")
    if info.flag_bits & 0x1:
        raise EncryptedDocument(f"{name} needs a password; pack it again without one")
    limit = min(MAX_MEMBER, max(_SMALL, info.compress_size * _MAX_RATIO))
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / _safe(parts[-1])
    written = 0
    try:
        with archive.open(info) as source, target.open("wb") as sink:
            while chunk := source.read(_CHUNK):
                written += len(chunk)
                budget.bytes -= len(chunk)
                if written > limit or budget.bytes < 0:
                    break
                sink.write(chunk)
    except ZIP_ERRORS as error:
        target.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno not in DAMAGE:
            raise  # the disk's fault, not the file's
        raise damaged(name, error) from error
    if written > limit:
        target.unlink(missing_ok=True)
        raise DocumentTooLarge(f"{name} expands to more than {limit} bytes; split it or check where it comes from")
    return target


def _safe(name: str) -> str:
    """The last part of a name, fit for any file system; long names keep their suffix."""
    plain = re.sub(r'[\x00-\x1f<>:"|?*]', "_", name).strip(" .") or "unnamed"
    stem, dot, suffix = plain.rpartition(".")
    while len(plain.encode()) > 200 and len(stem) > 1:
        stem = stem[: len(stem) - 1]
        plain = f"{stem}{dot}{suffix}" if len(suffix) < 20 else stem
    return plain
