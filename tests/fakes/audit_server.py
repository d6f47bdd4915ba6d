"""The audit log on a PostgreSQL server, where the tests are given one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, make_url, text

from reconcile.audit.log import SqlAuditLog, open_audit

#: RECONCILE_TEST_POSTGRES_URL names a server on which databases may be made.
SERVER = pytest.mark.skipif(
    "RECONCILE_TEST_POSTGRES_URL" not in os.environ,
    reason="RECONCILE_TEST_POSTGRES_URL names no PostgreSQL server",
)


@contextmanager
def audit_on_server() -> Iterator[SqlAuditLog]:
    """A real audit log in a database of its own, which is gone afterwards."""
    server = make_url(os.environ["RECONCILE_TEST_POSTGRES_URL"]).set(drivername="postgresql+psycopg")
    database = f"audit_{uuid4().hex}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {database}"))
    try:
        with open_audit(server.set(database=database).render_as_string(hide_password=False)) as log:
            yield log
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {database}"))
        engine.dispose()
