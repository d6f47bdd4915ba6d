"""The orders of the backlog, each with what the audit remembers of it: what every teller counts."""

from __future__ import annotations

from collections.abc import Iterator

from reconcile.base.batched import batched
from reconcile.domain.model import NO_HISTORY, AnyEnrollment, History
from reconcile.run.ports import AuditLog
from reconcile.run.source import EnrollmentSource, Selection


def unsynced(
    source: EnrollmentSource, audit: AuditLog, *, page_size: int
) -> Iterator[tuple[AnyEnrollment, History]]:
    """Stream them, page by page, so that memory stays the same whatever the backlog. Reads only.

    Raises StoreUnavailable and AuditUnavailable.
    """
    for page in batched(source.scan(Selection()), page_size):
        histories = audit.history([item.id for item in page])
        yield from ((item, histories.get(item.id, NO_HISTORY)) for item in page)
