"""故障与队列: how a channel stands, in the form that ``/healthz`` shows. Holds neither secrets nor personal data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Trouble:
    """故障: what is wrong with a channel in one English line, since when, and when it is tried again by itself."""

    text: str
    since: datetime | None = None
    next_attempt: datetime | None = None


@dataclass(frozen=True, slots=True)
class ChannelState:
    """渠道状态: the troubles of one channel and the lengths of its queues."""

    on: bool
    troubles: tuple[Trouble, ...]
    inbound_waiting: int  # came in and has no reply yet
    outbound_waiting: int  # a reply that the far end has not taken yet
    given_up: int  # what could not be delivered; staff have to look
    for_staff: int = 0  # mails and drafts that only a person can move on
    for_next_message: int = 0  # what goes along with the citizen's next message

    def as_json(self) -> dict[str, object]:
        """The form of ``/healthz``; moments in ISO 8601, seconds."""
        return {
            "state": "off" if not self.on else "failing" if self.troubles else "ok",
            "troubles": [
                {"problem": t.text, "since": _moment(t.since), "next_attempt": _moment(t.next_attempt)}
                for t in self.troubles
            ],
            "inbound_waiting": self.inbound_waiting,
            "outbound_waiting": self.outbound_waiting,
            "given_up": self.given_up,
            "for_staff": self.for_staff,
            "for_next_message": self.for_next_message,
        }


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None
