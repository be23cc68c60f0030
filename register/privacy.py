"""个人信息: finding and masking personal data (个保法 art. 51, 73(3))."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ID = re.compile(
    r"(?<![0-9A-Za-z])[1-9]\d{5}(?:18|19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx](?![0-9A-Za-z])"
)
_MOBILE = re.compile(r"(?<!\d)1[3-9]\d{9}(?!\d)")


@dataclass(frozen=True, slots=True)
class PersonalDatum:
    """个人信息: one find; ``text[start:end]`` of the original text."""

    kind: str
    start: int
    end: int


def find(text: str, *, office_contacts: frozenset[str] = frozenset()) -> list[PersonalDatum]:
    """All personal data in ``text``, in order, never overlapping."""
    found = [PersonalDatum("id_card", *match.span()) for match in _ID.finditer(text)]
    found += [PersonalDatum("mobile", *match.span()) for match in _MOBILE.finditer(text)]
    return sorted((d for d in found if text[d.start : d.end] not in office_contacts), key=lambda d: d.start)


def mask(text: str, *, publish: bool = False, office_contacts: frozenset[str] = frozenset()) -> str:
    """``text`` with all personal data masked; ``publish`` hides every character of them."""
    for datum in reversed(find(text, office_contacts=office_contacts)):
        value = text[datum.start : datum.end]
        keep = 0 if publish else 6 if datum.kind == "id_card" else 3
        text = text[: datum.start] + value[:keep] + "*" * (len(value) - keep) + text[datum.end :]
    return text
