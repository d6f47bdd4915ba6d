"""What deleted rows leave behind in an SQLite file: free pages, and bytes in places nobody reads.

A PostgreSQL server looks after its own files; nothing here does anything to it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from reconcile.audit.errors import mapped
from reconcile.audit.store import Store
from reconcile.base.errors import AuditUnavailable

#: Pages that are given back in one transaction: a run that waits for its turn waits milliseconds.
_PAGES_AT_ONCE = 2000
_INCREMENTAL = 2


@dataclass(frozen=True, kw_only=True)
class Space:
    """Bytes that went back to the file system, and those that are free inside the file."""

    given_back: int = 0
    reusable: int = 0


def give_back(store: Store) -> Space:
    """Shrink the file by its free pages, bit by bit, while others go on writing.

    A file from before 0004 cannot be shrunk in this way: what is free there is used again.
    """
    if store.file is None:
        return Space()
    with _outside_transactions(store) as cursor:
        page, free = _number(cursor, "page_size"), _number(cursor, "freelist_count")
        if _number(cursor, "auto_vacuum") != _INCREMENTAL:
            return Space(reusable=free * page)
        left = free
        while left:
            with store.writes:
                cursor.execute(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})").fetchall()
            before, left = left, _number(cursor, "freelist_count")
            if left >= before:
                break
        cursor.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        return Space(given_back=(free - left) * page, reusable=left * page)


def rewrite(store: Store, *, patience: float) -> None:
    """Write the file anew without anything that was deleted, and empty its write-ahead log.

    Writers wait meanwhile. May be repeated. Raises AuditUnavailable, also where somebody has been
    reading an old state for longer than `patience` (seconds): its bytes are still in the log then.
    """
    if store.file is None:
        return
    with _outside_transactions(store) as cursor, store.writes:
        cursor.execute("VACUUM")
        usual = _number(cursor, "busy_timeout")
        cursor.execute(f"PRAGMA busy_timeout = {int(patience * 1000)}")
        try:
            ((busy, *_),) = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {usual}")
    if busy:
        raise AuditUnavailable(
            f"the write-ahead log of {store.place.name} could not be emptied: somebody is reading",
            hint="wait until reports and backups that read the audit are done, then repeat it",
        )


@contextmanager
def _outside_transactions(store: Store) -> Iterator[sqlite3.Cursor]:
    store.check()
    with mapped(store.place):
        raw = store.engine.raw_connection()
        try:
            connection = raw.driver_connection
            assert isinstance(connection, sqlite3.Connection)  # noqa: S101  # only a file comes here
            with closing(connection.cursor()) as cursor:
                yield cursor
        finally:
            raw.close()
    store.check()


def _number(cursor: sqlite3.Cursor, pragma: str) -> int:
    ((value,),) = cursor.execute(f"PRAGMA {pragma}").fetchall()
    return int(value)
