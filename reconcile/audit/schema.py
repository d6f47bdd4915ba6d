"""How an audit database comes to have its tables: which revision it is at, and Alembic where needed.

Alembic takes 0.8 s to import and is only there for a database that is new or old; the revision is
read without it. The upgrade runs under the lock that every writer takes, and looks again inside it:
eight processes that start at once on a new file make one schema.
"""

from __future__ import annotations

import threading
from pathlib import Path

from sqlalchemy import Connection, inspect, select, text

from reconcile.audit.errors import Place
from reconcile.audit.store import Store, connect
from reconcile.audit.tables import HEAD_REVISION, SECRET_KEY, meta
from reconcile.base.errors import AuditUnavailable

BUSY_TIMEOUT = 30.0
#: PostgreSQL's advisory locks are named by numbers; this one is "reconcil" in ASCII.
_LOCK_NUMBER = 0x7265636F6E63696C
#: Alembic's environment is one per process.
_alembic_lock = threading.Lock()


def upgrade(url: str, *, busy_timeout: float = BUSY_TIMEOUT) -> tuple[str | None, str]:
    """Create the database at `url` or bring it to this version's schema; revisions before and after.

    May be repeated, and run by several processes at once. Raises AuditUnavailable, ConfigurationError.
    """
    store = connect(url, create=True, busy_timeout=busy_timeout)
    assert store is not None  # noqa: S101  # `create=True` always returns one; this is for mypy
    try:
        return upgrade_store(store)
    finally:
        store.close()


def current(url: str, *, busy_timeout: float = BUSY_TIMEOUT) -> str | None:
    """The revision of the database at `url`; None where there is none yet. Creates nothing.

    Raises AuditUnavailable, ConfigurationError.
    """
    store = connect(url, create=False, busy_timeout=busy_timeout)
    if store is None:
        return None
    try:
        with store.reading() as connection:
            return read_revision(connection)
    finally:
        store.close()


def open_store(url: str, *, create: bool, busy_timeout: float = BUSY_TIMEOUT) -> Store | None:
    """An audit database with this version's tables.

    `create=True` makes or upgrades it. `create=False` changes nothing: None where there is no audit
    yet, AuditUnavailable where its schema is another one. Raises AuditUnavailable, ConfigurationError.
    """
    store = connect(url, create=create, busy_timeout=busy_timeout)
    if store is None:
        return None
    try:
        usable = _has_schema(store, create=create)
    except BaseException:
        store.close()
        raise
    if usable:
        return store
    store.close()
    return None


def _has_schema(store: Store, *, create: bool) -> bool:
    """True where the tables are there, made now or before; False where there are none yet."""
    with store.reading() as connection:
        revision = read_revision(connection)
    if revision == HEAD_REVISION:
        return True
    if create:
        upgrade_store(store)
        return True
    if revision is None:
        return False
    _require_known(revision, store.place)
    raise AuditUnavailable(
        f"the audit database {store.place.name} has schema {revision}, this version needs {HEAD_REVISION}",
        hint="run `reconcile db upgrade`",
    )


def read_revision(connection: Connection) -> str | None:
    """The schema's revision as Alembic wrote it; None for a database without one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
    return ",".join(sorted(found)) or None


def read_secret(store: Store) -> bytes:
    """The secret of this database's keyed hashes. Raises AuditUnavailable."""
    with store.reading() as connection:
        value = connection.execute(select(meta.c.value).where(meta.c.key == SECRET_KEY)).scalar()
    try:
        secret = bytes.fromhex(value or "")
    except ValueError:
        secret = b""
    if not secret:
        raise AuditUnavailable(
            f"the audit database {store.place.name} has lost the secret of its keys",
            hint="put the latest backup in its place: without it nobody can be found by address",
        )
    return secret


def upgrade_store(store: Store) -> tuple[str | None, str]:
    """Bring an open database to this version's schema; revisions before and after."""
    with store.writing() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK_NUMBER})
        found = read_revision(connection)
        if found != HEAD_REVISION:
            if found is not None:
                _require_known(found, store.place)
            _migrate(connection, store.place)
    return found, HEAD_REVISION


def migrations_folder() -> Path:
    """Where the migrations are: inside the package in a wheel, beside it in a checkout.

    Found by place and not by import: `reconcile.migrations` is a name only once it is installed.
    """
    package = Path(__file__).resolve().parents[1]
    folders = (package / "migrations", package.parent / "migrations")
    for folder in folders:
        if (folder / "env.py").is_file():
            return folder
    raise AuditUnavailable(
        f"this installation of reconcile has no migrations in {folders[0]}", hint="install it again"
    )


def _require_known(revision: str, place: Place) -> None:
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(migrations_folder()))
    if revision not in {script.revision for script in scripts.walk_revisions()}:
        raise AuditUnavailable(
            f"the audit database {place.name} was written by a newer reconcile (schema {revision};"
            f" this one knows {HEAD_REVISION})",
            hint="upgrade reconcile, or give this one an audit database of its own",
        )


def _migrate(connection: Connection, place: Place) -> None:
    """Run Alembic inside the caller's transaction."""
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    # A percent sign in the path would be read as a reference by the configuration's parser.
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        with _alembic_lock:
            command.upgrade(config, "head")
    except CommandError as error:
        raise AuditUnavailable(
            f"the audit database {place.name} cannot be upgraded: {error}",
            hint="put the latest backup in its place, or run `reconcile db upgrade` to see more",
        ) from error
