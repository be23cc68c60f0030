"""分享: the address of one answer. It is signed, it expires, and it shows no word of the question.

``/a/{entry}?k={day}.{signature}``: ``day`` counts from 1970-01-01 and is the last day on which the address works. The
signature covers both numbers, so nobody can leaf through the answers or lengthen the term.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Protocol

from bot.channels.http import Library
from knowledge.errors import UnknownDocument
from knowledge.model import PolicyDocument
from register.inquiry import Reply, ReplyKind, Source

_EPOCH = date(1970, 1, 1)
_KEY = re.compile(r"([0-9]{4,6})\.([A-Za-z0-9_-]{43})")


class Signer(Protocol):
    """签名 (see :class:`register.seal.Seal`)."""

    def sign(self, text: str, /) -> str:
        """43 characters that may stand in an address."""
        ...

    def signed(self, text: str, signature: str, /) -> bool:
        """Whether the signature is ours for this text."""
        ...


def address_of(entry: int, today: date, days: int, signer: Signer) -> str:
    """The address under which the answer of ``entry`` can be read for ``days`` days after ``today``."""
    last = (today - _EPOCH).days + days
    return f"/a/{entry}?k={last}.{signer.sign(_text(entry, last))}"


def last_day(entry: int, key: str, signer: Signer) -> date | None:
    """The last day on which this key opens ``entry``; None for a key that we have not made for it."""
    found = _KEY.fullmatch(key)
    if found is None:
        return None
    last = int(found[1])
    return _EPOCH + timedelta(days=last) if signer.signed(_text(entry, last), found[2]) else None


def _text(entry: int, last: int) -> str:
    return f"share:{entry}:{last}"


def shareable(reply: Reply) -> bool:
    """Whether a reply says something to others: quoted text, or whom to ask."""
    if reply.kind is ReplyKind.ANSWER:
        return bool(reply.sources)
    return reply.kind in (ReplyKind.NOT_HELD, ReplyKind.REFER) and reply.organ is not None


@dataclass(frozen=True, slots=True)
class SharedAnswer:
    """分享的答复: only what comes from published documents and the organ directory.

    The lead, the search record, the choices and the steps may hold the asker's own words: they are left out.
    ``now`` pairs each quoted document whose validity has changed since with the label that it has today.
    """

    reply: Reply
    now: tuple[PolicyDocument, ...] = ()
    withdrawn: int = 0

    @property
    def empty(self) -> bool:
        """Whether nothing is left to show."""
        return not self.reply.sources and self.reply.organ is None


def shared(reply: Reply, library: Library) -> SharedAnswer:
    """What others may see of a reply today; a quote from a document withdrawn since is not shown any more."""
    kept: list[Source] = []
    changed: list[PolicyDocument] = []
    for source in reply.sources:
        try:
            document, _ = library.open_document(source.document)
        except UnknownDocument:
            continue
        kept.append(source)
        if document.validity.value != source.validity and document not in changed:
            changed.append(document)
    withdrawn = len(reply.sources) - len(kept)
    bare = replace(
        Reply(reply.kind, ""),
        sources=tuple(kept),
        notice="" if withdrawn else reply.notice,
        facts=() if withdrawn else reply.facts,
        organ=reply.organ,
        basis=reply.basis,
        disclaimer=reply.disclaimer,
    )
    return SharedAnswer(bare, tuple(changed), withdrawn)
