"""Every failure of the audit database as AuditUnavailable with a remedy: mapped here and nowhere else.

Messages name the place (a path, or host and database), never a user, a password or a whole address.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from reconcile.base.errors import AuditUnavailable
from reconcile.base.redaction import excerpt

_HINT_FULL = "free some space where the audit database lies (or prune it), then run again"
_HINT_LOCKED = "another program has been writing to it for too long: find it (fuser, lsof), then run again"
_HINT_PERMISSION = (
    "give the user that runs reconcile the right to read and write the file and its folder"
    " (SQLite keeps two more files beside it)"
)
_HINT_CORRUPT = (
    "put the latest backup in its place, or move the file away to begin with an empty one;"
    " check RECONCILE_AUDIT_URL: it may name another file"
)
_HINT_SCHEMA = "run `reconcile db upgrade`, or check that RECONCILE_AUDIT_URL names the right database"
_HINT_DISK = "check the disk that the audit database lies on; a network file system will not do"
_HINT_SERVER = "check that the database server runs, and host, user and database in RECONCILE_AUDIT_URL"
_HINT_LOGIN = "check user, password and database in RECONCILE_AUDIT_URL"
_HINT_OTHER = "look at the database itself; nothing was sent to the LMS without being recorded"
HINT_GONE = (
    "put the file back (or move the new one away), then run again; the next run looks at everything anew"
)
HINT_FOLDER = "create the folder, or let RECONCILE_AUDIT_URL name another place"

#: By SQLite's primary result code (https://www.sqlite.org/rescode.html).
_SQLITE = {
    sqlite3.SQLITE_ERROR: ("refused a statement", _HINT_OTHER),
    sqlite3.SQLITE_PERM: ("may not be opened", _HINT_PERMISSION),
    sqlite3.SQLITE_BUSY: ("is locked by another program", _HINT_LOCKED),
    sqlite3.SQLITE_LOCKED: ("is locked by another program", _HINT_LOCKED),
    sqlite3.SQLITE_READONLY: ("is read-only", _HINT_PERMISSION),
    sqlite3.SQLITE_IOERR: ("cannot be read or written: the disk reports an error", _HINT_DISK),
    sqlite3.SQLITE_CORRUPT: ("is damaged", _HINT_CORRUPT),
    sqlite3.SQLITE_FULL: ("cannot grow: the disk is full", _HINT_FULL),
    sqlite3.SQLITE_CANTOPEN: ("cannot be opened", _HINT_PERMISSION),
    sqlite3.SQLITE_AUTH: ("may not be opened", _HINT_PERMISSION),
    sqlite3.SQLITE_NOTADB: ("is not an SQLite database", _HINT_CORRUPT),
}

#: By PostgreSQL's SQLSTATE or its class, the most specific first.
_POSTGRESQL = (
    ("53100", "cannot grow: the disk is full", _HINT_FULL),
    ("42P01", "lacks a table", _HINT_SCHEMA),
    ("42703", "lacks a column", _HINT_SCHEMA),
    ("42501", "may not be written by this user", _HINT_LOGIN),
    ("25006", "is read-only", "let RECONCILE_AUDIT_URL name the primary server"),
    ("55P03", "is locked by another program", _HINT_LOCKED),
    ("40", "is locked by another program", _HINT_LOCKED),
    ("28", "does not let this user in", _HINT_LOGIN),
    ("3D", "does not exist on this server", _HINT_LOGIN),
    ("08", "cannot be reached", _HINT_SERVER),
    ("53", "is overloaded", _HINT_SERVER),
    ("57", "is being shut down", _HINT_SERVER),
)

_OS_ERRORS = {
    errno.ENOENT: ("its folder does not exist", HINT_FOLDER),
    errno.ENOTDIR: ("its folder is not a folder", HINT_FOLDER),
    errno.EACCES: ("permission denied", _HINT_PERMISSION),
    errno.EPERM: ("permission denied", _HINT_PERMISSION),
    errno.EROFS: ("the file system is read-only", _HINT_PERMISSION),
    errno.ENOSPC: ("the disk is full", _HINT_FULL),
    errno.EDQUOT: ("the disk quota is used up", _HINT_FULL),
}


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the audit database is, in words that may be shown."""

    name: str
    secret: str | None = None  #: the URL's password: removed from whatever a driver says


@contextmanager
def mapped(place: Place) -> Iterator[None]:
    """Let only AuditUnavailable leave the block where the database or its driver fails."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, sqlite3.Warning) as error:
        raise explain(error, place) from error


def explain(error: BaseException, place: Place) -> AuditUnavailable:
    """The AuditUnavailable that says what `error` means and what a person can do."""
    cause = getattr(error, "orig", None) or error
    what, hint = _meaning(cause)
    words = _words(cause, place)
    return AuditUnavailable(f"the audit database {place.name} {what} ({words})", hint=hint)


def explain_os_error(error: OSError, place: Place) -> AuditUnavailable:
    """The same for a file that cannot be created or looked at."""
    what, hint = _OS_ERRORS.get(error.errno or 0, (error.strerror or type(error).__name__, _HINT_DISK))
    return AuditUnavailable(f"the audit database {place.name} cannot be opened: {what}", hint=hint)


def _meaning(cause: BaseException) -> tuple[str, str]:
    if isinstance(cause, PoolTimeout):
        return "gives no connection", _HINT_LOCKED
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        if "no such table" in str(cause) or "no such column" in str(cause):
            return "lacks a table or a column", _HINT_SCHEMA
        return _SQLITE.get(code & 0xFF, ("failed", _HINT_OTHER))
    state = getattr(cause, "sqlstate", None)
    if state:
        for prefix, what, hint in _POSTGRESQL:
            if state.startswith(prefix):
                return what, hint
        return "refused a statement", _HINT_OTHER
    if type(cause).__module__.startswith("psycopg"):
        # Without a SQLSTATE no server has answered.
        return "cannot be reached", _HINT_SERVER
    return "failed", _HINT_OTHER


def _words(cause: BaseException, place: Place) -> str:
    lines = str(cause).strip().splitlines()
    words = lines[0] if lines else type(cause).__name__
    if place.secret:
        words = words.replace(place.secret, "***")
    return excerpt(words)
