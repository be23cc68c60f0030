"""数据库: the engine and the migrations; the only state that processes share.

SQLite is the embedded default, PostgreSQL comes by one line of configuration. On SQLite a transaction begins as
``BEGIN`` (a reader never waits) unless the engine was asked for ``BEGIN IMMEDIATE``::

    writer = engine.execution_options(sqlite_begin="IMMEDIATE")
    with writer.begin() as connection: ...

A transaction that reads before it writes needs that: begun as a reader it would be refused at once, without waiting,
when somebody else has written in between (SQLITE_BUSY_SNAPSHOT).
"""

from __future__ import annotations

import logging
import sqlite3
import time
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

import migrations
from bot.errors import DatabaseUnusable

BUSY_SECONDS = 15
_MIGRATION_LOCK = 0x6269616E  # any number, the same in every process

log = logging.getLogger(__name__)


def open_engine(url: str, *, threads: int = 16) -> Engine:
    """An engine for ``url`` with one connection for each of ``threads``.

    SQLite: the folder is made, WAL, ``synchronous=NORMAL``, foreign keys on, ``BUSY_SECONDS`` of patience. Raises
    :class:`DatabaseUnusable` when the address is wrong or its driver is not installed.
    """
    try:
        address = make_url(url)
        sizes: dict[str, Any] = {"pool_size": threads, "max_overflow": 4}
        if address.get_backend_name() != "sqlite":
            return create_engine(address, pool_pre_ping=True, **sizes)
        if not address.database or address.database == ":memory:":
            raise DatabaseUnusable("database.url must name a file; a database in memory is lost at every restart")
        Path(address.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(address, connect_args={"timeout": BUSY_SECONDS}, **sizes)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise DatabaseUnusable(f"database.url cannot be used: {error}; see [database] in config.toml") from error
    except OSError as error:
        raise DatabaseUnusable(f"the folder of the database cannot be made: {error}; check data.folder") from error
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def migrate(engine: Engine) -> None:
    """Bring the database to the newest form; nothing happens when it is there already.

    Safe when several processes start at once: one migrates, the others wait for it. Raises
    :class:`DatabaseUnusable` when the database was written by a newer program or cannot be opened.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent).replace("%", "%%"))
    script = ScriptDirectory.from_config(config)
    newest = set(script.get_heads())
    try:
        with engine.connect() as connection:
            if _heads(connection) == newest:
                return
        with engine.execution_options(sqlite_begin="IMMEDIATE").begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
            if _heads(connection) == newest:
                return
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except CommandError as error:
        raise DatabaseUnusable(
            f"the database is newer than this program ({error}); install the newer program or restore a backup"
        ) from error
    except DBAPIError as error:
        raise DatabaseUnusable(f"the database cannot be opened: {error.orig}; check database.url") from error
    log.info("database is at revision %s", ", ".join(sorted(newest)))


def _heads(connection: Connection) -> set[str]:
    return set(MigrationContext.configure(connection).get_current_heads())


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # BEGIN is ours, see _begin_sqlite
    connection.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")
    _switch_to_wal(connection)
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """WAL, with our own patience: SQLite does not wait for the lock that the first switch needs."""
    give_up = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(0.01)


def _begin_sqlite(connection: Connection) -> None:
    kind = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if kind == "IMMEDIATE" else "BEGIN")
