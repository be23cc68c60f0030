"""ZIP containers of XML (DOCX, XLSX, OFD) and archives, opened without trust.

What a file claims about itself is never believed: members are counted, every read is capped as it happens, and XML with
a document type declaration is refused before it is parsed, so that no entity is ever expanded and nothing is fetched.
"""

from __future__ import annotations

import errno
import logging
import lzma
import posixpath
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any
from urllib.parse import unquote

from lxml import etree

from knowledge.errors import DocumentTooLarge, EncryptedDocument, KnowledgeError, UnreadableDocument

log = logging.getLogger(__name__)

MAX_MEMBERS = 20_000
MAX_PART = 32 * 1024 * 1024  # one part that is parsed as a whole, bytes
MAX_STREAM = 128 * 1024 * 1024  # one part that is parsed piece by piece, bytes
MAX_EXPANDED = 256 * 1024 * 1024  # everything that is read from one file, bytes
# What Python's zipfile and its decompressors raise on damaged bytes; of OSError only these (bz2 gives none).
ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
)
DAMAGE = (None, errno.EINVAL)
_PROLOG = 64 * 1024
_ROOT = re.compile(rb"<[A-Za-z_\x80-\xff]")
_SKIPPED = re.compile(rb"<!--.*?-->|<\?.*?\?>", re.S)


@contextmanager
def named_errors(name: str, what: str) -> Iterator[None]:
    """Let a library's own errors leave as ``UnreadableDocument``; named errors and ``OSError`` pass untouched."""
    try:
        yield
    except (KnowledgeError, OSError):
        raise
    except Exception as error:  # whatever a library makes of damaged bytes
        log.warning("%s: %s could not be read", name, what, exc_info=True)
        raise UnreadableDocument(
            f"{name} is damaged or incomplete ({what}: {type(error).__name__}); get it again from its source"
        ) from error


def damaged(name: str, error: Exception) -> UnreadableDocument:
    """The error for a file that its own library cannot open."""
    return UnreadableDocument(f"{name} is damaged or incomplete ({error}); get it again from its source")


class Package:
    """容器: an open ZIP file whose parts are read under caps. Raises ``UnreadableDocument`` and its kinds."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._left = MAX_EXPANDED
        try:
            self._zip = zipfile.ZipFile(path)
        except ZIP_ERRORS as error:
            raise damaged(self.name, error) from error
        infos = self._zip.infolist()
        if len(infos) > MAX_MEMBERS:
            self._zip.close()
            raise DocumentTooLarge(f"{self.name} holds {len(infos)} parts, the limit is {MAX_MEMBERS}; split it")
        self._infos = {_normal(info.filename): info for info in infos if info.filename and not info.is_dir()}
        self._folded = {name.lower(): name for name in self._infos}

    def __enter__(self) -> Package:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all parts, without a leading slash, in their order in the file."""
        return tuple(self._infos)

    def find(self, name: str) -> str:
        """The part's name as stored (case and leading slash do not matter), empty when there is none."""
        normal = _normal(name)
        return normal if normal in self._infos else self._folded.get(normal.lower(), "")

    def read(self, name: str, limit: int = MAX_PART) -> bytes:
        """Bytes of one part. Raises ``DocumentTooLarge`` beyond ``limit`` or the cap of the whole file."""
        with self.stream(name, limit) as part:
            return part.read()

    @contextmanager
    def stream(self, name: str, limit: int = MAX_STREAM) -> Iterator[IO[bytes]]:
        """An open part that refuses to give more than ``limit`` bytes."""
        stored = self.find(name)
        if not stored:
            raise UnreadableDocument(f"{self.name} lacks its part {name}; get it again from its source")
        info = self._infos[stored]
        if info.flag_bits & 0x1:
            raise EncryptedDocument(f"{self.name} needs a password; save it again without one")
        try:
            with self._zip.open(info) as part:
                yield _Capped(part, self, min(limit, self._left))  # type: ignore[misc]
        except ZIP_ERRORS as error:
            if isinstance(error, OSError) and error.errno not in DAMAGE:
                raise
            raise damaged(f"{self.name}: {stored}", error) from error

    def spend(self, count: int) -> None:
        """Take ``count`` bytes off the cap of the whole file."""
        self._left -= count

    def parse(self, name: str) -> Any:
        """The root element of one XML part."""
        return parse_xml(self.read(name), f"{self.name}: {name}")

    def elements(self, name: str, tags: tuple[str, ...]) -> Iterator[Any]:
        """Elements of one XML part as they end, for a caller that clears them behind itself."""
        with self.stream(name) as part:
            head = part.read(_PROLOG)
            _refuse_declarations(head, f"{self.name}: {name}")
            try:
                yield from (
                    element
                    for _event, element in etree.iterparse(
                        _Chained(head, part),
                        events=("end",),
                        tag=tags,
                        load_dtd=False,
                        no_network=True,
                        resolve_entities=False,
                        huge_tree=False,
                        remove_comments=True,
                        remove_pis=True,
                    )
                )
            except etree.XMLSyntaxError as error:
                raise UnreadableDocument(f"{self.name} is damaged or incomplete ({name}: {error.msg})") from error

    def check_xml(self) -> None:
        """For a library that opens the file itself: refuse what ``read`` and ``parse`` would refuse."""
        if sum(info.file_size for info in self._infos.values()) > MAX_EXPANDED:
            raise DocumentTooLarge(
                f"{self.name} expands to more than {MAX_EXPANDED} bytes; it is not a normal document: check it"
            )
        for name in self._infos:
            if name.lower().endswith((".xml", ".rels", ".vml")):
                with self.stream(name) as part:
                    _refuse_declarations(part.read(_PROLOG), f"{self.name}: {name}")

    def relations(self, name: str) -> dict[str, tuple[str, str]]:
        """Relations of the part ``name`` (empty: of the package): id → (last word of the type, target part)."""
        folder, _, leaf = name.rpartition("/")
        rels = self.find(f"{folder}/_rels/{leaf}.rels" if folder else f"_rels/{leaf}.rels")
        if not rels:
            return {}
        found = {}
        for element in self.parse(rels):
            if not isinstance(element.tag, str) or element.get("TargetMode") == "External":
                continue
            kind = (element.get("Type") or "").rpartition("/")[2]
            target = resolve(folder, element.get("Target") or "")
            found[element.get("Id") or ""] = (kind, self.find(target))
        return found


class _Capped:
    """Reads from a part until the limit; more is an error, whatever the part said of its size."""

    def __init__(self, part: IO[bytes], package: Package, limit: int) -> None:
        self._part, self._package, self._left, self._limit = part, package, limit, limit

    def read(self, size: int = -1) -> bytes:
        wanted = self._left + 1 if size is None or size < 0 else min(size, self._left + 1)
        data = self._part.read(wanted)
        self._left -= len(data)
        self._package.spend(len(data))
        if self._left < 0:
            raise DocumentTooLarge(
                f"{self._package.name} expands to more than {self._limit} bytes; it is not a normal document: check it"
            )
        return data


class _Chained:
    def __init__(self, head: bytes, rest: Any) -> None:
        self._head, self._rest = head, rest

    def read(self, size: int = -1) -> bytes:
        if self._head:
            taken = self._head if size < 0 else self._head[:size]
            self._head = self._head[len(taken) :]
            return taken
        data: bytes = self._rest.read(size)
        return data


def parse_xml(data: bytes, where: str) -> Any:
    """The root element of ``data``. Raises ``UnreadableDocument`` for broken XML and for any declaration of entities."""
    _refuse_declarations(data[:_PROLOG], where)
    parser = etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise UnreadableDocument(f"{where} is no sound XML ({error}); get the file again from its source") from error
    if root.getroottree().docinfo.doctype:
        raise UnreadableDocument(f"{where} declares a document type, which no office program writes; it was not opened")
    return root


def _refuse_declarations(head: bytes, where: str) -> None:
    plain = _SKIPPED.sub(b"", head.replace(b"\0", b""))  # UTF-16 becomes ASCII for this purpose
    root = _ROOT.search(plain)
    if root is None:
        raise UnreadableDocument(f"{where} is no sound XML (no element in its first {_PROLOG} bytes)")
    if b"<!" in plain[: root.start()]:
        raise UnreadableDocument(f"{where} declares a document type, which no office program writes; it was not opened")


def resolve(folder: str, target: str) -> str:
    """The part that a relative or absolute ``target`` names, seen from ``folder``."""
    target = unquote(target.replace("\\", "/"))
    return _normal(target if target.startswith("/") else posixpath.join(folder, target))


def _normal(name: str) -> str:
    return posixpath.normpath("/" + name.replace("\\", "/")).lstrip("/")


def local(element: Any) -> str:
    """Name of an element without its namespace; empty for what is no element."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def attribute(element: Any, name: str) -> str:
    """An attribute by its name without namespace, empty when it is not there."""
    value = element.get(name)
    if value is not None:
        return str(value)
    for key, found in element.attrib.items():
        if key.rpartition("}")[2] == name:
            return str(found)
    return ""
