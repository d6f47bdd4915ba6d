"""The audit log on a real SQLite file and the one in memory keep the same contract.

So does PostgreSQL, where RECONCILE_TEST_POSTGRES_URL names a server on which databases may be made.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, make_url, text

pytest.register_assert_rewrite("tests.contract.audit_suite")

from reconcile.adapters.audit import open_audit  # noqa: E402
from reconcile.ports import AuditLog  # noqa: E402
from tests.contract.audit_suite import AuditLogContract, dead_process  # noqa: E402
from tests.fakes.audit import InMemoryAuditLog  # noqa: E402
from tests.fakes.audit_file import new_audit  # noqa: E402

__all__ = ["dead_process"]


class TestSqlAuditLog(AuditLogContract):
    @pytest.fixture
    def log(self, tmp_path: Path) -> Iterator[AuditLog]:
        with new_audit(tmp_path) as log:
            yield log


if "RECONCILE_TEST_POSTGRES_URL" in os.environ:

    class TestSqlAuditLogOnPostgres(AuditLogContract):
        @pytest.fixture
        def log(self) -> Iterator[AuditLog]:
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


class TestInMemoryAuditLog(AuditLogContract):
    @pytest.fixture
    def log(self) -> AuditLog:
        return InMemoryAuditLog()
