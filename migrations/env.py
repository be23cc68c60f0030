"""Alembic's entry: on the connection that ``bot.database.migrate`` hands over, or on the configured database.

Developers make a revision with ``alembic -c migrations/alembic.ini revision --autogenerate -m …``.
"""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from bot import config as settings
from bot.database import open_engine
from migrations.metadata import TARGET


def _run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=TARGET, render_as_batch=True, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    _run(given)
else:
    with open_engine(settings.load().database_url).execution_options(sqlite_begin="IMMEDIATE").begin() as opened:
        _run(opened)
