"""The register: inquiries, their history, conversations, deliveries, the outbox."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "conversations",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("state_sealed", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_conversations")),
    )
    op.create_table(
        "inquiries",
        sa.Column("id", Number, autoincrement=True, nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("message_key", sa.Text(), nullable=False),
        sa.Column("conversation", sa.Text(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("original_sealed", sa.Text(), nullable=True),
        sa.Column("sender_sealed", sa.Text(), nullable=True),
        sa.Column("kind", sa.String(length=32), nullable=True),
        sa.Column("reply", sa.Text(), nullable=True),
        sa.Column("durations", sa.Text(), nullable=True),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("useful", sa.Boolean(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inquiries")),
        sa.UniqueConstraint("channel", "message_key", name=op.f("uq_inquiries_channel_message_key")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_inquiries_open",
        "inquiries",
        ["lease_until"],
        sqlite_where=sa.text("status = 'open'"),
        postgresql_where=sa.text("status = 'open'"),
    )
    op.create_index("ix_inquiries_received_at", "inquiries", ["received_at"])

    op.create_table(
        "seal_proof",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("proof_sealed", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_seal_proof")),
    )
    op.create_table(
        "access_log",
        sa.Column("id", Number, autoincrement=True, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("entry", Number, nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["entry"], ["inquiries.id"], name=op.f("fk_access_log_entry")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_log")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_access_log_entry", "access_log", ["entry"])

    op.create_table(
        "deliveries",
        sa.Column("id", Number, autoincrement=True, nullable=False),
        sa.Column("entry", Number, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["entry"], ["inquiries.id"], name=op.f("fk_deliveries_entry")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_deliveries_entry", "deliveries", ["entry"])

    op.create_table(
        "events",
        sa.Column("id", Number, autoincrement=True, nullable=False),
        sa.Column("entry", Number, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["entry"], ["inquiries.id"], name=op.f("fk_events_entry")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_entry", "events", ["entry"])

    op.create_table(
        "outbound",
        sa.Column("id", Number, autoincrement=True, nullable=False),
        sa.Column("entry", Number, nullable=True),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("address_sealed", sa.Text(), nullable=False),
        sa.Column("payload_sealed", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_outcome", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["entry"], ["inquiries.id"], name=op.f("fk_outbound_entry")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbound")),
        sa.UniqueConstraint("channel", "key", name=op.f("uq_outbound_channel_key")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outbound_entry", "outbound", ["entry"])
    op.create_index(
        "ix_outbound_pending",
        "outbound",
        ["channel", "due_at"],
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )


def downgrade() -> None:
    op.drop_index("ix_outbound_pending", "outbound")
    op.drop_index("ix_outbound_entry", "outbound")

    op.drop_table("outbound")
    op.drop_index("ix_events_entry", "events")

    op.drop_table("events")
    op.drop_index("ix_deliveries_entry", "deliveries")

    op.drop_table("deliveries")
    op.drop_index("ix_access_log_entry", "access_log")

    op.drop_table("access_log")
    op.drop_table("seal_proof")
    op.drop_index("ix_inquiries_received_at", "inquiries")
    op.drop_index("ix_inquiries_open", "inquiries")

    op.drop_table("inquiries")
    op.drop_table("conversations")
