"""Every value of every row of the audit: changed, taken away, removed, copied by hand, and named."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from reconcile.audit.log import SqlAuditLog
from tests.fakes.audit_history import original, tampered, verified

TABLES = {
    "attempts": ("attempt_id",),
    "runs": ("run_id",),
    "links": ("run_id", "seq"),
    "seals": ("seal_number",),
    "people": ("person_key",),
    "meta": ("key",),
}


def _rows(table: str) -> list[dict[str, object]]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(_without_wal(original()))
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]


def _without_wal(content: bytes) -> bytes:
    """The file as one in memory can be: its header says "no write-ahead log"."""
    return content[:18] + b"\x01\x01" + content[20:]


def _sql(value: object) -> str:
    return "NULL" if value is None else str(value) if isinstance(value, int) else f"'{value}'"


def _this(table: str, row: dict[str, object]) -> str:
    return " AND ".join(f"{name} = {_sql(row[name])}" for name in TABLES[table])


def _other(value: object, column: str) -> str:
    """SQL for a value that is another one, of the same kind."""
    if column.endswith("_at"):
        return "'2020-01-01 00:00:00.000000'"
    if value is None:
        return "4711"
    if isinstance(value, int):
        return str(value + 100)
    if column in ("link", "seal", "digest", "last_link"):
        return f"'{'0' * 63}1'"
    return f"'{value}x'"


def _kinds(table: str) -> list[dict[str, object]]:
    """One row of each kind that there is."""
    if table in ("people", "meta"):
        return _rows(table)
    telling = ("kind", "status", "action", "outcome", "pruned_by", "lease_token")
    kinds = {}
    for row in _rows(table):
        kinds[(*(row.get(name) for name in telling), row.get("email_masked") is None)] = row
    return list(kinds.values())


#: The heartbeat of a run that is under way changes all the time and is proven by nothing.
_FREE = {("runs", "running", "heartbeat_at")}
#: What MongoDB said of the shop at that moment proves nothing about what we did.
_SAID_BY_THE_SHOP = {"shop_tries", "unmarked"}
_SECRET = "person_secret"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SqlAuditLog, sqlite3.Connection]]:
    """A copy that is put right again after each change, and the way to change it."""
    folder = tmp_path_factory.mktemp("copy")
    with tampered(original(), folder) as log, closing(sqlite3.connect(folder / "copy.db")) as connection:
        connection.isolation_level = None
        yield log, connection


def _require_named(log: SqlAuditLog, table: str, row: dict[str, object]) -> None:
    """A finding names the row: its attempt, its run, its seal, or the person's key."""
    result = verified(log)
    assert not result.is_intact
    assert result.total == len(result.findings)
    named = {
        *((finding.attempt_id for finding in result.findings) if table == "attempts" else ()),
        *((finding.run_id for finding in result.findings) if table in ("runs", "links") else ()),
        *((finding.seal_number for finding in result.findings) if table == "seals" else ()),
    }
    texts = "\n".join(finding.text for finding in result.findings)
    if table == "people":
        assert str(row["person_key"]) in texts
    elif table == "meta":
        assert {finding.table for finding in result.findings} >= {"meta"} or "missing" in texts
    else:
        # A link that was moved to another run is named by its attempt.
        assert row[TABLES[table][0]] in named or f"(attempt {row.get('attempt_id')})" in texts, texts


@pytest.mark.parametrize("table", TABLES)
def test_a_changed_value_is_found(table: str, copy: tuple[SqlAuditLog, sqlite3.Connection]) -> None:
    """Each column of each kind of row, for another value and for none."""
    log, connection = copy
    for row in _kinds(table):
        for column, value in row.items():
            is_free = column in _SAID_BY_THE_SHOP or (table, row.get("run_id"), column) in _FREE
            if is_free or row.get("key") == _SECRET:
                continue
            _change(connection, table, row, column, _other(value, column))
            _require_named(log, table, row)
            _change_back(connection, table, row, column, _other(value, column))
            if value is not None and _may_be_null(connection, table, column):
                _change(connection, table, row, column, "NULL")
                _require_named(log, table, row)
                _change_back(connection, table, row, column, "NULL")
    assert verified(log).is_intact


def _change(
    connection: sqlite3.Connection, table: str, row: dict[str, object], column: str, value: str
) -> None:
    connection.execute(f"UPDATE {table} SET {column} = {value} WHERE {_this(table, row)}")
    assert connection.execute("SELECT changes()").fetchone() == (1,)


def _change_back(
    connection: sqlite3.Connection, table: str, row: dict[str, object], column: str, value: str
) -> None:
    this = " AND ".join(f"{name} = {value if name == column else _sql(row[name])}" for name in TABLES[table])
    connection.execute(f"UPDATE {table} SET {column} = {_sql(row[column])} WHERE {this}")


def _may_be_null(connection: sqlite3.Connection, table: str, column: str) -> bool:
    query = f"SELECT \"notnull\" OR pk FROM pragma_table_info('{table}') WHERE name = '{column}'"
    return connection.execute(query).fetchone() == (0,)


@pytest.mark.parametrize("table", TABLES)
def test_a_removed_row_is_found(table: str, copy: tuple[SqlAuditLog, sqlite3.Connection]) -> None:
    """Each row there is."""
    log, connection = copy
    for row in _rows(table):
        if row.get("key") != _SECRET:
            connection.execute(f"DELETE FROM {table} WHERE {_this(table, row)}")
            _require_named(log, table, row)
            _insert(connection, table, row)
    assert verified(log).is_intact


def _insert(connection: sqlite3.Connection, table: str, row: dict[str, object]) -> None:
    connection.execute(f"INSERT INTO {table} VALUES ({', '.join(_sql(value) for value in row.values())})")


@pytest.mark.parametrize("table", [table for table in TABLES if table != "meta"])
def test_an_inserted_row_is_found(table: str, copy: tuple[SqlAuditLog, sqlite3.Connection]) -> None:
    """A copy of each row, under a key of its own."""
    log, connection = copy
    key = TABLES[table][-1]
    for row in _rows(table):
        value = row[key]
        new = {**row, key: value + 1000 if isinstance(value, int) else f"{value}x"}
        _insert(connection, table, new)
        _require_named(log, table, new)
        connection.execute(f"DELETE FROM {table} WHERE {_this(table, new)}")
    assert verified(log).is_intact
