"""Hand-made hits, findings and conversations for the tests of the replies room."""

from __future__ import annotations

from datetime import UTC, datetime

from register.inquiry import Channel, Choice, Conversation, Inquiry
from replies.preview import OFFICE, PENSION, TODAY, context, finding, hit

__all__ = ["NOW", "OFFICE", "PENSION", "TODAY", "context", "event", "finding", "hit", "offered", "talking"]

NOW = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)


def talking(**state: object) -> Conversation:
    """A conversation in the given state."""
    return Conversation("c", updated_at=NOW, **state)  # type: ignore[arg-type]


def offered(*labels: str, question: str = "补贴怎么申请") -> Conversation:
    """A conversation in which these choices are pending."""
    return talking(choices=tuple(Choice(label, f"问{label}") for label in labels), question=question)


def event(name: str, text: str = "") -> Inquiry:
    """A channel event."""
    return Inquiry(Channel.WECHAT, "k", "c", text, NOW, event=name)
