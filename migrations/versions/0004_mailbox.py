"""The county mailbox: mails as they came, letters counted by recipient, accounts, the worker's lease."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "mailbox_mails",
        sa.Column("id", Number, autoincrement=True, nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("uidvalidity", sa.BigInteger(), nullable=False),
        sa.Column("uid", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("forced", sa.Integer(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("message_key", sa.Text(), nullable=False),
        sa.Column("thread", sa.Text(), nullable=False),
        sa.Column("letter_id", sa.Text(), nullable=False),
        sa.Column("entry", Number, nullable=True),
        sa.Column("sender_sealed", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mailbox_mails")),
        sa.UniqueConstraint("account", "uidvalidity", "uid", name=op.f("uq_mailbox_mails_account_uidvalidity_uid")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_mailbox_mails_state", "mailbox_mails", ["state"])
    op.create_index("ix_mailbox_mails_letter_id", "mailbox_mails", ["letter_id"])
    op.create_index("ix_mailbox_mails_message_key", "mailbox_mails", ["message_key"])
    op.create_table(
        "mailbox_letters",
        sa.Column("mail", Number, autoincrement=False, nullable=False),
        sa.Column("recipient", sa.String(length=64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("mail", name=op.f("pk_mailbox_letters")),
    )
    op.create_index("ix_mailbox_letters_recipient_at", "mailbox_letters", ["recipient", "at"])
    op.create_table(
        "mailbox_accounts",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("uidvalidity", sa.BigInteger(), nullable=False),
        sa.Column("last_uid", sa.BigInteger(), nullable=False),
        sa.Column("polled_at", sa.BigInteger(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("problem_since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_mailbox_accounts")),
    )
    op.create_table(
        "mailbox_leases",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_mailbox_leases")),
    )


def downgrade() -> None:
    for table in ("mailbox_leases", "mailbox_accounts", "mailbox_letters", "mailbox_mails"):
        op.drop_table(table)
