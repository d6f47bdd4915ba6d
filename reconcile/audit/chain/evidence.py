"""Reading the audit as evidence: rows as they are, also where somebody has made nonsense of them.

The application's own types refuse what it would never have written (an instant that is none, text that
is no UTF-8). A verification must go on and name such a row, so that here it comes as it is: its digest
is then another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Dialect,
    FromClause,
    RowMapping,
    Select,
    String,
    TypeDecorator,
    type_coerce,
)

from reconcile.audit.tables import UtcDateTime

_ROWS_AT_ONCE = 500


class _WrittenInstant(TypeDecorator[Any]):
    """SQLite's text for an instant: aware UTC where it is exactly that, else whatever stands there."""

    impl = String
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002
        if not isinstance(value, str):
            return value
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            return value
        # Another spelling of the same instant is not what reconcile has written either.
        written = instant.isoformat(sep=" ", timespec="microseconds") == value
        return instant.replace(tzinfo=UTC) if written else value


@contextmanager
def lenient(connection: Connection) -> Iterator[None]:
    """Read text that is not UTF-8, in SQLite, with its faulty bytes replaced."""
    if connection.dialect.name != "sqlite":
        yield
        return
    raw: Any = connection.connection.driver_connection
    raw.text_factory = lambda text: text.decode("utf-8", "replace")
    try:
        yield
    finally:
        raw.text_factory = str


def columns(
    connection: Connection, table: FromClause, names: Iterable[str], *, prefix: str = ""
) -> list[ColumnElement[Any]]:
    """The table's columns as they are, each labelled with its name behind `prefix`."""
    is_sqlite = connection.dialect.name == "sqlite"
    found: list[ColumnElement[Any]] = []
    for name in names:
        column: Column[Any] | ColumnElement[Any] = table.c[name]
        if is_sqlite and isinstance(column.type, UtcDateTime):
            column = type_coerce(column, _WrittenInstant)
        found.append(column.label(f"{prefix}{name}"))
    return found


def stream(connection: Connection, query: Select[Any]) -> Iterator[RowMapping]:
    """The rows of a query, a bounded number of them in memory."""
    yield from connection.execute(query.execution_options(yield_per=_ROWS_AT_ONCE)).mappings()
