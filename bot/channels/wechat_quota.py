"""客服消息的时限与条数: whether WeChat would still take a 客服消息, counted here before it is asked. Pure.

发送客服消息: a message of the citizen opens 48 hours and five of ours; a press on the menu, a scan or a new follower
opens one minute and three. What is outside these is refused by WeChat (45015, 45047) and counts against the account.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.channels.wechat_client import Code


@dataclass(frozen=True, slots=True)
class Window:
    """时限: how long, and how many messages, an action of the citizen opens."""

    length: timedelta
    messages: int


MESSAGE = Window(timedelta(hours=48), 5)
TOUCH = Window(timedelta(minutes=1), 3)
LONGEST = MESSAGE.length

_TOUCHES = frozenset({"click", "subscribe", "scan"})
_NOTHING = frozenset({"unsubscribe", "view", "position", "consent", "system"})


def window_of(event: str) -> Window | None:
    """What an action opens, by the event of its entry (empty for words); None for what opens nothing."""
    name = event.partition(":")[0]
    if name in _NOTHING:
        return None
    return TOUCH if name in _TOUCHES else MESSAGE


def refusal(actions: Iterable[tuple[datetime, str]], sent: Collection[datetime], now: datetime) -> Code | None:
    """Why WeChat would refuse a 客服消息 at ``now``; None where it would take it.

    ``actions`` are (moment, event) of what the citizen did, ``sent`` the moments of our 客服消息 to the same citizen.
    """
    opened = [(at, window) for at, event in actions if (window := window_of(event)) and now - at < window.length]
    if not opened:
        return Code.TOO_LATE
    free = any(sum(moment >= at for moment in sent) < window.messages for at, window in opened)
    return None if free else Code.TOO_MANY
