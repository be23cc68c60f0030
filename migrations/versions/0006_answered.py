"""Answered questions: what staff have approved as the answer to a question."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "answered_questions",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("document", sa.String(length=48), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("passage", sa.String(length=60), nullable=False),
        sa.Column("locator", sa.Text(), nullable=False),
        sa.Column("approved_at", sa.String(length=40), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_answered_questions")),
    )
    op.create_index("ix_answered_questions_document", "answered_questions", ["document"])


def downgrade() -> None:
    op.drop_table("answered_questions")
