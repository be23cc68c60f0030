"""Programs outside (LibreOffice, tesseract): run without a shell, with a limit of time, and never left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a program left: its exit code (None: it did not end in time) and its two outputs."""

    code: int | None
    out: bytes
    error: bytes


def run(
    command: Sequence[str],
    *,
    seconds: float,
    stdin: bytes = b"",
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Outcome:
    """Run ``command`` in a process group of its own; the whole group is killed after ``seconds``."""
    process = subprocess.Popen(
        list(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(environment) if environment is not None else None,
        cwd=folder,
        start_new_session=True,
    )
    try:
        out, error = process.communicate(stdin, timeout=seconds)
    except subprocess.TimeoutExpired:
        return Outcome(None, b"", b"")
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # also what it may have left in the background
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
    return Outcome(process.returncode, out, error)
