"""The weekly job: take out of the audit what is older than RECONCILE_RETENTION."""

from __future__ import annotations

from datetime import timedelta

from reconcile.app.app import App
from reconcile.base import log

_log = log.get_logger(__name__)


def run(app: App) -> int:
    """Prune the audit; 0. Does nothing where everything is kept. Raises AuditUnavailable."""
    from reconcile.audit.log import SqlAuditLog
    from reconcile.audit.process import operator
    from reconcile.audit.prune import prune
    from reconcile.audit.space import give_back

    audit, retention = app.ports.audit, app.settings.retention
    if not retention or not isinstance(audit, SqlAuditLog):
        return 0
    now = app.ports.clock.now()
    before = now - timedelta(seconds=retention)
    done = prune(audit.store, before=before, by=operator(), at=now, stopped=app.stop.is_set)
    space = give_back(audit.store)
    if done.runs or done.people:
        _log.info(
            "Audit pruned",
            before=before.isoformat(),
            runs=done.runs,
            attempts=done.attempts,
            people=done.people,
            bytes_given_back=space.given_back,
            seal=str(done.seal) if done.seal is not None else None,
        )
    return 0
