"""DOC, WPS and RTF: converted by LibreOffice, then read as DOCX.

LibreOffice is a program beside this one, not a part of it. It runs with a profile of its own in a temporary folder (so
that no open window of a user is in its way), without macros, and its process group is killed when its time is over.
"""

from __future__ import annotations

import os
import shutil
import struct
import tempfile
from dataclasses import replace
from pathlib import Path

from knowledge.errors import EncryptedDocument, MissingConverter, UnreadableDocument
from knowledge.readers.process import run
from knowledge.readers.raw import RawDocument
from knowledge.readers.word import read_docx

_SECONDS = 120.0
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_PROGRAMS = ("soffice", "libreoffice")
_PLACES = ("/usr/lib/libreoffice/program/soffice", "/opt/libreoffice/program/soffice")


def converter() -> str:
    """Path of LibreOffice's ``soffice``, empty when it is not installed."""
    for name in _PROGRAMS:
        found = shutil.which(name)
        if found:
            return found
    return next((place for place in _PLACES if os.access(place, os.X_OK)), "")


def read_office(path: Path) -> RawDocument:
    """Read a ``.doc``, ``.wps`` or ``.rtf`` file.

    Raises ``MissingConverter`` without LibreOffice, ``EncryptedDocument``, and ``UnreadableDocument`` when LibreOffice
    cannot read the file or needs more than two minutes.
    """
    kind = "rtf" if _starts_as_rtf(path) else "doc"
    if kind == "doc" and _has_password(path):
        raise EncryptedDocument(f"{path.name} needs a password; save it again without one")
    program = converter()
    if not program:
        raise MissingConverter(
            f"{path.name}: .doc and .wps need LibreOffice; install it (apt install libreoffice-writer-nogui) "
            "or save the file as .docx"
        )
    with tempfile.TemporaryDirectory(prefix="bianmin-office-") as name:
        folder = Path(name)
        source = folder / f"in.{kind}"  # a name of our own: no option, no strange characters
        shutil.copyfile(path, source)
        outcome = run(
            [
                program,
                f"-env:UserInstallation={(folder / 'profile').as_uri()}",
                "--headless",
                "--norestore",
                "--nolockcheck",
                "--convert-to",
                "docx:MS Word 2007 XML",
                "--outdir",
                str(folder / "out"),
                str(source),
            ],
            seconds=_SECONDS,
            environment={**os.environ, "HOME": str(folder), "SAL_USE_VCLPLUGIN": "svp"},
            folder=folder,
        )
        converted = folder / "out" / "in.docx"
        if outcome.code is None:
            raise UnreadableDocument(f"{path.name}: LibreOffice needed more than {_SECONDS:.0f} s; save it as .docx")
        if not converted.is_file():
            said = outcome.error.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no reason given"]
            raise UnreadableDocument(
                f"{path.name} is damaged: LibreOffice cannot read it ({said[0][:200]}); save it as .docx"
            )
        named = folder / f"{path.stem or 'document'}.docx"
        converted.rename(named)
        raw = read_docx(named)
    return replace(raw, format=kind)


def _starts_as_rtf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(5) == b"{\\rtf"


def _has_password(path: Path) -> bool:
    """Whether the file information block of a Word 97-2003 document says encrypted ([MS-DOC] 2.5.2, fEncrypted)."""
    data = path.read_bytes()
    if len(data) < 1536 or not data.startswith(_OLE):
        return False
    sector = 1 << struct.unpack_from("<H", data, 30)[0] if data[30:32] in (b"\x09\0", b"\x0c\0") else 512
    (directory,) = struct.unpack_from("<I", data, 48)
    place = (directory + 1) * sector
    wanted = "WordDocument".encode("utf-16-le")
    for entry in range(place, min(place + 64 * 128, len(data) - 127), 128):
        if data[entry : entry + len(wanted)] == wanted:
            (first,) = struct.unpack_from("<I", data, entry + 116)
            block = (first + 1) * sector
            if block + 12 > len(data) or data[block : block + 2] not in (b"\xec\xa5", b"\xdc\xa5"):
                return False
            return bool(struct.unpack_from("<H", data, block + 10)[0] & 0x0100)
    return False
