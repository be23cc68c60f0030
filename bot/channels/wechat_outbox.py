"""微信发件: what reaches a citizen outside the five seconds of a callback.

A late answer, a staff member's words and a subscription notice are rows of the register's outbox until WeChat has taken
them; the worker may be killed at any point. WeChat's rules (发送客服消息): a message opens 48 hours and five 客服消息, a
menu click, a scan or a new follower one minute and three. What WeChat will not take is handed over with the citizen's
next message.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from bot.channels import wechat_quota
from bot.channels.wechat_client import HINTS, Code
from bot.channels.wechat_store import WeChatStore
from bot.channels.wechat_wire import SILENT, fit, linked, plain
from bot.channels.wechat_words import say
from bot.errors import WeChatRefused, WeChatUnreachable
from register import codec
from register.book import DELIVERED, SENDING, Contacts, Outbound, Outgoing
from register.clock import now_beijing
from register.errors import SealBroken
from register.inquiry import Channel, Entry, Inquiry, Reply

log = logging.getLogger(__name__)

FINAL = frozenset(
    {
        Code.BAD_OPENID,
        Code.BAD_TEMPLATE,
        Code.NOT_FOLLOWING,
        Code.NO_CONSENT,
        Code.TOO_LATE,
        Code.TOO_MANY,
        Code.BAD_FIELDS,
        Code.NOT_CERTIFIED,
        Code.REFUSED_BY_FOLLOWER,
        Code.UNFOLLOWED,
    }
)
"""Codes that another try cannot change: wrong open id or template, no consent, too late, too many, not certified."""

LONGEST_PAUSE = timedelta(minutes=15)
MOST_TRIES = 24  # about five hours

REDELIVERED_WITHIN = timedelta(seconds=16)
"""WeChat's second and third delivery follow the first after five and ten seconds and wait five more; and a margin."""

_STILL_WORKING = timedelta(seconds=2)
_LOOK_BACK = 500  # more messages than can be on their way at one moment


class Reception(Protocol):
    """前台 (see :mod:`bot.reception`)."""

    def answer(self, inquiry: Inquiry) -> tuple[int, Reply]:
        """The entry and its reply; idempotent."""


class Book(Protocol):
    """登记册 (see :class:`register.book.RegisterBook`)."""

    def deliver(self, entry: int, outcome: str, detail: str = "") -> None:
        """Log one attempt."""

    def hand_over(self, channel: Channel, answers: Sequence[tuple[int, str]]) -> frozenset[int]:
        """Log that answers go out directly; those that must not."""

    def enqueue(self, entry: int | None, outgoing: Outgoing) -> int | None:
        """Keep something to be sent."""

    def claim_due(self, channel: Channel, limit: int = 10) -> list[Outbound]:
        """Lease what is due."""

    def record_sending(self, number: int) -> None:
        """It is about to be written to the wire."""

    def record_attempt(self, number: int, outcome: str, retry_at: datetime | None = None, detail: str = "") -> None:
        """How sending went."""

    def note(self, entry: int, kind: str, text: str) -> None:
        """One line of history."""

    def find(self, entry: int) -> Entry:
        """The entry with its deliveries."""

    def reply_to(self, channel: Channel, message_key: str) -> Reply | None:
        """The reply to a message, None while there is none."""

    def entry_of(self, channel: Channel, message_key: str) -> int | None:
        """The entry of a message."""

    def log(self, since: datetime | None = None, channel: Channel | None = None, limit: int = 100) -> list[Entry]:
        """Entries, newest first."""

    def contacts(self, channel: Channel, conversation: str, since: datetime) -> Contacts:
        """What the citizen did, and what was sent."""

    def reveal(self, entry: int, who: str, why: str) -> Inquiry:
        """What the citizen wrote, and who it was."""


class Api(Protocol):
    """微信接口 (see :class:`bot.channels.wechat_client.WeChatApi`)."""

    def send_text(self, openid: str, content: str, before: Callable[[], object] | None = None) -> None:
        """客服消息."""

    def send_notice(
        self,
        openid: str,
        template: str,
        fields: dict[str, str],
        page: str,
        before: Callable[[], object] | None = None,
    ) -> None:
        """订阅通知."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """寄件: what is sent. One of: the answer to ``inquiry``, ``text``, or a notice of ``template``."""

    conversation: str
    inquiry: Inquiry | None = None
    text: str = ""
    template: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    page: str = ""


def late_answer(inquiry: Inquiry, due_at: datetime | None = None) -> Outgoing:
    """迟到的答复: the answer to ``inquiry``, sent as soon as there is one; queued once a message."""
    parcel = Parcel(conversation=inquiry.conversation, inquiry=inquiry)
    return Outgoing(Channel.WECHAT, inquiry.sender, codec.dump(parcel), due_at, key=late_key(inquiry))


def late_key(inquiry: Inquiry) -> str:
    """The key under which the late answer to ``inquiry`` is kept, queued or waiting."""
    return f"late:{inquiry.message_key}"


def staff_words(inquiry: Inquiry, text: str, key: str = "") -> Outgoing:
    """工作人员回复: what staff write to the citizen who sent ``inquiry`` (opened by ``RegisterBook.reveal``).

    ``key`` guards against sending the same words twice.
    """
    parcel = Parcel(conversation=inquiry.conversation, text=text)
    return Outgoing(Channel.WECHAT, inquiry.sender, codec.dump(parcel), key=f"staff:{key}" if key else "")


def rendered(reply: Reply, limit: int) -> str:
    """A reply as WeChat shows it, in at most ``limit`` UTF-8 bytes, choices clickable where there is room."""
    return fit(linked(plain(reply.text), reply.choices, limit), limit)


def next_try(problem: WeChatRefused | WeChatUnreachable, attempts: int, now: datetime) -> datetime | None:
    """When to try again after the ``attempts``-th failure; None to give up."""
    if isinstance(problem, WeChatRefused) and problem.code == Code.DAILY_QUOTA:
        return (now + timedelta(days=1)).replace(hour=0, minute=10)
    if attempts >= MOST_TRIES or (isinstance(problem, WeChatRefused) and problem.code in FINAL):
        return None
    return now + min(timedelta(seconds=5 * 3 ** min(attempts - 1, 9)), LONGEST_PAUSE)


def outcome_of(problem: WeChatRefused | WeChatUnreachable) -> str:
    """The delivery's outcome as the register keeps it."""
    if isinstance(problem, NotAsked):
        return f"held:{problem.code}"
    return f"refused:{problem.code}" if isinstance(problem, WeChatRefused) else "unreachable"


class NotAsked(WeChatRefused):
    """By our own count WeChat would refuse: it is not asked."""


class Outbox:
    """发件箱: hands parcels to WeChat. ``api`` is None for an account without AppSecret: then nothing can be sent."""

    def __init__(
        self,
        book: Book,
        reception: Reception,
        store: WeChatStore,
        api: Api | None,
        *,
        reply_bytes: int,
        clock: Callable[[], datetime] = now_beijing,
    ) -> None:
        self._book = book
        self._reception = reception
        self._store = store
        self._api = api
        self._reply_bytes = reply_bytes
        self._clock = clock
        self._anything_waits = True
        self.problem = ""
        self.problem_since: datetime | None = None

    def postpone(self, inquiry: Inquiry, due_at: datetime | None = None) -> None:
        """The answer will not go out with its callback: keep it. Committed when this returns."""
        if inquiry.event in SILENT:
            return
        if self._api is None:
            parcel = Parcel(conversation=inquiry.conversation, inquiry=inquiry)
            self.keep(parcel, late_key(inquiry))
        else:
            self._book.enqueue(None, late_answer(inquiry, due_at))

    def recover(self, started: datetime) -> int:
        """After a start: queue answers that were written but handed to nobody; how many there were.

        They become due when WeChat's own redeliveries are over: one that comes before takes the answer along.
        """
        recovered = 0
        for entry in self._book.log(started - wechat_quota.LONGEST, Channel.WECHAT, limit=_LOOK_BACK):
            if entry.reply is None or entry.deliveries or entry.event in SILENT or not entry.reply.text:
                continue
            try:
                inquiry = self._book.reveal(entry.entry, "bianmin", "deliver the answer after a restart")
            except SealBroken as error:
                log.error("entry %d was answered but cannot be delivered: %s", entry.entry, error)
                continue
            self._store.give_back(inquiry.message_key)
            self.postpone(inquiry, max(started, entry.received_at + REDELIVERED_WITHIN))
            recovered += 1
        return recovered

    def keep(self, parcel: Parcel, key: str) -> None:
        """Hand the parcel over with the citizen's next message."""
        self._store.wait(parcel.conversation, key, codec.dump(parcel), self._clock())
        self._anything_waits = True

    def look(self) -> None:
        """Find out whether anybody is waited for: nearly always nobody is, and each message is spared the question.

        What another process has just put there goes along with the message after the next look.
        """
        self._anything_waits = self._store.anything_waits()
        if self._anything_waits:
            self._store.forget(self._clock() - 4 * REDELIVERED_WITHIN)

    def step(self) -> bool:
        """Deal with one parcel that is due; False when there is none."""
        claimed = self._book.claim_due(Channel.WECHAT, limit=1)
        for item in claimed:
            self._deal(item)
        return bool(claimed)

    def _deal(self, item: Outbound) -> None:
        try:
            parcel = codec.load(Parcel, item.payload)
        except ValueError:
            log.error("outbound %d is no WeChat parcel; it is given up for staff", item.id)
            self._book.record_attempt(item.id, "unreadable")
            return
        if item.last_outcome == SENDING:
            log.warning("outbound %d was being sent when its process died; WeChat most likely has it", item.id)
            self._unconfirmed(item, parcel)
            return
        if parcel.inquiry is None:
            self._send(item, parcel, parcel.text, None)
            return
        key = parcel.inquiry.message_key
        entered = self._book.entry_of(Channel.WECHAT, key) is not None
        if entered and self._book.reply_to(Channel.WECHAT, key) is None:
            self._book.record_attempt(item.id, "waiting", retry_at=self._clock() + _STILL_WORKING)
            return
        # Acknowledged before it was entered, and then the process died: nobody else knows of this message.
        entry, reply = self._reception.answer(parcel.inquiry)
        if self._arrived(entry):
            self._book.record_attempt(item.id, "passive")  # a redelivery of the message has taken the answer along
            return
        self._send(item, parcel, rendered(reply, self._reply_bytes), entry)

    def _unconfirmed(self, item: Outbound, parcel: Parcel) -> None:
        """Left to staff: 客服消息 has no key against sending twice (as Telegram, see :mod:`.telegram_outbox`)."""
        detail = "the sender died while WeChat was taking it"
        self._book.record_attempt(item.id, "unconfirmed", detail=detail)
        entry = parcel.inquiry and self._book.entry_of(Channel.WECHAT, parcel.inquiry.message_key)
        if entry:
            self._book.deliver(entry, "unconfirmed", detail)
            self._book.note(entry, "given_up", "unconfirmed")

    def _arrived(self, entry: int) -> bool:
        return any(delivery.outcome.partition(":")[0] in DELIVERED for delivery in self._book.find(entry).deliveries)

    def _send(self, item: Outbound, parcel: Parcel, text: str, entry: int | None) -> None:
        """Hand over to WeChat and record how it went; ``entry`` is set where the outbox row does not know it."""
        problem = self._hand_over(item, parcel, text)
        if problem is None:
            self.problem, self.problem_since = "", None
            self._book.record_attempt(item.id, "sent")
            if entry is not None:
                self._book.deliver(entry, "sent")
            return
        outcome, detail = outcome_of(problem), str(problem)
        retry_at = next_try(problem, item.attempts, self._clock())
        if isinstance(problem, WeChatUnreachable) or problem.code not in FINAL:
            self.problem, self.problem_since = detail, self.problem_since or self._clock()
        log.warning("outbound %d was not delivered: %s", item.id, detail)
        if retry_at is None and not parcel.template:
            self.keep(parcel, f"outbound:{item.id}")
        if isinstance(problem, WeChatRefused) and problem.code == Code.NO_CONSENT:
            self._store.withdraw(parcel.conversation, parcel.template, self._clock())
        self._book.record_attempt(item.id, outcome, retry_at=retry_at, detail=detail)
        if entry is not None:
            self._book.deliver(entry, outcome, detail)
            if retry_at is None:
                self._book.note(entry, "given_up", outcome)

    def _hand_over(self, item: Outbound, parcel: Parcel, text: str) -> WeChatRefused | WeChatUnreachable | None:
        if self._api is None:
            return WeChatRefused(
                Code.NOT_CERTIFIED, "no AppSecret is set (BIANMIN_WECHAT__APP_SECRET); nothing can be sent"
            )

        def before() -> None:
            self._book.record_sending(item.id)

        try:
            if parcel.template:
                self._api.send_notice(item.address, parcel.template, parcel.fields, parcel.page, before)
                return None
            now = self._clock()
            contacts = self._book.contacts(Channel.WECHAT, parcel.conversation, now - wechat_quota.LONGEST)
            code = wechat_quota.refusal(contacts.came, contacts.sent, now)
            if code is not None:
                return NotAsked(code, f"not sent, WeChat would answer {code} ({code.name}): {HINTS[code]}")
            self._api.send_text(item.address, fit(text, self._reply_bytes), before)
        except (WeChatRefused, WeChatUnreachable) as problem:
            return problem
        return None

    # ---- what goes along with the next message -----------------------------------------------------------------

    def along(self, inquiry: Inquiry, own: str) -> Bundle:
        """What the callback of ``inquiry`` is answered with: what waited for this citizen first, then ``own``.

        What does not fit stays where it is, or begins to wait; a waiting answer that is still being worked on stays.
        """
        kept = self._store.waiting_for(inquiry.conversation, inquiry.message_key) if self._anything_waits else []
        if not kept:
            return Bundle(own)
        taken: list[int] = []
        own_rows: list[int] = []
        answered: list[Inquiry] = []
        texts: list[str] = []
        more = say("along_more")
        for waiting in kept:
            parcel = codec.load(Parcel, waiting.payload)
            if parcel.inquiry is not None and parcel.inquiry.message_key == inquiry.message_key:
                own_rows.append(waiting.id)
                continue
            text = self._words(parcel, again=waiting.handed)
            if text is None:
                continue
            if text and texts and not _fits([*texts, text, more], self._reply_bytes):
                break
            taken.append(waiting.id)
            if text:
                texts.append(text)
                if parcel.inquiry is not None:
                    answered.append(parcel.inquiry)
        if not texts:
            return Bundle(own, (*taken, *own_rows))
        if _fits([*texts, own], self._reply_bytes):
            return Bundle(_joined([*texts, own]), (*taken, *own_rows), tuple(answered))
        self.keep(Parcel(conversation=inquiry.conversation, inquiry=inquiry), late_key(inquiry))
        room = self._reply_bytes - len((_BETWEEN + more).encode())
        content = _joined([fit(_joined(texts), room), more])
        return Bundle(content, tuple(taken), tuple(answered), own_included=False)

    def _words(self, parcel: Parcel, *, again: bool) -> str | None:
        """The text of a waiting parcel: None while there is none, empty where it has reached the citizen after all.

        ``again``: it was handed over with the message that is answered now, so having reached the citizen counts for nothing.
        """
        asked = parcel.inquiry
        if asked is None:
            return fit(parcel.text, self._reply_bytes)
        reply = self._book.reply_to(Channel.WECHAT, asked.message_key)
        if reply is None:
            return None
        if not again and self._arrived(self._reception.answer(asked)[0]):
            return ""
        title = say("along_title", question=plain(asked.text[:20]))
        title += "\n" if title else ""
        return title + rendered(reply, self._reply_bytes - len(title.encode()))

    def hand_over(self, entry: int, inquiry: Inquiry, bundle: Bundle) -> bool:
        """Record that the callback of ``inquiry`` is answered with ``bundle``; False where it must not be.

        Killed before the entry has its line, :meth:`recover` gives back what the bundle holds.
        """
        if not self._store.hand_over(bundle.taken, inquiry.message_key, self._clock()):
            self.postpone(inquiry)  # a reply to another message has just taken a part of it along
            return False
        if not bundle.own_included:
            self._book.deliver(entry, "waiting", "no room left; it goes along with the citizen's next message")
        elif self._book.hand_over(Channel.WECHAT, [(entry, late_key(inquiry))]):
            self._store.give_back(inquiry.message_key)
            return False
        for earlier in bundle.answered:
            self._book.deliver(self._reception.answer(earlier)[0], "passive", "with the citizen's next message")
        return True


@dataclass(frozen=True, slots=True)
class Bundle:
    """合并答复: the content of one passive reply and what it settles."""

    content: str
    taken: tuple[int, ...] = ()  # rows that need not wait any longer
    answered: tuple[Inquiry, ...] = ()  # earlier inquiries whose answers are in it
    own_included: bool = True


_BETWEEN = "\n————————\n"


def _joined(texts: list[str]) -> str:
    return _BETWEEN.join(texts)


def _fits(texts: list[str], limit: int) -> bool:
    return len(_joined(texts).encode()) <= limit
