"""接待: the one path of every question from every channel.

A star, not a chain: nothing that the reception calls calls another of them. The core is synchronous and runs in a
worker thread. One entry is committed before any work; whoever opened it computes, the others wait for that result.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from bot.errors import BotError
from knowledge.library import Library
from knowledge.model import Finding, Question
from register.book import Outgoing, RegisterBook
from register.clock import now_beijing
from register.errors import AlreadySettled
from register.inquiry import Channel, Conversation, Inquiry, Reply, ReplyKind
from replies import conversation as talk
from replies.composer import Composer
from replies.kinds import choose, enrich
from replies.model import Context, Decision, Turn, TurnKind
from replies.sensitive import SensitiveWords

log = logging.getLogger(__name__)

_POLL = 0.04


class StillWorking(BotError):
    """Another worker is computing this entry's reply; it can be delivered later."""

    def __init__(self, entry: int) -> None:
        super().__init__(f"entry {entry} is still being worked on")
        self.entry = entry


@dataclass(frozen=True, slots=True)
class Manner:
    """渠道做法: what a channel adds to the one path. Both are pure.

    ``read`` says what a channel's event means in its conversation, as a message. ``outgoing`` says what is to be sent
    for (entry, inquiry, reply); it is queued in the transaction that settles the entry, whoever settles it.
    """

    read: Callable[[Inquiry, Conversation], Inquiry]
    outgoing: Callable[[int, Inquiry, Reply], Sequence[Outgoing]]


@dataclass(frozen=True, slots=True)
class Limits:
    """What the reception is allowed: how long a duplicate waits, how old a conversation may be."""

    wait_seconds: float = 4.0
    expires_minutes: int = 30
    hits: int = 10
    reply_bytes: Mapping[Channel, int] = field(default_factory=dict)  # room of a channel; absent: no limit
    channel_minutes: Mapping[Channel, int] = field(
        default_factory=dict
    )  # instead of ``expires_minutes``: letters are slow


@dataclass(frozen=True, slots=True)
class Response:
    """应答: what one message leads to, with every step that led there."""

    turn: Turn
    decision: Decision
    reply: Reply
    conversation: Conversation
    durations: dict[str, float]  # step → seconds


@dataclass(frozen=True, slots=True)
class Thought:
    """思考结果: what the register has to know of a :class:`Response`; small enough to be sent between processes."""

    turn: TurnKind
    alert: bool
    reply: Reply
    conversation: Conversation
    durations: dict[str, float]


class Thinker(Protocol):
    """思考: :meth:`Reception.think`, done elsewhere."""

    def think(
        self, inquiry: Inquiry, conversation: Conversation, now: datetime, limit_bytes: int, entry: int
    ) -> Thought | None:
        """Read, look up, decide and write; None when nobody is there to do it."""


class Reception:
    """Answers inquiries. Safe to call from many threads and many processes at once."""

    def __init__(
        self,
        book: RegisterBook,
        library: Library,
        composer: Composer,
        context: Context,
        limits: Limits,
        sensitive_words: SensitiveWords | None = None,
        manners: Mapping[Channel, Manner] | None = None,
        thinker: Thinker | None = None,
    ) -> None:
        """``sensitive_words`` is the office's own list; None means the one that ships. ``thinker`` looks up and writes
        in our place (:mod:`bot.thinkers`)."""
        self._book = book
        self._library = library
        self._composer = composer
        self._context = context
        self._limits = limits
        self._manners = dict(manners or {})
        self._sensitive = sensitive_words
        self._thinker = thinker
        self._working: dict[int, threading.Event] = {}
        self._lock = threading.Lock()

    def answer(self, inquiry: Inquiry) -> tuple[int, Reply]:
        """Enter the inquiry, answer it once, and return (entry, reply).

        A redelivery of the same message gets the first reply, waiting for it if need be. Raises ``StillWorking``
        when another worker has not finished within ``Limits.wait_seconds``. Never raises because the work failed:
        then the entry is marked failed and the reply says so courteously.
        """
        opened = self._book.open(inquiry)
        if opened.reply is not None:
            return opened.entry, opened.reply
        if not opened.mine:
            return opened.entry, self._await(opened.entry, inquiry)
        return opened.entry, self.work(opened.entry, inquiry)

    def work(self, entry: int, inquiry: Inquiry) -> Reply:
        """Compute and settle an entry that the caller holds (just opened, or taken over after a restart)."""
        done = threading.Event()
        with self._lock:
            self._working[entry] = done
        try:
            return self._work(entry, inquiry, self._limits.reply_bytes.get(inquiry.channel, 0))
        finally:
            done.set()
            with self._lock:
                self._working.pop(entry, None)

    def _work(self, entry: int, inquiry: Inquiry, limit_bytes: int) -> Reply:
        started = time.perf_counter()
        durations: dict[str, float] = {}
        try:
            reply, conversation = self._compute(entry, inquiry, limit_bytes, durations)
            durations["total"] = time.perf_counter() - started
            queued = self._outgoing(entry, inquiry, reply)
            self._book.settle(entry, reply, durations=durations, conversation=conversation, outgoing=queued)
            return reply
        except AlreadySettled:
            # Our lease ran out and another worker was quicker: the first reply stands.
            return self._first_reply(inquiry)
        except Exception as error:
            # The one place where every failure ends: the citizen gets courteous words, the log gets the name.
            log.exception("entry %s failed", entry)
            reply = self._composer.failed(inquiry.channel, limit_bytes=limit_bytes)
            durations["total"] = time.perf_counter() - started
            try:
                queued = self._outgoing(entry, inquiry, reply)
                self._book.fail(entry, type(error).__name__, reply, durations=durations, outgoing=queued)
            except AlreadySettled:
                return self._first_reply(inquiry)
            return reply

    def _outgoing(self, entry: int, inquiry: Inquiry, reply: Reply) -> Sequence[Outgoing]:
        manner = self._manners.get(inquiry.channel)
        return manner.outgoing(entry, inquiry, reply) if manner else ()

    def _compute(
        self, entry: int, inquiry: Inquiry, limit_bytes: int, durations: dict[str, float]
    ) -> tuple[Reply, Conversation]:
        now = now_beijing()
        minutes = self._limits.channel_minutes.get(inquiry.channel, self._limits.expires_minutes)
        conversation = self._book.conversation(inquiry.conversation, now, minutes)
        thought = self._thinker and self._thinker.think(inquiry, conversation, now, limit_bytes, entry)
        thought = thought or self.think(inquiry, conversation, now, limit_bytes, entry)
        durations.update(thought.durations)
        self._act_on(thought, conversation, entry)
        return thought.reply, thought.conversation

    def think(
        self, inquiry: Inquiry, conversation: Conversation, now: datetime, limit_bytes: int, entry: int
    ) -> Thought:
        """:meth:`respond`, without what only a rehearsal wants to see."""
        found = self.respond(inquiry, conversation, now, limit_bytes=limit_bytes, entry=entry)
        return Thought(found.turn.kind, bool(found.decision.alert), found.reply, found.conversation, found.durations)

    def respond(
        self, inquiry: Inquiry, conversation: Conversation, now: datetime, *, limit_bytes: int = 0, entry: int = 0
    ) -> Response:
        """Read, look up, decide and write; nothing is entered in the register. For the path and for rehearsals."""
        durations: dict[str, float] = {}
        tick = time.perf_counter()
        manner = self._manners.get(inquiry.channel)
        message = manner.read(inquiry, conversation) if manner else inquiry
        turn = talk.read(message, conversation, sensitive_words=self._sensitive)
        durations["read"] = -tick + (tick := time.perf_counter())
        finding: Finding | None = None
        if turn.needs_search:
            finding = self._library.ask(Question(turn.question, turn.filters, self._limits.hits))
        durations["search"] = -tick + (tick := time.perf_counter())
        directory = self._library.directory() if finding is not None else self._library.organs()
        context = replace(self._context, today=now.date(), directory=directory)
        decision = self._enriched(choose(turn, finding, conversation, context))
        durations["decide"] = -tick + (tick := time.perf_counter())
        reply = self._composer.compose(decision, channel=inquiry.channel, limit_bytes=limit_bytes)
        after = talk.advance(conversation, turn, decision, reply, now, entry)
        durations["compose"] = -tick + time.perf_counter()
        return Response(turn, decision, reply, after, durations)

    def _enriched(self, decision: Decision) -> Decision:
        """Add the guide's sections and the linked documents of the document quoted first."""
        if decision.kind is not ReplyKind.ANSWER or not decision.hits:
            return decision
        first = decision.hits[0].document.id
        guide, links = self._library.answer_context(first, guide=bool(decision.guide_wanted))
        return enrich(decision, guide=guide, links=links)

    def _act_on(self, thought: Thought, conversation: Conversation, entry: int) -> None:
        """What a message asks of the register besides its own reply: a judgement, a hand-over, an alert."""
        judged = conversation.last_entry
        if thought.turn in (TurnKind.USEFUL, TurnKind.USELESS) and judged:
            self._book.judge(judged, thought.turn is TurnKind.USEFUL)
        if thought.turn is TurnKind.HUMAN:
            self._book.note(entry, "handover", f"about entry {judged}" if judged else "")
        if thought.alert:
            self._book.note(entry, "alert", "sensitive words: staff should look at this entry")

    def _await(self, entry: int, inquiry: Inquiry) -> Reply:
        """Wait for the worker that holds the entry; take it over when that worker has died."""
        deadline = time.monotonic() + self._limits.wait_seconds
        while time.monotonic() < deadline:
            with self._lock:
                mine = self._working.get(entry)
            if mine is not None:
                mine.wait(deadline - time.monotonic())
            else:
                time.sleep(_POLL)
            reply = self._book.reply_to(inquiry.channel, inquiry.message_key)
            if reply is not None:
                return reply
            again = self._book.open(inquiry)
            if again.reply is not None:
                return again.reply
            if again.mine:
                return self.work(again.entry, inquiry)
        raise StillWorking(entry)

    def _first_reply(self, inquiry: Inquiry) -> Reply:
        reply = self._book.reply_to(inquiry.channel, inquiry.message_key)
        if reply is None:
            raise StillWorking(0)
        return reply

    def sweep(
        self, now: datetime, before: Callable[[Inquiry], None] = lambda _: None
    ) -> list[tuple[int, Inquiry, Reply]]:
        """Answer entries whose worker died (a restart in between loses nothing); returns what was answered.

        ``before`` is told of each inquiry first, so that its channel can see to the delivery: nobody waits for it.
        """
        answered = []
        for entry, inquiry in self._book.abandoned(now):
            before(inquiry)
            answered.append((entry, inquiry, self.work(entry, inquiry)))
        return answered
