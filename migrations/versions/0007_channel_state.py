"""What the state of the channels is read from: the next try of a mail account, what was given up, a conversation's entries."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("mailbox_accounts", sa.Column("retry_at", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_index(
        "ix_outbound_given_up",
        "outbound",
        ["channel"],
        sqlite_where=sa.text("state = 'given_up'"),
        postgresql_where=sa.text("state = 'given_up'"),
    )
    op.create_index("ix_inquiries_conversation", "inquiries", ["conversation", "received_at"])


def downgrade() -> None:
    op.drop_index("ix_inquiries_conversation", "inquiries")
    op.drop_index("ix_outbound_given_up", "outbound")
    op.drop_column("mailbox_accounts", "retry_at")
