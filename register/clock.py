"""北京时间: the one clock of the register.

Everything the register stores is an integer: microseconds since 1970-01-01T00:00Z. It sorts, compares and
indexes the same on SQLite and PostgreSQL and has no zone to get wrong. What is read back is a
timezone-aware datetime in Asia/Shanghai, the zone in which the office counts its days.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

BEIJING = ZoneInfo("Asia/Shanghai")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def now_beijing() -> datetime:
    """现在: the current time, timezone-aware, in Asia/Shanghai."""
    return datetime.now(BEIJING)


def to_stored(moment: datetime) -> int:
    """Microseconds since the epoch. Raises ``ValueError`` for a naive datetime: a guessed zone is eight hours wrong."""
    if moment.tzinfo is None:
        raise ValueError("a datetime without a time zone cannot be stored; use register.clock.now_beijing()")
    return (moment - _EPOCH) // _MICROSECOND


def from_stored(stored: int) -> datetime:
    """The moment, timezone-aware, in Asia/Shanghai."""
    return (_EPOCH + timedelta(microseconds=stored)).astimezone(BEIJING)
