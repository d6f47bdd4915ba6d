"""Orders that are paid and were never marked, less those that a person has asked to leave alone."""

from __future__ import annotations

from datetime import datetime

from reconcile.base.errors import AuditUnavailable
from reconcile.domain.unmarked import Unmarked
from reconcile.run.ports import AuditLog
from reconcile.run.source import EnrollmentSource


def find_unmarked(source: EnrollmentSource, audit: AuditLog, now: datetime) -> Unmarked:
    """What there is to tell of them. Reads only. Raises StoreUnavailable.

    Refunded, or found to be no payment: nothing in the order will ever say so, `reconcile ignore` does.
    While the audit is away nobody knows of that, and all of them are told.
    """
    try:
        left_alone = {each.enrollment_id for each in audit.ignored(now=now)}
    except AuditUnavailable:
        left_alone = set()
    return source.unmarked(now, without=left_alone)
