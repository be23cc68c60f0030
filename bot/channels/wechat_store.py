"""微信通道的存储: what the WeChat door itself must remember. All SQL of the channel is here.

Moments are integers, microseconds since the epoch (:mod:`register.clock`); columns called ``…_sealed`` are encrypted
(:mod:`register.seal`). People are named by their pseudonym, as in the register.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Column,
    Engine,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from register.clock import from_stored, to_stored
from register.errors import SealBroken
from register.seal import Seal

log = logging.getLogger(__name__)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_Number = BigInteger().with_variant(Integer, "sqlite")

tokens = Table(
    "wechat_tokens",
    metadata,
    Column("app_id", String(64), primary_key=True),
    Column("token_sealed", Text, nullable=False),  # empty: none yet
    Column("expires_at", BigInteger, nullable=False),
    Column("lease_until", BigInteger, nullable=False),  # somebody is fetching a new one until then
)

waiting = Table(
    "wechat_waiting",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("conversation", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("payload_sealed", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column(
        "handed_with", Text, nullable=False, server_default=""
    ),  # key of the message whose reply it is in; empty: none
    Column("handed_at", BigInteger, nullable=False, server_default="0"),
    UniqueConstraint("key"),
    Index("ix_wechat_waiting_conversation", "conversation"),
    sqlite_autoincrement=True,
)

consents = Table(
    "wechat_consents",
    metadata,
    Column("conversation", Text, primary_key=True),
    Column("template", String(128), primary_key=True),
    Column("openid_sealed", Text, nullable=False),
    Column("remaining", Integer, nullable=False),  # notices that may still be sent
    Column("updated_at", BigInteger, nullable=False),
    Column("last_event", Text, nullable=False),  # key of the event counted last: redeliveries count once
)

topics = Table(
    "wechat_topics",
    metadata,
    Column("conversation", Text, primary_key=True),
    Column("topic", String(64), primary_key=True),
    Column("created_at", BigInteger, nullable=False),
)

LONG_TERM = 1_000_000_000
"""``remaining`` of a long-term consent (长期订阅)."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """待取件: something that could not be sent and is handed over with the citizen's next message."""

    id: int
    key: str
    payload: str
    handed: bool = False  # with the very message that is answered now: this is a redelivery of it


@dataclass(frozen=True, slots=True)
class Follower:
    """订阅人: somebody who chose a topic and may be sent a notice."""

    conversation: str
    openid: str
    topic: str


class WeChatStore:
    """The channel's rows. Safe to share between threads and processes."""

    def __init__(self, engine: Engine, seal: Seal) -> None:
        self._reader = engine
        self._writer = engine.execution_options(sqlite_begin="IMMEDIATE")
        self._seal = seal
        self._insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert

    # ---- access token ----------------------------------------------------------------------------------------

    def token(self, app_id: str, now: datetime) -> str:
        """The stored access token, empty when there is none that still holds at ``now``."""
        with self._reader.connect() as connection:
            row = connection.execute(select(tokens).where(tokens.c.app_id == app_id)).first()
        if row is None or not row.token_sealed or row.expires_at <= to_stored(now):
            return ""
        return self._open(row.token_sealed)

    def claim_token(self, app_id: str, now: datetime, seconds: float) -> bool:
        """Whether the caller alone may fetch a new token during the next ``seconds``."""
        until = to_stored(now + timedelta(seconds=seconds))
        empty = {"app_id": app_id, "token_sealed": "", "expires_at": 0, "lease_until": 0}
        with self._writer.begin() as connection:
            connection.execute(self._insert(tokens).values(empty).on_conflict_do_nothing(index_elements=["app_id"]))
            claimed = connection.execute(
                update(tokens)
                .where(tokens.c.app_id == app_id, tokens.c.lease_until <= to_stored(now))
                .values(lease_until=until)
            )
            return claimed.rowcount == 1

    def keep_token(self, app_id: str, token: str, expires_at: datetime) -> None:
        """Store a new token."""
        values = {"token_sealed": self._seal.close(token), "expires_at": to_stored(expires_at)}
        with self._writer.begin() as connection:
            connection.execute(update(tokens).where(tokens.c.app_id == app_id).values(values))

    def release_token(self, app_id: str) -> None:
        """Let go of the claim."""
        with self._writer.begin() as connection:
            connection.execute(update(tokens).where(tokens.c.app_id == app_id).values(lease_until=0))

    # ---- what waits for the citizen's next message --------------------------------------------------------------

    def wait(self, conversation: str, key: str, payload: str, now: datetime) -> None:
        """Keep something for the citizen's next message; once, however often it is said under this ``key``."""
        row = {
            "conversation": conversation,
            "key": key,
            "payload_sealed": self._seal.close(payload),
            "created_at": to_stored(now),
        }
        with self._writer.begin() as connection:
            connection.execute(self._insert(waiting).values(row).on_conflict_do_nothing(index_elements=["key"]))

    def anything_waits(self) -> bool:
        """Whether anything waits for anybody."""
        with self._reader.connect() as connection:
            return connection.execute(select(waiting.c.id).limit(1)).first() is not None

    def waiting_count(self) -> int:
        """How many things wait for their citizens' next messages."""
        statement = select(func.count()).select_from(waiting).where(waiting.c.handed_with == "")
        with self._reader.connect() as connection:
            return int(connection.execute(statement).scalar_one())

    def waiting_for(self, conversation: str, message: str = "") -> list[Waiting]:
        """What waits for this citizen, oldest first, and what was handed over with ``message`` (its key) before."""
        with self._reader.connect() as connection:
            rows = connection.execute(_WAITING, {"of_conversation": conversation, "of_message": message}).all()
        opened = ((row, self._open(row.payload_sealed)) for row in rows)
        return [Waiting(row.id, row.key, payload, row.handed_with != "") for row, payload in opened if payload]

    def hand_over(self, numbers: Iterable[int], message: str, now: datetime) -> bool:
        """The reply to ``message`` holds these; False, and nothing is changed, when another reply has taken one."""
        wanted = list(numbers)
        free = waiting.c.handed_with.in_(["", message])
        taking = update(waiting).where(waiting.c.id.in_(wanted), free)
        with self._writer.connect() as connection, connection.begin() as transaction:
            if connection.execute(taking.values(handed_with=message, handed_at=to_stored(now))).rowcount != len(wanted):
                transaction.rollback()
                return False
        return True

    def give_back(self, message: str) -> None:
        """The reply to ``message`` was never written: what it would have held waits again."""
        with self._writer.begin() as connection:
            connection.execute(update(waiting).where(waiting.c.handed_with == message).values(handed_with=""))

    def forget(self, before: datetime) -> None:
        """Drop what was handed over before a moment: no redelivery asks for it any more."""
        with self._writer.begin() as connection:
            connection.execute(
                delete(waiting).where(waiting.c.handed_with != "", waiting.c.handed_at < to_stored(before))
            )

    # ---- subscription notices ----------------------------------------------------------------------------------

    def consent(self, conversation: str, openid: str, template: str, grants: int, event: str, now: datetime) -> None:
        """Add ``grants`` notices to a citizen's consent for a template; 0 withdraws it. ``event`` counts once."""
        which = (consents.c.conversation == conversation) & (consents.c.template == template)
        with self._writer.begin() as connection:
            row = connection.execute(select(consents).where(which)).first()
            if row is not None and row.last_event == event:
                return
            had = 0 if row is None or grants == 0 else row.remaining
            values = {
                "openid_sealed": self._seal.close(openid),
                "remaining": min(had + grants, LONG_TERM),
                "updated_at": to_stored(now),
                "last_event": event,
            }
            if row is None:
                connection.execute(insert(consents).values(conversation=conversation, template=template, **values))
            else:
                connection.execute(update(consents).where(which).values(values))

    def consented(self, conversation: str, template: str) -> str:
        """The open id to send one notice to, empty without consent."""
        statement = select(consents.c.openid_sealed).where(
            consents.c.conversation == conversation, consents.c.template == template, consents.c.remaining > 0
        )
        with self._reader.connect() as connection:
            sealed = connection.execute(statement).scalar()
        return "" if sealed is None else self._open(sealed)

    def spend(self, conversation: str, template: str) -> None:
        """One notice less; a long-term consent is not used up."""
        with self._writer.begin() as connection:
            connection.execute(
                update(consents)
                .where(
                    consents.c.conversation == conversation,
                    consents.c.template == template,
                    consents.c.remaining.between(1, LONG_TERM - 1),
                )
                .values(remaining=consents.c.remaining - 1)
            )

    def withdraw(self, conversation: str, template: str, now: datetime) -> None:
        """No more notices of this template: WeChat says that the citizen refuses them."""
        with self._writer.begin() as connection:
            connection.execute(
                update(consents)
                .where(consents.c.conversation == conversation, consents.c.template == template)
                .values(remaining=0, updated_at=to_stored(now))
            )

    def follow(self, conversation: str, topic: str, now: datetime) -> None:
        """Choose a topic; again makes no difference."""
        row = {"conversation": conversation, "topic": topic, "created_at": to_stored(now)}
        with self._writer.begin() as connection:
            connection.execute(
                self._insert(topics).values(row).on_conflict_do_nothing(index_elements=["conversation", "topic"])
            )

    def unfollow(self, conversation: str, topic: str = "") -> int:
        """Drop one topic or, without ``topic``, all; how many there were."""
        statement = delete(topics).where(topics.c.conversation == conversation)
        if topic:
            statement = statement.where(topics.c.topic == topic)
        with self._writer.begin() as connection:
            return connection.execute(statement).rowcount

    def following(self, conversation: str) -> list[str]:
        """The citizen's topics, in the order in which they were chosen."""
        statement = select(topics.c.topic).where(topics.c.conversation == conversation).order_by(topics.c.created_at)
        with self._reader.connect() as connection:
            return list(connection.execute(statement).scalars())

    def followers(self, template: str) -> Iterator[tuple[Follower, datetime]]:
        """Everybody who chose a topic and holds consent for ``template``, with the moment of the choice."""
        statement = (
            select(topics.c.conversation, topics.c.topic, topics.c.created_at, consents.c.openid_sealed)
            .join_from(topics, consents, topics.c.conversation == consents.c.conversation)
            .where(consents.c.template == template, consents.c.remaining > 0)
            .order_by(topics.c.created_at)
        )
        with self._reader.connect() as connection:
            rows = connection.execute(statement).all()
        for row in rows:
            openid = self._open(row.openid_sealed)
            if openid:
                yield Follower(row.conversation, openid, row.topic), from_stored(row.created_at)

    def _open(self, sealed: str) -> str:
        """The sealed text; empty, with a line for staff, where it was sealed with another key."""
        try:
            return self._seal.open(sealed)
        except SealBroken as error:
            log.error("something that the WeChat channel kept cannot be opened: %s", error)
            return ""


_WAITING = (
    select(waiting.c.id, waiting.c.key, waiting.c.payload_sealed, waiting.c.handed_with)
    .where(
        waiting.c.conversation == bindparam("of_conversation"),
        or_(waiting.c.handed_with == "", waiting.c.handed_with == bindparam("of_message")),
    )
    .order_by(waiting.c.id)
)
