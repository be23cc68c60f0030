"""压缩包入库: archives among the files to ingest are opened into the data folder, their members take their place."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from knowledge.errors import UnreadableDocument
from knowledge.model import IngestOutcome, IngestStatus
from knowledge.readers.archive import SUFFIXES, members


def opened(files: Sequence[Path], folder: Path) -> tuple[list[Path], list[IngestOutcome]]:
    """(files with every archive replaced by its members, outcomes of what could not be opened).

    An archive is always opened into the same place below ``folder``, so that ingesting it again finds its documents.
    """
    found: list[Path] = []
    refused: list[IngestOutcome] = []
    for path in files:
        if path.suffix.lower() not in SUFFIXES:
            found.append(path)
            continue
        into = folder / hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
        into.mkdir(parents=True, exist_ok=True)
        try:
            for member in members(path, into):
                if member.path is not None:
                    found.append(member.path)
                elif member.error is not None:
                    refused.append(_refused(f"{path}/{member.name}", member.error))
        except UnreadableDocument as error:
            refused.append(_refused(str(path), error))
    return found, refused


def _refused(path: str, error: UnreadableDocument) -> IngestOutcome:
    return IngestOutcome(path, IngestStatus.REJECTED, reason=str(error), error=type(error).__name__)
