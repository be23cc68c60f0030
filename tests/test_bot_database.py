"""bot.database: one engine for all, and migrations that several processes may start at once."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, text

import migrations
from bot.database import migrate, open_engine
from bot.errors import DatabaseUnusable
from migrations.metadata import TARGET


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = open_engine(f"sqlite:///{tmp_path / 'house.db'}")
    yield opened
    opened.dispose()


def newest() -> str | None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    return ScriptDirectory.from_config(config).get_current_head()


def test_sqlite_writes_ahead_waits_and_holds_foreign_keys(engine: Engine) -> None:
    with engine.connect() as connection:
        pragma = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragma == {"journal_mode": "wal", "synchronous": 1, "foreign_keys": 1, "busy_timeout": 15000}


def test_a_writer_that_asks_for_it_holds_the_lock_from_the_start(engine: Engine) -> None:
    migrate(engine)
    writer = engine.execution_options(sqlite_begin="IMMEDIATE")
    order = []
    begun, release = threading.Event(), threading.Event()

    def first() -> None:
        with writer.begin() as connection:
            connection.execute(text("SELECT 1"))
            begun.set()
            release.wait(10)
            order.append("first")

    def second() -> None:
        begun.wait(10)
        threading.Timer(0.2, release.set).start()
        with writer.begin():
            order.append("second")

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert order == ["first", "second"]


def test_a_reader_is_not_held_up_by_a_writer(engine: Engine) -> None:
    migrate(engine)
    with engine.execution_options(sqlite_begin="IMMEDIATE").begin(), engine.connect() as reader:
        assert reader.execute(text("SELECT count(*) FROM inquiries")).scalar() == 0


def test_an_empty_database_is_brought_to_the_newest_form_and_stays_there(engine: Engine) -> None:
    migrate(engine)
    tables = set(inspect(engine).get_table_names())
    assert {table.name for metadata in TARGET for table in metadata.sorted_tables} <= tables
    migrate(engine)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all() == [newest()]


def test_the_migrations_say_the_same_as_the_tables(engine: Engine) -> None:
    migrate(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, TARGET) == []


def test_processes_and_threads_that_start_at_once_migrate_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'house.db'}"
    program = "import sys; from bot.database import migrate, open_engine; migrate(open_engine(sys.argv[1]))"
    processes = [
        subprocess.Popen([sys.executable, "-c", program, url], stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]
    errors: list[BaseException] = []

    def start() -> None:
        try:
            opened = open_engine(url)
            migrate(opened)
            opened.dispose()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    said = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], said
    assert errors == []


def test_a_database_of_a_newer_program_is_refused_by_name(engine: Engine) -> None:
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'zzzz'"))
    with pytest.raises(DatabaseUnusable, match="newer than this program"):
        migrate(engine)


def test_a_file_that_is_no_database_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "house.db"
    path.write_bytes(b"this is a letter, not a database. " * 200)
    with pytest.raises(DatabaseUnusable, match="cannot be opened"):
        migrate(open_engine(f"sqlite:///{path}"))


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "no address at all", "nosuchsystem://localhost/x"])
def test_a_wrong_address_is_refused_by_name(url: str) -> None:
    with pytest.raises(DatabaseUnusable, match=r"database\.url"):
        open_engine(url)


def test_a_folder_that_cannot_be_made_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DatabaseUnusable, match=r"data\.folder"):
        open_engine(f"sqlite:///{tmp_path / 'file' / 'house.db'}")
