"""登记册: every inquiry, whatever became of it (登记制).

One committed row before any work, unique on (channel, message key): a redelivery finds the first. The caller that is
told ``mine`` works; its lease runs out when it dies, and then exactly one other takes over. What people may look at
is masked; what the citizen wrote is sealed beside it, and each look at it is logged.

The engine is :func:`bot.database.open_engine`'s; writers ask it for ``BEGIN IMMEDIATE`` by an execution option.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Engine, Row, and_, bindparam, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from register import codec, privacy
from register.clock import from_stored, now_beijing, to_stored
from register.errors import AlreadySettled, SealBroken, UnknownEntry
from register.inquiry import (
    Channel,
    Conversation,
    Delivery,
    Entry,
    EntryStatus,
    Inquiry,
    Opened,
    Reply,
    ReplyKind,
)
from register.prepared import Prepared, reading, writing
from register.seal import Seal
from register.tables import access_log, conversations, deliveries, events, inquiries, outbound, seal_proof

log = logging.getLogger(__name__)

DELIVERED = frozenset({"sent", "passive"})
"""Outcomes that mean the citizen has it; everything else is a failed or open delivery."""

SENDING = "sending"
"""The last outcome of a queued thing that is being written to the wire, or was when its sender died."""

_PASSIVE = "passive"

LONGEST_KEY = 400


class OutboundState(StrEnum):
    """待发状态."""

    PENDING = "pending"
    SENT = "sent"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """待发件: something to be handed to a channel later.

    ``address`` and ``payload`` are the channel's own texts and are stored sealed. ``key``, unique within the channel,
    guards against queueing the same thing twice; empty for none.
    """

    channel: Channel
    address: str
    payload: str
    due_at: datetime | None = None  # None: at once
    key: str = ""


@dataclass(frozen=True, slots=True)
class Outbound:
    """待发件 claimed by this caller for the length of the lease. ``attempts`` counts this one."""

    id: int
    entry: int | None
    channel: Channel
    address: str
    payload: str
    due_at: datetime
    attempts: int
    last_outcome: str


@dataclass(frozen=True, slots=True)
class Queue:
    """队列: what waits on one channel, in numbers."""

    open: int = 0  # inquiries without a reply
    pending: int = 0  # queued things that have not arrived yet
    given_up: int = 0
    next_due: datetime | None = None  # when the first pending thing is tried


@dataclass(frozen=True, slots=True)
class Contacts:
    """往来: what one citizen did on a channel, and what was sent to that citizen outside a direct reply."""

    came: tuple[tuple[datetime, str], ...]  # (moment, event without its detail), oldest first
    sent: tuple[datetime, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """事件: one line of the history of an entry; never changed, never removed."""

    at: datetime
    kind: str  # "opened", "taken_over", "settled", "failed", "delivered", "judged", "revealed" or a note's kind
    detail: str


@dataclass(frozen=True, slots=True)
class _Hot:
    """What every message pays for, compiled once."""

    enter: Prepared
    take_over: Prepared
    reply_to: Prepared
    settle: Prepared
    append: Prepared
    keep: Prepared
    queue: Prepared
    exists: Prepared
    conversation: Prepared
    queued: Prepared
    unqueue: Prepared
    deliver: Prepared
    sending: Prepared


class RegisterBook:
    """登记册: open, settle, fail, find.

    Safe to share between threads and processes: it keeps no state but the engine, the seal and prepared statements.
    """

    def __init__(
        self,
        engine: Engine,
        seal: Seal,
        *,
        clock: Callable[[], datetime] = now_beijing,
        lease_seconds: float = 10,
        office_contacts: frozenset[str] | Callable[[], frozenset[str]] = frozenset(),
    ) -> None:
        """``office_contacts`` are published numbers and addresses that masking leaves alone (条例 art. 20(2)): a set, or
        what tells them at the moment."""
        self._reader = engine
        self._writer = engine.execution_options(sqlite_begin="IMMEDIATE")
        self._seal = seal
        self._clock = clock
        self._lease = round(lease_seconds * 1_000_000)
        self._contacts = office_contacts if callable(office_contacts) else lambda: office_contacts
        insert_new = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
        self._queue = (
            insert_new(outbound).on_conflict_do_nothing(index_elements=["channel", "key"]).returning(outbound.c.id)
        )
        self._prove = insert_new(seal_proof).on_conflict_do_nothing(index_elements=["id"])
        keep = insert_new(conversations)
        self._hot = _Hot(
            enter=Prepared(
                insert_new(inquiries)
                .on_conflict_do_nothing(index_elements=["channel", "message_key"])
                .returning(inquiries.c.id),
                engine,
                _ENTERED,
            ),
            take_over=Prepared(_TAKE_OVER, engine),
            reply_to=Prepared(_REPLY_TO, engine),
            settle=Prepared(_SETTLE, engine),
            append=Prepared(_APPEND, engine, ("entry", "at", "kind", "detail")),
            keep=Prepared(
                keep.on_conflict_do_update(
                    index_elements=["key"],
                    set_={"updated_at": keep.excluded.updated_at, "state_sealed": keep.excluded.state_sealed},
                ),
                engine,
                ("key", "updated_at", "state_sealed"),
            ),
            queue=Prepared(self._queue, engine, _QUEUED),
            exists=Prepared(_EXISTS, engine),
            conversation=Prepared(_CONVERSATION, engine),
            queued=Prepared(_QUEUED_UNDER, engine),
            unqueue=Prepared(_UNQUEUE, engine),
            deliver=Prepared(_DELIVER, engine, ("entry", "at", "outcome", "detail")),
            sending=Prepared(_SENDING, engine),
        )

    # ---- coming in -------------------------------------------------------------------------------------------

    def open(self, inquiry: Inquiry) -> Opened:
        """登记: enter the inquiry, or find its entry when the channel delivers it again.

        Committed when this returns. ``mine`` is True for the first caller, and for exactly one later caller once the
        lease of an entry without a reply has run out.
        """
        row = self._row_of(inquiry)
        now = row["lease_until"] - self._lease
        hot = self._hot
        which = {"of_channel": row["channel"], "of_key": row["message_key"]}
        with writing(self._reader) as cursor:
            # Looking first keeps the numbers without gaps: an insert that meets its like uses one up.
            known = hot.reply_to.run(cursor, which).fetchone()
            if known is None:
                fresh = hot.enter.run(cursor, row).fetchone()
                if fresh is not None:
                    hot.append.run(cursor, {"entry": fresh[0], "at": now, "kind": "opened", "detail": ""})
                    return Opened(fresh[0], mine=True, reply=None)
                known = hot.reply_to.run(cursor, which).fetchone()  # PostgreSQL: another was quicker
            entry, stored = known
            if stored is None:
                taken = hot.take_over.run(cursor, {"of_entry": entry, "now": now, "until": row["lease_until"]})
                if taken.rowcount == 1:
                    hot.append.run(cursor, {"entry": entry, "at": now, "kind": "taken_over", "detail": ""})
                    return Opened(entry, mine=True, reply=None)
        return Opened(entry, mine=False, reply=self._reply(stored))

    def renew(self, entry: int) -> bool:
        """Extend the lease of an entry that is still being worked on; False when it has its reply."""
        until = to_stored(self._clock()) + self._lease
        with self._writer.begin() as connection:
            return connection.execute(_RENEW, {"of_entry": entry, "until": until}).rowcount == 1

    def abandoned(self, now: datetime | None = None, *, limit: int = 100) -> list[tuple[int, Inquiry]]:
        """Open entries whose worker died, oldest first, claimed for the caller for one lease.

        An entry whose original cannot be opened with this key is logged and left open for staff.
        """
        at = to_stored(now or self._clock())
        with self._writer.begin() as connection:
            rows = connection.execute(_CLAIM_ABANDONED, {"now": at, "until": at + self._lease, "limit": limit}).all()
            if rows:
                connection.execute(
                    insert(events), [{"entry": r.id, "at": at, "kind": "taken_over", "detail": ""} for r in rows]
                )
        claimed = []
        for row in sorted(rows, key=lambda r: r.id):
            try:
                claimed.append((row.id, self._inquiry(row)))
            except SealBroken:
                log.exception("entry %d cannot be resumed: its original was sealed with another key", row.id)
        return claimed

    # ---- going out -------------------------------------------------------------------------------------------

    def settle(
        self,
        entry: int,
        reply: Reply,
        *,
        durations: Mapping[str, float],
        conversation: Conversation | None = None,
        outgoing: Sequence[Outgoing] = (),
    ) -> None:
        """办结: keep the reply as shown, its sources and search record, the durations (seconds by name, ``total`` for
        the whole) and what is pending with the citizen, all in one transaction.

        ``outgoing`` is queued in the same transaction, so that a late answer cannot get lost in between. Raises
        :class:`AlreadySettled` (the first reply stands) or :class:`UnknownEntry`.
        """
        self._close(entry, EntryStatus.SETTLED, reply, durations, "", conversation, outgoing)

    def fail(
        self,
        entry: int,
        error: str,
        reply: Reply,
        durations: Mapping[str, float],
        *,
        conversation: Conversation | None = None,
        outgoing: Sequence[Outgoing] = (),
    ) -> None:
        """未能答复: keep the courteous reply and, for staff, the ``error``. Raises as :meth:`settle`."""
        self._close(entry, EntryStatus.FAILED, reply, durations, privacy.mask(error), conversation, outgoing)

    def _close(
        self,
        entry: int,
        status: EntryStatus,
        reply: Reply,
        durations: Mapping[str, float],
        error: str,
        conversation: Conversation | None,
        outgoing: Sequence[Outgoing],
    ) -> None:
        now = to_stored(self._clock())
        values = {
            "of_entry": entry,
            "now": now,
            "to_status": status.value,
            "to_kind": reply.kind.value,
            "to_reply": self._stored_reply(reply),
            "to_durations": codec.to_json(dict(durations)),
            "to_seconds": durations["total"] if "total" in durations else sum(durations.values()),
            "to_error": _storable(error),
        }
        pending = None
        if conversation is not None:
            pending = {
                "key": _storable(conversation.key),
                "updated_at": to_stored(conversation.updated_at) if conversation.updated_at else now,
                "state_sealed": self._seal.close(codec.dump(conversation)),
            }
        queued = [self._outbound_row(entry, item, now) for item in outgoing]
        hot = self._hot
        with writing(self._reader) as cursor:
            if hot.settle.run(cursor, values).rowcount != 1:
                if hot.exists.run(cursor, {"of_entry": entry}).fetchone() is None:
                    raise _unknown(entry)
                raise AlreadySettled(f"entry {entry} has its reply; read it with RegisterBook.shown and use that one")
            hot.append.run(cursor, {"entry": entry, "at": now, "kind": status.value, "detail": reply.kind.value})
            if pending is not None:
                hot.keep.run(cursor, pending)
            for row in queued:
                hot.queue.run(cursor, row)

    def deliver(self, entry: int, outcome: str, detail: str = "") -> None:
        """投递: log one attempt to hand the reply over. Only :data:`DELIVERED` outcomes mean that it arrived.

        ``detail`` is for staff (an error code, a server's answer) and is masked. Raises :class:`UnknownEntry`.
        """
        now = to_stored(self._clock())
        with self._writer.begin() as connection:
            self._require(connection, entry)
            self._record_delivery(connection, entry, now, outcome, detail)

    def hand_over(self, channel: Channel, answers: Sequence[tuple[int, str]]) -> frozenset[int]:
        """直接交付: log that the answers to (entry, outbox key) go out with the requests that ask for them, "passive".

        Committed before a byte is written, so that a kill afterwards never makes the answer go out by the queue as
        well: what is queued under the key is thereby done with. Returned are the entries that may not be answered
        directly, because the queued answer is being sent or was sent; for these nothing is logged. One transaction.
        """
        now = to_stored(self._clock())
        hot = self._hot
        refused = set()
        with writing(self._reader) as cursor:
            for entry, key in answers:
                which = {"of_channel": channel.value, "of_key": _key(key), "now": now}
                queued = hot.queued.run(cursor, which).fetchone()
                if queued is not None:
                    state, outcome = queued
                    if state == OutboundState.PENDING and hot.unqueue.run(cursor, which).rowcount != 1:
                        refused.add(entry)  # somebody is sending it just now, or was when he died
                        continue
                    if state == OutboundState.SENT and outcome != _PASSIVE:
                        refused.add(entry)
                        continue
                hot.deliver.run(cursor, {"entry": entry, "at": now, "outcome": _PASSIVE, "detail": ""})
                hot.append.run(cursor, {"entry": entry, "at": now, "kind": "delivered", "detail": _PASSIVE})
        return frozenset(refused)

    def _record_delivery(self, connection: Connection, entry: int, now: int, outcome: str, detail: str) -> None:
        outcome = _storable(outcome)
        row = {"entry": entry, "at": now, "outcome": outcome, "detail": self._masked(detail)}
        connection.execute(_DELIVER, row)
        _append(connection, entry, now, "delivered" if _arrived(outcome) else "undelivered", outcome)

    # ---- outbox ----------------------------------------------------------------------------------------------

    def enqueue(self, entry: int | None, outgoing: Outgoing) -> int | None:
        """排队: keep something to be sent; its number, or None when its ``key`` is queued or sent already."""
        now = to_stored(self._clock())
        row = self._outbound_row(entry, outgoing, now)
        with self._writer.begin() as connection:
            if entry is not None:
                self._require(connection, entry)
            number: int | None = connection.execute(self._queue, row).scalar()
        return number

    def claim_due(self, channel: Channel, limit: int = 10) -> list[Outbound]:
        """Pending things of this channel that are due, earliest first, leased to the caller.

        When the caller dies before :meth:`record_attempt`, they come back after the lease with a higher ``attempts``:
        the channel decides whether a second try can do harm.
        """
        now = to_stored(self._clock())
        with self._writer.begin() as connection:
            rows = connection.execute(
                _CLAIM_DUE, {"of_channel": channel.value, "now": now, "until": now + self._lease, "limit": limit}
            ).all()
        claimed = []
        for row in sorted(rows, key=lambda r: (r.due_at, r.id)):
            try:
                claimed.append(
                    Outbound(
                        id=row.id,
                        entry=row.entry,
                        channel=Channel(row.channel),
                        address=self._seal.open(row.address_sealed),
                        payload=self._seal.open(row.payload_sealed),
                        due_at=from_stored(row.due_at),
                        attempts=row.attempts,
                        last_outcome=row.last_outcome,
                    )
                )
            except SealBroken:
                log.exception("outbound %d cannot be sent: it was sealed with another key", row.id)
        return claimed

    def record_attempt(self, number: int, outcome: str, retry_at: datetime | None = None, detail: str = "") -> None:
        """How sending went: a :data:`DELIVERED` outcome ends it, ``retry_at`` keeps it pending until then, and a
        failure without ``retry_at`` gives it up for staff. Raises :class:`UnknownEntry`."""
        now = to_stored(self._clock())
        if _arrived(outcome):
            state = OutboundState.SENT
        else:
            state = OutboundState.GIVEN_UP if retry_at is None else OutboundState.PENDING
        values = {"of_number": number, "to_outcome": _storable(outcome), "to_state": state.value}
        values["to_due"] = now if retry_at is None else to_stored(retry_at)
        with self._writer.begin() as connection:
            row = connection.execute(_RECORD_ATTEMPT, values).first()
            if row is None:
                raise UnknownEntry(f"nothing pending is queued under the number {number}")
            if row.entry is not None:
                self._record_delivery(connection, row.entry, now, outcome, detail)
                if state is OutboundState.GIVEN_UP:
                    _append(connection, row.entry, now, "given_up", _storable(outcome))

    def record_sending(self, number: int) -> None:
        """A claimed thing is about to be written to the wire. Whoever claims it after this caller's death finds
        ``last_outcome`` :data:`SENDING`: it may have arrived. Raises :class:`UnknownEntry`."""
        with writing(self._reader) as cursor:
            if self._hot.sending.run(cursor, {"of_number": number}).rowcount != 1:
                raise UnknownEntry(f"nothing pending is queued under the number {number}")

    def postpone(self, number: int, until: datetime) -> None:
        """A claimed thing was not tried after all: it is due again at ``until``, and this was no attempt."""
        values = {"due_at": to_stored(until), "lease_until": 0, "attempts": outbound.c.attempts - 1}
        with self._writer.begin() as connection:
            connection.execute(
                update(outbound).where(outbound.c.id == number, outbound.c.state == "pending").values(values)
            )

    def outbox_counts(self) -> dict[OutboundState, int]:
        """Number of queued things in each state, for ``/healthz`` and staff."""
        statement = select(outbound.c.state, func.count()).group_by(outbound.c.state)
        with self._reader.connect() as connection:
            counted = {row[0]: row[1] for row in connection.execute(statement)}
        return {state: counted.get(state.value, 0) for state in OutboundState}

    def queues(self) -> dict[Channel, Queue]:
        """What waits on each channel; small indexes answer it, however long the register is."""
        by_state = select(outbound.c.channel, outbound.c.state, func.count(), func.min(outbound.c.due_at)).group_by(
            outbound.c.channel, outbound.c.state
        )
        found = {channel: Queue() for channel in Channel}
        with self._reader.connect() as connection:
            opened = Counter(connection.execute(_OPEN_NOW).scalars())
            pending = connection.execute(by_state.where(outbound.c.state == "pending")).all()
            given_up = connection.execute(by_state.where(outbound.c.state == "given_up")).all()
        for channel, count in opened.items():
            found[Channel(channel)] = Queue(open=count)
        for channel, _, count, due in pending:
            found[Channel(channel)] = replace(found[Channel(channel)], pending=count, next_due=from_stored(due))
        for channel, _, count, _ in given_up:
            found[Channel(channel)] = replace(found[Channel(channel)], given_up=count)
        return found

    def counts(self) -> dict[tuple[str, str, str], int]:
        """(channel, status, kind or "") → number of entries, for ``/metrics``."""
        columns = (inquiries.c.channel, inquiries.c.status, inquiries.c.kind)
        with self._reader.connect() as connection:
            counted = connection.execute(select(*columns, func.count()).group_by(*columns))
            return {(row[0], row[1], row[2] or ""): row[3] for row in counted}

    def _outbound_row(self, entry: int | None, outgoing: Outgoing, now: int) -> dict[str, Any]:
        return {
            "entry": entry,
            "channel": outgoing.channel.value,
            "key": _key(outgoing.key) if outgoing.key else None,
            "address_sealed": self._seal.close(outgoing.address),
            "payload_sealed": self._seal.close(outgoing.payload),
            "created_at": now,
            "due_at": to_stored(outgoing.due_at) if outgoing.due_at else now,
            "attempts": 0,
            "last_outcome": "",
            "state": OutboundState.PENDING.value,
            "lease_until": 0,
        }

    # ---- looking up ------------------------------------------------------------------------------------------

    def find(self, entry: int) -> Entry:
        """The entry, masked, with its deliveries. Raises :class:`UnknownEntry`."""
        with self._reader.connect() as connection:
            row = connection.execute(select(inquiries).where(inquiries.c.id == entry)).first()
            if row is None:
                raise _unknown(entry)
            return self._entries(connection, [row])[0]

    def log(
        self,
        since: datetime | None = None,
        channel: Channel | None = None,
        limit: int = 100,
        status: EntryStatus | None = None,
        *,
        undelivered: bool = False,
    ) -> list[Entry]:
        """登记簿: entries received from ``since`` on, newest first, question and reply masked, with deliveries.

        ``undelivered`` keeps those whose reply was tried to be handed over and has not arrived yet.
        """
        statement = select(inquiries).order_by(inquiries.c.id.desc()).limit(limit)
        if since is not None:
            statement = statement.where(inquiries.c.received_at >= to_stored(since))
        if channel is not None:
            statement = statement.where(inquiries.c.channel == channel.value)
        if status is not None:
            statement = statement.where(inquiries.c.status == status.value)
        if undelivered:
            tried = select(deliveries.c.id).where(deliveries.c.entry == inquiries.c.id)
            arrived = tried.where(deliveries.c.outcome.in_(DELIVERED))
            statement = statement.where(tried.exists(), ~arrived.exists())
        with self._reader.connect() as connection:
            return self._entries(connection, connection.execute(statement).all())

    def reply_to(self, channel: Channel, message_key: str) -> Reply | None:
        """The reply to a message, exactly as shown, for a duplicate that waits for it; None while there is none."""
        with reading(self._reader) as cursor:
            values = {"of_channel": channel.value, "of_key": _key(message_key)}
            row = self._hot.reply_to.run(cursor, values).fetchone()
        return None if row is None else self._reply(row[1])

    def contacts(self, channel: Channel, conversation: str, since: datetime) -> Contacts:
        """往来 since a moment, for a channel that allows only so many messages after what the citizen did."""
        of_citizen = (inquiries.c.conversation == _storable(conversation)) & (inquiries.c.channel == channel.value)
        at = to_stored(since)
        came = (
            select(inquiries.c.received_at, inquiries.c.event)
            .where(of_citizen, inquiries.c.received_at >= at)
            .order_by(inquiries.c.received_at)
        )
        sent = (
            select(deliveries.c.at)
            .join_from(inquiries, deliveries, deliveries.c.entry == inquiries.c.id)
            .where(of_citizen, deliveries.c.at >= at, deliveries.c.outcome == "sent")
        )
        with self._reader.connect() as connection:
            actions = tuple((from_stored(row[0]), row[1]) for row in connection.execute(came))
            return Contacts(actions, tuple(from_stored(moment) for moment in connection.execute(sent).scalars()))

    def entry_of(self, channel: Channel, message_key: str) -> int | None:
        """The entry of a message, for whoever asks how it stands; None when there is none."""
        with reading(self._reader) as cursor:
            values = {"of_channel": channel.value, "of_key": _key(message_key)}
            row = self._hot.reply_to.run(cursor, values).fetchone()
        return None if row is None else int(row[0])

    def has_key_ending(self, channel: Channel, ending: str, since: datetime) -> bool:
        """Whether a message received from ``since`` on has a key with this ending; for channels that build it so."""
        statement = (
            select(inquiries.c.id)
            .where(
                inquiries.c.received_at >= to_stored(since),
                inquiries.c.channel == channel.value,
                inquiries.c.message_key.endswith(ending, autoescape=True),
            )
            .limit(1)
        )
        with self._reader.connect() as connection:
            return connection.execute(statement).first() is not None

    def shown(self, entry: int) -> Reply | None:
        """The reply of an entry, exactly as shown, to show it to the same citizen again; None while there is none.

        Raises :class:`UnknownEntry`.
        """
        with self._reader.connect() as connection:
            row = connection.execute(select(inquiries.c.reply).where(inquiries.c.id == entry)).first()
        if row is None:
            raise _unknown(entry)
        return self._reply(row.reply)

    def events(self, entry: int) -> list[Event]:
        """历史: what happened to the entry, oldest first."""
        statement = select(events).where(events.c.entry == entry).order_by(events.c.id)
        with self._reader.connect() as connection:
            return [Event(from_stored(r.at), r.kind, r.detail) for r in connection.execute(statement)]

    def reveal(self, entry: int, who: str, why: str) -> Inquiry:
        """启封: what the citizen really wrote, and who it was. The look is logged before it is given.

        ``who`` is the member of staff, ``why`` the purpose; neither may be empty (个保法 art. 6). Raises
        :class:`UnknownEntry`, :class:`SealBroken`, ``ValueError``.
        """
        if not who.strip() or not why.strip():
            raise ValueError("opening sealed personal data needs a name and a purpose")
        now = to_stored(self._clock())
        with self._writer.begin() as connection:
            row = connection.execute(select(inquiries).where(inquiries.c.id == entry)).first()
            if row is None:
                raise _unknown(entry)
            connection.execute(
                insert(access_log), {"at": now, "who": _storable(who), "entry": entry, "why": _storable(why)}
            )
            _append(connection, entry, now, "revealed", _storable(who))
        return self._inquiry(row)

    # ---- conversation, feedback, notes -----------------------------------------------------------------------

    def conversation(self, key: str, now: datetime, expires_minutes: float) -> Conversation:
        """会话: what is pending under this pseudonym; a fresh one when there is none or it is too old."""
        with reading(self._reader) as cursor:
            row = self._hot.conversation.run(cursor, {"of_key": _storable(key)}).fetchone()
        if row is None or now - from_stored(row[0]) > timedelta(minutes=expires_minutes):
            return Conversation(key=key)
        try:
            return replace(codec.load(Conversation, self._seal.open(row[1])), key=key)
        except (SealBroken, ValueError) as error:
            log.error("a pending conversation was dropped: %s", error)
            return Conversation(key=key)

    def judge(self, entry: int, useful: bool) -> None:
        """评价: the citizen found the reply useful or not; the last word counts. Raises :class:`UnknownEntry`."""
        with self._writer.begin() as connection:
            if connection.execute(_JUDGE, {"of_entry": entry, "to_useful": useful}).rowcount != 1:
                raise _unknown(entry)
            _append(connection, entry, to_stored(self._clock()), "judged", "useful" if useful else "not useful")

    def note(self, entry: int, kind: str, text: str) -> None:
        """备注: append one line to the history of the entry, masked. Raises :class:`UnknownEntry`."""
        with self._writer.begin() as connection:
            self._require(connection, entry)
            _append(connection, entry, to_stored(self._clock()), kind, self._masked(text))

    def verify_seal(self) -> None:
        """Raises :class:`SealBroken` when the personal data in this database were sealed with another key.

        The first call on a new database leaves the proof that later calls read. Call it at start.
        """
        with self._writer.begin() as connection:
            connection.execute(self._prove, {"id": 1, "proof_sealed": self._seal.close("bianmin")})
            proof = connection.execute(select(seal_proof.c.proof_sealed)).scalar_one()
        self._seal.open(proof)

    # ---- rows ------------------------------------------------------------------------------------------------

    def _row_of(self, inquiry: Inquiry) -> dict[str, Any]:
        question = self._masked(inquiry.text)
        subject = self._masked(inquiry.subject) if inquiry.subject else ""
        event, _, detail = inquiry.event.partition(":")
        original = None
        if detail or question != inquiry.text or subject != inquiry.subject:
            original = self._seal.close(codec.to_json([inquiry.text, inquiry.subject, inquiry.event]))
        return {
            "channel": inquiry.channel.value,
            "message_key": _key(inquiry.message_key),
            "conversation": _storable(inquiry.conversation),
            "received_at": to_stored(inquiry.received_at),
            "status": "open",
            "event": _storable(event),
            "question": question,
            "subject": subject,
            "original_sealed": original,
            "sender_sealed": self._seal.close(inquiry.sender) if inquiry.sender else None,
            "seconds": 0.0,
            "error": "",
            "lease_until": to_stored(self._clock()) + self._lease,
            "attempts": 1,
        }

    def _inquiry(self, row: Row[Any]) -> Inquiry:
        text, subject, event = row.question, row.subject, row.event
        if row.original_sealed is not None:
            text, subject, event = json.loads(self._seal.open(row.original_sealed))
        return Inquiry(
            channel=Channel(row.channel),
            message_key=row.message_key,
            conversation=row.conversation,
            text=text,
            received_at=from_stored(row.received_at),
            sender=self._seal.open(row.sender_sealed) if row.sender_sealed else "",
            subject=subject,
            event=event,
        )

    def _entries(self, connection: Connection, rows: Sequence[Row[Any]]) -> list[Entry]:
        attempts: dict[int, list[Delivery]] = {row.id: [] for row in rows}
        if rows:
            statement = select(deliveries).where(deliveries.c.entry.in_(list(attempts))).order_by(deliveries.c.id)
            for row in connection.execute(statement):
                attempts[row.entry].append(Delivery(from_stored(row.at), row.outcome))
        return [self._entry(row, attempts[row.id]) for row in rows]

    def _entry(self, row: Row[Any], attempts: Iterable[Delivery]) -> Entry:
        reply, error = None, row.error
        try:
            shown = self._reply(row.reply)
            reply = None if shown is None else self._masked_reply(shown)
        except SealBroken as broken:  # the log must stay readable for the rest
            error = error or str(broken)
        return Entry(
            entry=row.id,
            channel=Channel(row.channel),
            message_key=row.message_key,
            conversation=row.conversation,
            received_at=from_stored(row.received_at),
            settled_at=None if row.settled_at is None else from_stored(row.settled_at),
            status=EntryStatus(row.status),
            kind=None if row.kind is None else ReplyKind(row.kind),
            question=row.question,
            reply=reply,
            seconds=row.seconds,
            error=error,
            deliveries=tuple(attempts),
            event=row.event,
            useful=row.useful,
        )

    # ---- personal data ---------------------------------------------------------------------------------------

    def _masked(self, text: str) -> str:
        return privacy.mask(_storable(text), office_contacts=self._contacts())

    def _stored_reply(self, reply: Reply) -> str:
        text = codec.dump(reply)
        repeated = reply.search_record.query if reply.search_record else ""
        contacts = self._contacts()
        if any(privacy.find(part, office_contacts=contacts) for part in (reply.text, repeated, reply.more)):
            return self._seal.close(text)
        return text

    def _reply(self, stored: str | None) -> Reply | None:
        if stored is None:
            return None
        return codec.load(Reply, stored if stored.startswith("{") else self._seal.open(stored))

    def _masked_reply(self, reply: Reply) -> Reply:
        """Masked for people who look at the log; what the reply quotes from published texts stays readable."""
        published = [source.quote for source in (*reply.sources, *reply.nearest)]
        published += [value for _, value in reply.facts]
        public = {text[datum.start : datum.end] for text in published for datum in privacy.find(text)}
        if reply.organ:
            public |= {reply.organ.phone, reply.organ.address}
        contacts = self._contacts() | public

        def mask(text: str) -> str:
            return privacy.mask(text, office_contacts=contacts)

        record = reply.search_record
        if record is not None:
            record = replace(
                record,
                query=mask(record.query),
                terms=tuple(map(mask, record.terms)),
                expanded=tuple(map(mask, record.expanded)),
            )
        return replace(
            reply,
            text=mask(reply.text),
            lead=mask(reply.lead),
            notice=mask(reply.notice),
            more=mask(reply.more),
            organ_reason=mask(reply.organ_reason),
            choices=tuple(replace(c, label=mask(c.label), send=mask(c.send)) for c in reply.choices),
            steps=tuple(replace(step, text=mask(step.text)) for step in reply.steps),
            search_record=record,
        )

    def _require(self, connection: Connection, entry: int) -> None:
        if connection.execute(_EXISTS, {"of_entry": entry}).first() is None:
            raise _unknown(entry)


def _unknown(entry: int) -> UnknownEntry:
    return UnknownEntry(f"the register has no entry {entry}; look it up in `bianmin log`")


def _append(connection: Connection, entry: int, at: int, kind: str, detail: str = "") -> None:
    connection.execute(_APPEND, {"entry": entry, "at": at, "kind": kind, "detail": detail})


def _arrived(outcome: str) -> bool:
    return outcome.partition(":")[0] in DELIVERED


def _key(key: str) -> str:
    """The key as stored; one too long for a database index keeps its head and gets a digest."""
    key = _storable(key)
    if len(key) <= LONGEST_KEY:
        return key
    return f"{key[: LONGEST_KEY - 65]}#{hashlib.sha256(key.encode()).hexdigest()}"


def _storable(text: str) -> str:
    """Text that every database takes: no NUL (PostgreSQL), no lone surrogates (UTF-8)."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


_of_entry = inquiries.c.id == bindparam("of_entry")
_of_message = and_(
    inquiries.c.channel == bindparam("of_channel"),
    inquiries.c.message_key == bindparam("of_key"),
)
_ENTERED = (
    "channel",
    "message_key",
    "conversation",
    "received_at",
    "status",
    "event",
    "question",
    "subject",
    "original_sealed",
    "sender_sealed",
    "seconds",
    "error",
    "lease_until",
    "attempts",
)
_QUEUED = (
    "entry",
    "channel",
    "key",
    "address_sealed",
    "payload_sealed",
    "created_at",
    "due_at",
    "attempts",
    "last_outcome",
    "state",
    "lease_until",
)
# The lease is named so that the small index of open entries is used and not the one of all channels.
_OPEN_NOW = select(inquiries.c.channel).where(inquiries.c.status == "open", inquiries.c.lease_until > 0)
_APPEND = insert(events)
_DELIVER = insert(deliveries)
_SENDING = (
    update(outbound)
    .where(outbound.c.id == bindparam("of_number"), outbound.c.state == "pending")
    .values(last_outcome=SENDING)
)
_of_queued = and_(outbound.c.channel == bindparam("of_channel"), outbound.c.key == bindparam("of_key"))
_QUEUED_UNDER = select(outbound.c.state, outbound.c.last_outcome).where(_of_queued)
_UNQUEUE = (
    update(outbound)
    .where(
        _of_queued,
        outbound.c.state == "pending",
        outbound.c.lease_until <= bindparam("now"),
        outbound.c.last_outcome != SENDING,
    )
    .values(state=OutboundState.SENT.value, last_outcome=_PASSIVE, lease_until=0)
)
_EXISTS = select(inquiries.c.id).where(_of_entry)
_REPLY_TO = select(inquiries.c.id, inquiries.c.reply).where(_of_message)
_CONVERSATION = select(conversations.c.updated_at, conversations.c.state_sealed).where(
    conversations.c.key == bindparam("of_key")
)
_TAKE_OVER = (
    update(inquiries)
    .where(_of_entry, inquiries.c.status == "open", inquiries.c.lease_until <= bindparam("now"))
    .values(lease_until=bindparam("until"), attempts=inquiries.c.attempts + 1)
)
_RENEW = update(inquiries).where(_of_entry, inquiries.c.status == "open").values(lease_until=bindparam("until"))
_CLAIM_ABANDONED = (
    update(inquiries)
    .where(
        inquiries.c.id.in_(
            select(inquiries.c.id)
            .where(inquiries.c.status == "open", inquiries.c.lease_until <= bindparam("now"))
            .order_by(inquiries.c.id)
            .limit(bindparam("limit"))
            .with_for_update(skip_locked=True)
            .scalar_subquery()
        )
    )
    .values(lease_until=bindparam("until"), attempts=inquiries.c.attempts + 1)
    .returning(*inquiries.c)
)
_SETTLE = (
    update(inquiries)
    .where(_of_entry, inquiries.c.status == "open")
    .values(
        status=bindparam("to_status"),
        settled_at=bindparam("now"),
        kind=bindparam("to_kind"),
        reply=bindparam("to_reply"),
        durations=bindparam("to_durations"),
        seconds=bindparam("to_seconds"),
        error=bindparam("to_error"),
    )
)
_JUDGE = update(inquiries).where(_of_entry).values(useful=bindparam("to_useful"))
_CLAIM_DUE = (
    update(outbound)
    .where(
        outbound.c.id.in_(
            select(outbound.c.id)
            .where(
                outbound.c.channel == bindparam("of_channel"),
                outbound.c.state == "pending",
                outbound.c.due_at <= bindparam("now"),
                outbound.c.lease_until <= bindparam("now"),
            )
            .order_by(outbound.c.due_at, outbound.c.id)
            .limit(bindparam("limit"))
            .with_for_update(skip_locked=True)
            .scalar_subquery()
        )
    )
    .values(lease_until=bindparam("until"), attempts=outbound.c.attempts + 1)
    .returning(*outbound.c)
)
_RECORD_ATTEMPT = (
    update(outbound)
    .where(outbound.c.id == bindparam("of_number"), outbound.c.state == "pending")
    .values(
        state=bindparam("to_state"),
        due_at=bindparam("to_due"),
        last_outcome=bindparam("to_outcome"),
        lease_until=0,
    )
    .returning(outbound.c.entry)
)
