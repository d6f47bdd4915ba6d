"""The audit log on a real SQLite file and the one in memory keep the same contract.

So does PostgreSQL, where RECONCILE_TEST_POSTGRES_URL names a server on which databases may be made.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

for suite in ("audit_suite", "audit_group_suite", "audit_rivals_suite"):
    pytest.register_assert_rewrite(f"tests.contract.{suite}")

from reconcile.run.ports import AuditLog  # noqa: E402
from tests.contract.audit_group_suite import AuditGroupContract  # noqa: E402
from tests.contract.audit_rivals_suite import AuditRivalsContract  # noqa: E402
from tests.contract.audit_suite import AuditLogContract, dead_process  # noqa: E402
from tests.fakes.audit import InMemoryAuditLog  # noqa: E402
from tests.fakes.audit_file import new_audit  # noqa: E402
from tests.fakes.audit_server import SERVER, audit_on_server  # noqa: E402

__all__ = ["dead_process"]


class TestSqlAuditLog(AuditLogContract, AuditGroupContract, AuditRivalsContract):
    @pytest.fixture
    def log(self, tmp_path: Path) -> Iterator[AuditLog]:
        with new_audit(tmp_path) as log:
            yield log


@SERVER
class TestSqlAuditLogOnPostgres(AuditLogContract, AuditGroupContract, AuditRivalsContract):
    @pytest.fixture
    def log(self) -> Iterator[AuditLog]:
        with audit_on_server() as log:
            yield log


class TestInMemoryAuditLog(AuditLogContract, AuditGroupContract, AuditRivalsContract):
    @pytest.fixture
    def log(self) -> AuditLog:
        return InMemoryAuditLog()
