"""The open audit database: file, connections and transactions. Knows no table.

SQLite: the file is private (0600) from its first moment, in WAL mode so that reports read while a
run writes, and synced at every commit, because an intent that a power cut forgets is a second
enrollment. A file that was deleted or replaced meanwhile is noticed at each transaction: on POSIX one
can go on writing into a file that has no name any more, and nobody would ever read it.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, QueuePool, Table, create_engine, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from reconcile.audit.errors import HINT_GONE, Place, explain_os_error, mapped
from reconcile.base.errors import AuditUnavailable, ConfigurationError

_READER = "reconcile_reader"
_HINT_URL = (
    "for example RECONCILE_AUDIT_URL=sqlite:////var/lib/reconcile/audit.db"
    " or postgresql://user:password@host/database"
)


@dataclass(frozen=True, kw_only=True)
class Store:
    """An audit database that can be read and written, wherever it is."""

    engine: Engine
    place: Place
    writes: AbstractContextManager[Any]  #: held during a write: one at a time, fairly, where that is the rule
    file: Path | None = None
    identity: tuple[int, int] | None = None  #: device and inode of the file that was opened

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection in a transaction that sees one moment; writers are not held up.

        Raises AuditUnavailable for whatever the database does in the block.
        """
        self.check()
        with mapped(self.place), self.engine.connect() as connection:
            connection.execution_options(**{_READER: True})
            if connection.dialect.name == "postgresql":
                # By default each statement would see a moment of its own.
                connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A connection in a transaction that is committed, durably, when the block ends well.

        Raises AuditUnavailable, also where the file is no longer the one that was opened: before the
        block, or after the commit (which then counts for nothing).
        """
        with self.writes:
            self.check()
            with mapped(self.place), self.engine.begin() as connection:
                yield connection
            self.check()

    def check(self) -> None:
        """Return if the file is still the one that was opened. Raises AuditUnavailable."""
        if self.file is None:
            return
        try:
            found = self.file.stat()
        except FileNotFoundError:
            raise AuditUnavailable(
                f"the audit database {self.place.name} was deleted while in use", hint=HINT_GONE
            ) from None
        except OSError as error:
            raise explain_os_error(error, self.place) from error
        if (found.st_dev, found.st_ino) != self.identity:
            raise AuditUnavailable(
                f"the audit database {self.place.name} was replaced by another file while in use",
                hint=HINT_GONE,
            )

    def close(self) -> None:
        """Close all connections. May be repeated."""
        self.engine.dispose()


def connect(url: str, *, create: bool, busy_timeout: float) -> Store | None:
    """Open the database at `url`; None where `create` is False and there is no such file.

    With `create=False` nothing can be written through it, not even the file itself. Raises
    ConfigurationError for a URL that cannot be used, AuditUnavailable for a place that cannot.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        return _connect_file(parsed, create=create, busy_timeout=busy_timeout)
    return _connect_server(parsed, create=create, busy_timeout=busy_timeout)


def _parse(url: str) -> URL:
    # The URL itself is not repeated in what is raised: it may hold a password.
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigurationError(["RECONCILE_AUDIT_URL is not a database URL"], hint=_HINT_URL) from None
    backend = parsed.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise ConfigurationError(
            [f"RECONCILE_AUDIT_URL: {backend} is not supported, SQLite and PostgreSQL are"], hint=_HINT_URL
        )
    database = parsed.database or ""
    if backend == "sqlite" and (not database or database.startswith((":memory:", "file:"))):
        raise ConfigurationError(
            ["RECONCILE_AUDIT_URL must name a file: an audit in memory is forgotten"], hint=_HINT_URL
        )
    return parsed.set(drivername="postgresql+psycopg") if parsed.drivername == "postgresql" else parsed


def _connect_file(url: URL, *, create: bool, busy_timeout: float) -> Store | None:
    path = Path(url.database or "").absolute()
    place = Place(name=str(path))
    try:
        if create:
            _create_private(path)
        found = path.stat()
    except FileNotFoundError as error:
        if not create:
            return None
        raise explain_os_error(error, place) from error
    except OSError as error:
        raise explain_os_error(error, place) from error
    if not stat.S_ISREG(found.st_mode):
        raise AuditUnavailable(f"the audit database {place.name} is not a file", hint=_HINT_URL)
    engine = create_engine(
        "sqlite+pysqlite://",
        creator=_opener(path, read_only=not create, busy_timeout=busy_timeout),
        poolclass=QueuePool,
        hide_parameters=True,  # else a traceback shows a row's values
    )
    event.listen(engine, "begin", _begin)
    store = Store(
        engine=engine,
        place=place,
        # Threads that wait here take turns; those that wait inside SQLite poll, and may starve.
        writes=threading.Lock(),
        file=path,
        identity=(found.st_dev, found.st_ino),
    )
    if create:
        _use_wal(store, patience=busy_timeout)
    return store


def _create_private(path: Path) -> None:
    """Create the file for its owner only; one that exists stays as it is. Raises OSError."""
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    os.close(descriptor)


def _opener(path: Path, *, read_only: bool, busy_timeout: float) -> Callable[[], sqlite3.Connection]:
    # mode=rw: a connection never makes a file, so that a deleted one is not replaced by an empty one.
    # Readers use it too (SQLite may have to finish what a crashed writer left) and are held to
    # reading by query_only.
    uri = f"{path.as_uri()}?mode=rw"

    def opened() -> sqlite3.Connection:
        connection = sqlite3.connect(
            uri, uri=True, timeout=busy_timeout, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = FULL")
            # What is deleted is overwritten: an address that was forgotten must not lie in a free page.
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute(f"PRAGMA query_only = {'ON' if read_only else 'OFF'}")
        except BaseException:
            connection.close()
            raise
        return connection

    return opened


def _begin(connection: Connection) -> None:
    # A transaction that reads first and writes later may be refused half-way: writers say so at once.
    reader = connection.get_execution_options().get(_READER)
    connection.exec_driver_sql("BEGIN" if reader else "BEGIN IMMEDIATE")


def _use_wal(store: Store, *, patience: float) -> None:
    """Switch the file to WAL, which stays; several processes may do so at once."""
    deadline = time.monotonic() + patience
    while True:
        try:
            with mapped(store.place), closing(store.engine.raw_connection()) as connection:
                cursor = connection.cursor()
                if cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                    # Takes effect in a new file only; there, `db prune` can give space back bit by bit.
                    cursor.execute("PRAGMA auto_vacuum = INCREMENTAL")
                    cursor.execute("PRAGMA journal_mode = WAL")
                cursor.close()
                return
        except AuditUnavailable as error:
            # This switch is refused at once, without SQLite's own waiting, while others are about.
            code = getattr(error.__cause__, "sqlite_errorcode", 0)
            if code & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                store.close()
                raise
            time.sleep(0.02)


def _connect_server(url: URL, *, create: bool, busy_timeout: float) -> Store:
    port = f":{url.port}" if url.port else ""
    place = Place(
        name=f"{url.database or ''} on {url.host or 'this host'}{port}",
        secret=str(url.password) if url.password else None,
    )
    try:
        engine = create_engine(url, pool_pre_ping=True, hide_parameters=True)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            [f"RECONCILE_AUDIT_URL needs the Python package {error.name}"],
            hint="pip install 'frappe-reconcile[postgres]'",
        ) from None
    except (ArgumentError, NoSuchModuleError):
        raise ConfigurationError(["RECONCILE_AUDIT_URL is not a usable URL"], hint=_HINT_URL) from None

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = {int(busy_timeout * 1000)}")
            if not create:
                cursor.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
        connection.commit()

    return Store(engine=engine, place=place, writes=nullcontext())


def insert_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert these rows, at least one, but those of which the table has one already."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(dialect.insert(table).on_conflict_do_nothing(), rows)
