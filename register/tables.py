"""登记册的表: the rows of the register.

Moments are integers, microseconds since the epoch in UTC (:mod:`register.clock`). Columns called ``…_sealed`` are
encrypted (:mod:`register.seal`). Nothing is ever deleted here and entry numbers are never used twice.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_Number = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers only INTEGER keys by itself
_Moment = BigInteger

inquiries = Table(
    "inquiries",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("channel", String(16), nullable=False),
    Column("message_key", Text, nullable=False),
    Column("conversation", Text, nullable=False),
    Column("received_at", _Moment, nullable=False),
    Column("settled_at", _Moment),
    Column("status", String(16), nullable=False),  # EntryStatus
    Column("event", Text, nullable=False),  # raw kind of a channel event, without its detail; empty for text
    Column("question", Text, nullable=False),  # masked
    Column("subject", Text, nullable=False),  # masked
    Column("original_sealed", Text),  # null when masking changed nothing and there is no detail to hide
    Column("sender_sealed", Text),
    Column("kind", String(32)),  # ReplyKind
    Column("reply", Text),  # JSON as shown; sealed when it repeats personal data
    Column("durations", Text),  # JSON: name → seconds
    Column("seconds", Float, nullable=False),
    Column("error", Text, nullable=False),
    Column("lease_until", _Moment, nullable=False),
    Column("attempts", Integer, nullable=False),  # workers that have begun on it
    Column("useful", Boolean),  # the citizen's 「有用/没用」
    UniqueConstraint("channel", "message_key"),
    Index("ix_inquiries_received_at", "received_at"),
    Index("ix_inquiries_conversation", "conversation", "received_at"),
    Index(
        "ix_inquiries_open",
        "lease_until",
        sqlite_where=text("status = 'open'"),
        postgresql_where=text("status = 'open'"),
    ),
    sqlite_autoincrement=True,
)

events = Table(
    "events",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("entry", _Number, ForeignKey("inquiries.id"), nullable=False),
    Column("at", _Moment, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("detail", Text, nullable=False),
    Index("ix_events_entry", "entry"),
    sqlite_autoincrement=True,
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("entry", _Number, ForeignKey("inquiries.id"), nullable=False),
    Column("at", _Moment, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Index("ix_deliveries_entry", "entry"),
    sqlite_autoincrement=True,
)

conversations = Table(
    "conversations",
    metadata,
    Column("key", Text, primary_key=True),
    Column("updated_at", _Moment, nullable=False),
    Column("state_sealed", Text, nullable=False),  # holds what the citizen wrote, also half-filled forms
)

outbound = Table(
    "outbound",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("entry", _Number, ForeignKey("inquiries.id")),
    Column("channel", String(16), nullable=False),
    Column("key", Text),  # the sender's own key against queueing twice; null: none
    Column("address_sealed", Text, nullable=False),
    Column("payload_sealed", Text, nullable=False),
    Column("created_at", _Moment, nullable=False),
    Column("due_at", _Moment, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("last_outcome", Text, nullable=False),
    Column("state", String(16), nullable=False),  # OutboundState
    Column("lease_until", _Moment, nullable=False),
    UniqueConstraint("channel", "key"),
    Index("ix_outbound_entry", "entry"),
    Index(
        "ix_outbound_pending",
        "channel",
        "due_at",
        sqlite_where=text("state = 'pending'"),
        postgresql_where=text("state = 'pending'"),
    ),
    Index(
        "ix_outbound_given_up",
        "channel",
        sqlite_where=text("state = 'given_up'"),
        postgresql_where=text("state = 'given_up'"),
    ),
    sqlite_autoincrement=True,
)

access_log = Table(
    "access_log",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("at", _Moment, nullable=False),
    Column("who", Text, nullable=False),
    Column("entry", _Number, ForeignKey("inquiries.id"), nullable=False),
    Column("why", Text, nullable=False),
    Index("ix_access_log_entry", "entry"),
    sqlite_autoincrement=True,
)

seal_proof = Table(
    "seal_proof",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # one row, number 1
    Column("proof_sealed", Text, nullable=False),
)
