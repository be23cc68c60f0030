"""Telegram 发件: answers are rows of the register's outbox until Telegram has taken them.

An answer is queued in the transaction that settles its entry, so a kill in between loses nothing. sendMessage has no
key against sending twice and nothing tells a bot afterwards what it has sent. So "sending" is committed when the
connection stands and the head of the request is written, right before its body; one message is on its way at a time.

| killed | what the register says | after the restart | the citizen gets it |
|---|---|---|---|
| before "sending" is committed | pending | sent; Telegram had no whole request | once |
| after that, before the body is written | sending | left as "unconfirmed" | not: staff see it; the gap is measured below |
| after the body is written, before Telegram answers | sending | left as "unconfirmed" | once |
| after the answer, before "sent" is committed | sending | left as "unconfirmed" | once |
| after "sent" is committed | sent | nothing | once |

"unconfirmed" is given up for staff and is no delivery in the register. The other choice, to send again, would repeat the
message in the third and fourth case, which together last as long as Telegram takes (about 100 ms); the second lasts
as long as it takes to go on after a commit (``bench/telegram_endurance.py`` measures it).
A connection that breaks while this process lives is another matter: a request that was not answered is
sent again, because on a bad line it is often lost, and then the citizen may get it twice.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

import anyio
import anyio.to_thread
from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup, LinkPreviewOptions, ReplyParameters
from telegram.error import (
    BadRequest,
    ChatMigrated,
    EndPointNotFound,
    Forbidden,
    InvalidToken,
    RetryAfter,
    TelegramError,
    TimedOut,
)

from bot.channels.http import clean_text
from bot.channels.telegram_line import telling
from bot.channels.telegram_wire import Address, Tap, TapKind, checksum, read_tap, unpack
from bot.channels.telegram_words import named
from register import codec
from register.book import SENDING, Outbound, Outgoing
from register.clock import now_beijing
from register.errors import UnknownEntry
from register.inquiry import Channel, Conversation, Inquiry, Reply, ReplyKind
from replies.text import split_at

log = logging.getLogger(__name__)

LONGEST_TEXT = 4096
"""UTF-16 units of one message (sendMessage). A text of so many UTF-8 bytes never has more."""

GIVE_UP_AFTER = timedelta(hours=24)
LONGEST_PAUSE = timedelta(minutes=5)

_GROUP_RATE = 20  # messages a minute in one group (Bots FAQ)
_GROUP_SECONDS = 60.0
_GROUPS = 1000  # groups whose pace is remembered before the quiet ones are forgotten
_LONGEST_LABEL = 60
_RECORD_TRIES = 4
_JUDGED = frozenset((ReplyKind.ANSWER,)) | {kind for kind in ReplyKind if kind.convenience}
_OFFERING = (ReplyKind.CHOICES, ReplyKind.CLARIFY)


@dataclass(frozen=True, slots=True)
class Button:
    """按钮."""

    label: str
    data: str


@dataclass(frozen=True, slots=True)
class Parcel:
    """寄件: one message as it will be sent, in plain text."""

    text: str
    rows: tuple[tuple[Button, ...], ...] = ()
    asked_at: datetime | None = None  # None: keep trying


class Book(Protocol):
    """登记册 (see :class:`register.book.RegisterBook`)."""

    def claim_due(self, channel: Channel, limit: int = 10) -> list[Outbound]:
        """Lease what is due."""

    def record_sending(self, number: int) -> None:
        """It is about to be written to the wire."""

    def record_attempt(self, number: int, outcome: str, retry_at: datetime | None = None, detail: str = "") -> None:
        """How sending went."""


# ---- deciding ----------------------------------------------------------------------------------------------------


def understood(inquiry: Inquiry, conversation: Conversation) -> Inquiry:
    """A tap as the words it stands for in this conversation; any other message as it is.

    A button that belongs to an earlier list or an earlier answer stands for nothing: it must not pick from a newer one.
    """
    name, _, data = inquiry.event.partition(":")
    if name != "tap":
        return inquiry
    tap = read_tap(data)
    if tap is None or not pending(tap, conversation):
        return replace(inquiry, text="", event="")
    words = "继续" if tap.kind is TapKind.MORE else str(int(tap.detail) + 1)
    return replace(inquiry, text=words, event="")


def pending(tap: Tap, conversation: Conversation) -> bool:
    """Whether what a button offers is what the conversation waits for."""
    if tap.kind is TapKind.CHOICE:
        return conversation.last_entry == tap.entry and int(tap.detail) < len(conversation.choices)
    return tap.kind is TapKind.MORE and bool(conversation.more) and checksum(conversation.more) == tap.detail


def outgoing(entry: int, inquiry: Inquiry, reply: Reply) -> tuple[Outgoing, ...]:
    """What is to be sent for the reply of ``entry``; the buttons hang under the last message."""
    if not inquiry.sender:
        return ()
    texts = pieces(reply.text)
    return tuple(
        Outgoing(
            Channel.TELEGRAM,
            inquiry.sender,
            codec.dump(Parcel(text, keyboard(entry, reply) if n == len(texts) else (), inquiry.received_at)),
            key=f"answer:{inquiry.message_key}:{n}",
        )
        for n, text in enumerate(texts, 1)
    )


def staff_words(inquiry: Inquiry, text: str, key: str = "") -> tuple[Outgoing, ...]:
    """工作人员回复: what staff write to the citizen who sent ``inquiry`` (opened by ``RegisterBook.reveal``).

    ``key`` guards against sending the same words twice.
    """
    return tuple(
        Outgoing(Channel.TELEGRAM, inquiry.sender, codec.dump(Parcel(piece)), key=f"staff:{key}:{n}" if key else "")
        for n, piece in enumerate(pieces(text), 1)
    )


def pieces(text: str) -> list[str]:
    """The text in messages that Telegram takes, cut at sentences."""
    cut = []
    rest = clean_text(text)
    while rest:
        head, rest = split_at(rest, LONGEST_TEXT)
        if not head:
            break
        cut.append(head)
    return cut


def keyboard(entry: int, reply: Reply) -> tuple[tuple[Button, ...], ...]:
    """The buttons under a reply: one row for each choice, 继续, 有用/没用."""
    words = dict(named("buttons"))
    rows: list[tuple[Button, ...]] = []
    if reply.kind in _OFFERING:
        for index, choice in enumerate(reply.choices):
            label = f"{index + 1}. {clean_text(choice.label)}"
            label = label if len(label) <= _LONGEST_LABEL else label[: _LONGEST_LABEL - 1] + "…"
            rows.append((Button(label, Tap(TapKind.CHOICE, entry, str(index)).data()),))
    if reply.more:
        rows.append((Button(words["more"], Tap(TapKind.MORE, entry, checksum(reply.more)).data()),))
    if reply.kind in _JUDGED and reply.rule != "continue":
        rows.append(
            (
                Button(words["useful"], Tap(TapKind.USEFUL, entry).data()),
                Button(words["useless"], Tap(TapKind.USELESS, entry).data()),
            )
        )
    return tuple(rows)


def next_try(attempts: int, asked_at: datetime | None, now: datetime) -> datetime | None:
    """When to try again after the ``attempts``-th failure; None to give up."""
    if asked_at is not None and now - asked_at > GIVE_UP_AFTER:
        return None
    return now + min(timedelta(seconds=2 ** min(attempts, 9)), LONGEST_PAUSE)


def described(error: Exception) -> str:
    """An error for log and register: without the token, which the library quotes, and without a server's page."""
    if isinstance(error, (InvalidToken, EndPointNotFound)):
        return "the Bot API refuses the token; check BIANMIN_TELEGRAM__TOKEN and api_base"
    if not isinstance(error, TelegramError):
        return type(error).__name__
    return f"{type(error).__name__}: {error.message.partition('. Parsing the server')[0][:120]}"


# ---- sending -----------------------------------------------------------------------------------------------------


class Outbox:
    """发件箱: hands parcels to Telegram, one after the other."""

    def __init__(
        self,
        book: Book,
        bot: Bot,
        *,
        lease_seconds: float,
        down: Callable[[Exception], None],
        up: Callable[[], None],
        clock: Callable[[], datetime] = now_beijing,
    ) -> None:
        """``down`` and ``up`` are told whether the Bot API could be reached."""
        self._book = book
        self._bot = bot
        self._patience = lease_seconds * 0.8  # a send that took longer could meet the next holder of the lease
        self._down = down
        self._up = up
        self._clock = clock
        self._side = anyio.CapacityLimiter(2)
        self._paused: dict[int, float] = {}  # chat → moment until which Telegram wants no more messages there
        self._group_sent: dict[int, deque[float]] = {}

    async def step(self) -> bool:
        """Deal with one parcel that is due; False when there is none."""
        claimed = await anyio.to_thread.run_sync(self._book.claim_due, Channel.TELEGRAM, 1, limiter=self._side)
        for item in claimed:
            await self._deal(item)
        return bool(claimed)

    async def _deal(self, item: Outbound) -> None:
        try:
            address, parcel = unpack(item.address), codec.load(Parcel, item.payload)
        except ValueError:
            log.error("outbound %d is no Telegram parcel; it is given up for staff", item.id)
            await self._record(item, "unreadable")
            return
        if item.last_outcome == SENDING:
            log.warning("outbound %d was being sent when its process died; Telegram most likely has it", item.id)
            await self._record(item, "unconfirmed", detail="the sender died while Telegram was taking it")
            return
        wait = self._wait(address)
        if wait > 0:
            await self._record(item, "waiting", self._clock() + timedelta(seconds=wait))
        else:
            await self._send(item, address, parcel)

    def _wait(self, address: Address) -> float:
        """Seconds until the chat may be written to again."""
        now = time.monotonic()
        self._paused = {chat: until for chat, until in self._paused.items() if until > now}
        if len(self._group_sent) > _GROUPS:
            self._group_sent = {c: sent for c, sent in self._group_sent.items() if sent[-1] + _GROUP_SECONDS > now}
        until = self._paused.get(address.chat, 0.0)
        if address.group:
            sent = self._group_sent.get(address.chat)
            if sent is not None and len(sent) == _GROUP_RATE:
                until = max(until, sent[0] + _GROUP_SECONDS)
        return until - now

    async def _send(self, item: Outbound, address: Address, parcel: Parcel) -> None:
        now = self._clock()
        if address.group:
            self._group_sent.setdefault(address.chat, deque(maxlen=_GROUP_RATE)).append(time.monotonic())
        try:
            await self._hand_over(item.id, address, parcel)
        except (Forbidden, BadRequest) as error:
            self._up()
            outcome = "refused:403" if isinstance(error, Forbidden) else "refused:400"
            log.warning("outbound %d was not delivered: %s", item.id, described(error))
            await self._record(item, outcome, detail=described(error))
        except RetryAfter as error:
            self._up()
            seconds = max(_seconds(error), 0.1)
            self._paused[address.chat] = time.monotonic() + seconds
            await self._record(item, "refused:429", now + timedelta(seconds=seconds), described(error))
        except TelegramError as error:
            self._down(error)
            log.warning("outbound %d was not delivered: %s", item.id, described(error))
            await self._record(item, "unreachable", next_try(item.attempts, parcel.asked_at, now), described(error))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            # A 2xx whose body the library cannot read: Telegram has taken the message.
            self._up()
            log.warning("outbound %d was taken, but the Bot API's answer is odd: %s", item.id, described(error))
            await self._record(item, "sent")
        else:
            self._up()
            await self._record(item, "sent")

    async def _hand_over(self, number: int, address: Address, parcel: Parcel) -> None:
        try:
            async with asyncio.timeout(self._patience):
                with telling(lambda: anyio.to_thread.run_sync(self._book.record_sending, number, limiter=self._side)):
                    try:
                        await self._post(address, parcel)
                    except ChatMigrated as moved:  # a group became a supergroup: same people, another number
                        await self._post(replace(address, chat=moved.new_chat_id, thread=0, quote=False), parcel)
        except TimeoutError as error:
            raise TimedOut from error

    async def _post(self, address: Address, parcel: Parcel) -> None:
        rows = [[InlineKeyboardButton(b.label, callback_data=b.data) for b in row] for row in parcel.rows]
        await self._bot.send_message(
            address.chat,
            parcel.text,
            message_thread_id=address.thread or None,
            reply_parameters=ReplyParameters(address.message, allow_sending_without_reply=True)
            if address.quote and address.message
            else None,
            reply_markup=InlineKeyboardMarkup(rows) if rows else None,
            link_preview_options=LinkPreviewOptions(is_disabled=True),
        )

    async def _record(self, item: Outbound, outcome: str, retry_at: datetime | None = None, detail: str = "") -> None:
        """Write down how it went. Tried hard: a message that was sent and is not written down is sent again."""
        for tries in range(1, _RECORD_TRIES + 1):
            try:
                await anyio.to_thread.run_sync(
                    self._book.record_attempt, item.id, outcome, retry_at, detail, limiter=self._side
                )
                return
            except UnknownEntry:
                log.warning("outbound %d was dealt with by another process as well", item.id)
                return
            except Exception:
                if tries == _RECORD_TRIES:
                    log.exception("outbound %d: '%s' could not be recorded", item.id, outcome)
                    return
                await asyncio.sleep(0.3 * tries)


def _seconds(error: RetryAfter) -> float:
    value = error.retry_after
    return value.total_seconds() if isinstance(value, timedelta) else float(value)
