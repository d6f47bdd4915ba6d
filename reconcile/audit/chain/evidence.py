"""Reading the audit as evidence: rows as they are, also where somebody has made nonsense of them.

The application's own types refuse what it would never have written (an instant that is none, text that
is no UTF-8). A verification must go on and name such a row, so that here it comes as it is: its digest
is then another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from operator import methodcaller
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Dialect,
    FromClause,
    Select,
    type_coerce,
)
from sqlalchemy.types import UserDefinedType

from reconcile.audit.tables import UtcDateTime

_ROWS_AT_ONCE = 500


#: A row by the names of its columns.
Row = Mapping[str, Any]

#: Where SQLite's text for an instant has a blank, and how long it is: `2026-11-24 12:00:00.000000`.
_BLANK, _LENGTH = 10, 26


class _WrittenInstant(UserDefinedType[Any]):
    """SQLite's text for an instant, in the form in which it is hashed; anything else as it stands there."""

    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:  # noqa: ARG002
        """Without a look at the calendar: what is no instant has the digest of none that was written."""
        return _as_hashed


def _as_hashed(value: Any) -> Any:
    # Another spelling of the same instant is not what reconcile has written either.
    if not isinstance(value, str) or len(value) != _LENGTH or value[_BLANK] != " ":
        return value
    return f"{value[:_BLANK]}T{value[_BLANK + 1 :]}Z"


@contextmanager
def lenient(connection: Connection) -> Iterator[None]:
    """Read text that is not UTF-8, in SQLite, with its faulty bytes replaced."""
    if connection.dialect.name != "sqlite":
        yield
        return
    raw: Any = connection.connection.driver_connection
    # No lambda: it would be called for each text of each row.
    raw.text_factory = methodcaller("decode", "utf-8", "replace")
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


def stream(connection: Connection, query: Select[Any]) -> Iterator[Row]:
    """The rows of a query, a bounded number of them in memory."""
    result = connection.execute(query.execution_options(yield_per=_ROWS_AT_ONCE))
    names = tuple(result.keys())
    for rows in result.partitions():
        for row in rows:
            yield dict(zip(names, row, strict=True))
