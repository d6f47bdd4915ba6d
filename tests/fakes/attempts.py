"""One attempt in an audit log, begun and ended by itself: for tests that ask for what comes after."""

from __future__ import annotations

from datetime import UTC, datetime

from reconcile.domain.model import Verdict
from reconcile.run.ports import AuditLog, End, Intent

#: No attempt began since then: nothing locks.
_NEVER = datetime(9999, 1, 1, tzinfo=UTC)


def begin(log: AuditLog, intent: Intent) -> int:
    """Commit the intent, whoever else is at it; the attempt's id."""
    (attempt_id,) = log.begin_all([intent], held_since=_NEVER)
    assert attempt_id is not None
    return attempt_id


def finish(
    log: AuditLog,
    attempt_id: int,
    verdict: Verdict,
    *,
    run_id: str,
    at: datetime,
    http_status: int | None = None,
) -> None:
    """Give the attempt its end; one that has its end keeps it."""
    end = End(attempt_id=attempt_id, verdict=verdict, at=at, http_status=http_status)
    log.finish_all([end], run_id=run_id)
