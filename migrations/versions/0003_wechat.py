"""The WeChat door: access tokens, answers that wait, consents and topics."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "wechat_tokens",
        sa.Column("app_id", sa.String(length=64), nullable=False),
        sa.Column("token_sealed", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("app_id", name=op.f("pk_wechat_tokens")),
    )
    op.create_table(
        "wechat_waiting",
        sa.Column("id", Number, autoincrement=True, nullable=False),
        sa.Column("conversation", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("payload_sealed", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_wechat_waiting")),
        sa.UniqueConstraint("key", name=op.f("uq_wechat_waiting_key")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_wechat_waiting_conversation", "wechat_waiting", ["conversation"])
    op.create_table(
        "wechat_consents",
        sa.Column("conversation", sa.Text(), nullable=False),
        sa.Column("template", sa.String(length=128), nullable=False),
        sa.Column("openid_sealed", sa.Text(), nullable=False),
        sa.Column("remaining", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("last_event", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("conversation", "template", name=op.f("pk_wechat_consents")),
    )
    op.create_table(
        "wechat_topics",
        sa.Column("conversation", sa.Text(), nullable=False),
        sa.Column("topic", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("conversation", "topic", name=op.f("pk_wechat_topics")),
    )


def downgrade() -> None:
    for table in ("wechat_topics", "wechat_consents", "wechat_waiting", "wechat_tokens"):
        op.drop_table(table)
