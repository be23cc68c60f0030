"""Statements compiled once, for what every message pays for.

SQLAlchemy's execution of a ready statement costs more than SQLite's work on it (open and settle together: three times as
much). So the hot path compiles its Core statements once for the engine's dialect and hands text
and values to the driver, on a connection of the same pool.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.selectable import Select

Statement = UpdateBase | Select[Any]


class Prepared:
    """One compiled statement. Values go to the driver as they are: integers, floats, text, None."""

    __slots__ = ("_constants", "_order", "sql")

    def __init__(self, statement: Statement, engine: Engine, columns: tuple[str, ...] | None = None) -> None:
        """``columns`` are those that an insert without ``values`` fills."""
        compiled = statement.compile(dialect=engine.dialect, column_keys=columns)
        assert isinstance(compiled, SQLCompiler)
        self.sql = compiled.string
        self._order = tuple(compiled.positiontup) if compiled.positiontup else None
        self._constants = {name: value for name, value in compiled.params.items() if value is not None}

    def run(self, cursor: Any, values: Mapping[str, Any]) -> Any:
        """Execute on a driver's cursor and give it back."""
        everything = {**self._constants, **values} if self._constants else values
        if self._order is None:
            return cursor.execute(self.sql, everything) or cursor
        return cursor.execute(self.sql, [everything[name] for name in self._order]) or cursor


@contextmanager
def reading(engine: Engine) -> Iterator[Any]:
    """A driver's cursor for a single select."""
    driver = engine.dialect.loaded_dbapi
    connection = engine.raw_connection()
    try:
        yield connection.cursor()
    except driver.Error as error:
        raise DBAPIError.instance(None, None, error, driver.Error, dialect=engine.dialect) from error
    finally:
        connection.close()


@contextmanager
def writing(engine: Engine) -> Iterator[Any]:
    """A driver's cursor in a transaction that may write; committed at the end, rolled back on an exception.

    Errors of the driver come out as SQLAlchemy's, as everywhere else.
    """
    driver = engine.dialect.loaded_dbapi
    connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        try:
            if engine.dialect.name == "sqlite":
                cursor.execute("BEGIN IMMEDIATE")
            yield cursor
            cursor.close()  # a RETURNING that was not read to its end would keep SQLite from committing
            connection.commit()
        except BaseException:
            connection.rollback()
            raise
    except driver.Error as error:
        raise DBAPIError.instance(None, None, error, driver.Error, dialect=engine.dialect) from error
    finally:
        connection.close()
