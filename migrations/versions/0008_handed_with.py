"""Which message of the citizen's a waiting WeChat answer was handed over with: a redelivery of that message gets it again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("wechat_waiting", sa.Column("handed_with", sa.Text(), nullable=False, server_default=""))
    op.add_column("wechat_waiting", sa.Column("handed_at", sa.BigInteger(), nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("wechat_waiting", "handed_at")
    op.drop_column("wechat_waiting", "handed_with")
