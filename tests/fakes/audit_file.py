"""An empty audit database as bytes: made once per process, because Alembic takes its time."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from reconcile.audit.log import SqlAuditLog, open_audit


def new_audit(folder: Path, name: str = "audit.db") -> SqlAuditLog:
    """A real audit log on a new file; the caller closes it."""
    path = folder / name
    path.write_bytes(_empty_database())
    return open_audit(f"sqlite:///{path}")


@functools.cache
def _empty_database() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        open_audit(f"sqlite:///{path}").close()
        return path.read_bytes()
