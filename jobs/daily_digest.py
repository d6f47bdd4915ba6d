"""A short text for people: what was done since the last working day, and who needs a person."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from reconcile.app.app import App
from reconcile.base.errors import ReconcileError
from reconcile.domain.model import Outcome
from reconcile.reports.digest import Digest, last_working_day
from reconcile.reports.period import past
from reconcile.run.summary import ExitCode
from reconcile.run.unmarked import find_unmarked
from reconcile.story.unsynced import unsynced


def run(app: App) -> int:
    """Tell the digest by `app.notify`; 0. Asks MongoDB and the audit, not the LMS; writes nothing.

    Where MongoDB cannot be read the digest says so, and what it raised is raised after that.
    Raises StoreUnavailable, ConfigurationError and AuditUnavailable.
    """
    until = app.ports.clock.now().astimezone(ZoneInfo(app.settings.timezone))
    digest = Digest(since=last_working_day(until), until=until)
    with app.reading() as connection:
        if connection is not None:
            digest.past = past(connection, since=digest.since, until=digest.until)
    failure: ReconcileError | None = None
    try:
        _count_backlog(app, digest)
    except ReconcileError as error:
        failure, digest.unknown = error, str(error)
    app.notify(title=digest.title, body=digest.body)
    if failure is not None:
        raise failure
    return ExitCode.CONVERGED


def _count_backlog(app: App, digest: Digest) -> None:
    """The backlog as it is now, with what the audit last said of it."""
    now = app.ports.clock.now()
    digest.unmarked = find_unmarked(app.ports.source, app.ports.audit, now)
    digest.queue = app.ports.source.shop_queue(now)
    for item, history in unsynced(app.ports.source, app.ports.audit, page_size=app.settings.page_size):
        digest.backlog.add(item)
        if history.last_outcome is Outcome.FAILED:
            digest.failed[history.last_reason] += 1
        elif history.last_outcome is Outcome.WAITING:
            digest.waiting[history.last_reason] += 1
