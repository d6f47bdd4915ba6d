"""The audit database: schema, right to write, integrity, size, and what it knows of runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import make_url, text

from reconcile.audit import schema
from reconcile.audit.log import SqlAuditLog, open_audit
from reconcile.audit.tables import HEAD_REVISION
from reconcile.base.errors import ConfigurationError, ReconcileError
from reconcile.diagnosis.checks import Check, ok, problem, warning
from reconcile.run.summary import ExitCode
from reconcile.settings import Settings
from reconcile.story.runs import recent_runs

_AREA = "audit"


def audit_checks(settings: Settings) -> Iterator[Check]:
    """Everything about the audit; makes and changes nothing."""
    url = settings.audit_url.get_secret_value()
    try:
        revision = schema.current(url)
        if revision is None:
            yield _can_be_made(url)
            return
        if revision != HEAD_REVISION:
            yield warning(_AREA, "schema", f"{revision}, not {HEAD_REVISION}", "run `reconcile db upgrade`")
            return
        audit = open_audit(url, create=False)
        if audit is None:
            return
        with closing(audit):
            yield ok(_AREA, "schema", revision)
            yield from _contents(audit, url)
    except ConfigurationError as error:
        yield problem(_AREA, "address", "; ".join(error.problems), error.hint)
    except ReconcileError as error:
        yield problem(_AREA, "usable", str(error), error.hint, code=ExitCode.ABORTED)


def _can_be_made(url: str) -> Check:
    path = _file(url)
    if path is not None and not os.access(path.parent, os.W_OK):
        remedy = "create the folder, give the right to write there, or set RECONCILE_AUDIT_URL"
        return problem(_AREA, "schema", f"cannot be made in {path.parent}", remedy, code=ExitCode.ABORTED)
    return warning(
        _AREA, "schema", "there is no audit database yet", "run `reconcile init`, or the first run makes it"
    )


def _contents(audit: SqlAuditLog, url: str) -> Iterator[Check]:
    path = _file(url)
    with audit.reading() as connection:
        if path is not None:
            if not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
                remedy = "give the right to write the file and its folder"
                yield problem(_AREA, "writable", f"{path} may not be written", remedy, code=ExitCode.ABORTED)
            else:
                yield ok(_AREA, "writable", f"{path}, {path.stat().st_size / 1e6:.1f} MB")
            said = str(connection.execute(text("PRAGMA quick_check(1)")).scalar())
            if said != "ok":
                remedy = "put the latest backup in its place, or begin with an empty one"
                yield problem(_AREA, "integrity", said, remedy, code=ExitCode.ABORTED)
            else:
                yield ok(_AREA, "integrity", "sound; `reconcile db verify` proves the rows")
        last = recent_runs(connection, 1)
    yield (
        _last_run(last[0]["status"], last[0]["started_at"])
        if last
        else ok("schedule", "last run", "none yet")
    )


def _last_run(status: str, started_at: str | None) -> Check:
    when = datetime.fromisoformat(started_at) if started_at else datetime.now(UTC)
    hours = (datetime.now(UTC) - when).total_seconds() / 3600
    says = f"{status}, {hours:.1f} hours ago"
    if status in ("aborted", "crashed"):
        return warning("schedule", "last run", says, "`reconcile report --view runs` says why")
    return ok("schedule", "last run", says)


def _file(url: str) -> Path | None:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return None
    return Path(parsed.database).absolute()
