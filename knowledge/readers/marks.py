"""Marks that no reader may lose with the furniture of the page: 密级 in a watermark or a running head (保密法 2024, art. 22)."""

from __future__ import annotations

import re

_SECRET = re.compile(r"(?:绝\s*密|机\s*密|秘\s*密)(?:\s*[★☆*]\s*(?:\d{1,2}\s*(?:年|个月)|长期)?)?")
_TELLING = re.compile(r"绝\s*密|机\s*密|秘\s*密|公\s*开|内\s*部")


def secrecy_in(text: str) -> str:
    """The 密级 mark in a short text of a watermark or head, as 「机密★1年」; empty where the words are part of a sentence."""
    match = _SECRET.search(text)
    if match is None:
        return ""
    starred = bool(re.search("[★☆*]", match[0]))
    return re.sub(r"\s", "", match[0]) if starred or len(text.strip()) <= len(match[0]) + 4 else ""


def tells_of_disclosure(text: str) -> bool:
    """Whether a running head says something about secrecy or disclosure and must stay in the text once."""
    return bool(_TELLING.search(text))
