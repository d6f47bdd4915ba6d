"""`reconcile status`: the backlog, who waits longest, money paid without access, the last runs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import click

from reconcile.bootstrap import App
from reconcile.cli.context import application
from reconcile.cli.errors import word_for
from reconcile.cli.params import json_option
from reconcile.domain.backlog import Backlog
from reconcile.domain.mail import MailStatus
from reconcile.domain.model import AnyEnrollment, Outcome
from reconcile.ports import Selection

_EPILOG = """\b
Examples:
  reconcile status
  reconcile status --json | jq .unsynced_amount
"""


@click.command("status", epilog=_EPILOG)
@json_option
def command(*, as_json: bool) -> int:
    """Show the backlog by sync status and by reason, the oldest waiting learner, and the last runs.

    Asks MongoDB and the audit database, not the LMS; writes nothing.
    """
    backlog = Backlog()
    waiting: Counter[str] = Counter()
    try:
        with application(create_audit=False, quiet=True) as app:
            for page in _pages(app):
                for item in page:
                    backlog.add(item)
                waiting.update(_waiting(app, page))
            last = _last_runs(app, 5)
            mail = _mail(app)
    except BaseException as error:
        if as_json:
            # Not the counts so far: half a backlog reads like a small one.
            shape = _as_json(Backlog(), Counter(), None)
            click.echo(json.dumps(dict.fromkeys(shape) | {"error": word_for(error)}))
        raise
    if as_json:
        shown = _as_json(backlog, waiting, last[0] if last else None)
        click.echo(json.dumps(shown if mail is None else shown | {"mail": mail}))
    else:
        _print(backlog, waiting, last, mail)
    return 0


def _pages(app: App) -> Iterator[list[AnyEnrollment]]:
    stream = app.ports.source.scan(Selection())
    while page := list(islice(stream, app.settings.page_size)):
        yield page


def _waiting(app: App, page: list[AnyEnrollment]) -> Iterator[str]:
    """The reason of each order that waits for somebody outside, as the audit last saw it."""
    for history in app.ports.audit.history([item.id for item in page]).values():
        if history.last_outcome is Outcome.WAITING and history.last_reason is not None:
            yield history.last_reason.value


def _last_runs(app: App, count: int) -> list[dict[str, Any]]:
    from reconcile.adapters.audit import SqlAuditLog
    from reconcile.reports.recent import recent_runs

    audit = app.ports.audit
    if not isinstance(audit, SqlAuditLog):
        return []  # there is no audit database yet
    with audit.reading() as connection:
        return recent_runs(connection, count)


def _mail(app: App) -> dict[str, int] | None:
    """How many mails are in each state; None where learners are not mailed."""
    if app.mail is None:
        return None
    counts = app.mail.outbox.counts() if app.mail.outbox is not None else {}
    return {status.value: counts.get(status, 0) for status in MailStatus}


def _as_json(backlog: Backlog, waiting: Counter[str], last: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "backlog": backlog.statuses(),
        "unsynced": backlog.unsynced,
        "unsynced_amount": {
            currency: float(backlog.amount(currency)) for currency in sorted(backlog.amounts)
        },
        "oldest_paid_at": backlog.oldest_paid_at.isoformat() if backlog.oldest_paid_at else None,
        "waiting": dict(waiting.most_common()),
        "last_run": last,
    }


def _print(
    backlog: Backlog, waiting: Counter[str], last: list[dict[str, Any]], mail: dict[str, int] | None
) -> None:
    if not backlog.unsynced:
        click.echo("Every paid order is synced.")
    else:
        statuses = ", ".join(f"{count} {name}" for name, count in backlog.statuses().items() if count)
        click.echo(f"{backlog.unsynced} paid orders without confirmed access: {statuses}")
        money = ", ".join(
            f"{backlog.amount(currency):,.2f} {currency.upper()}" for currency in sorted(backlog.amounts)
        )
        click.echo(f"money paid without access: {money or 'none'}")
    if backlog.oldest_paid_at is not None:
        age = datetime.now(UTC) - backlog.oldest_paid_at
        click.echo(
            f"oldest: paid {backlog.oldest_paid_at:%Y-%m-%d %H:%M} UTC, "
            f"{_span(age.total_seconds())} ago ({backlog.oldest_id})"
        )
    for reason, count in waiting.most_common():
        click.echo(f"  waiting, {reason}: {count}")
    click.echo("last runs:" if last else "no run is recorded yet")
    for run in last:
        how = run["status"] + (f" ({run['reason']})" if run["reason"] else "")
        outcomes = ", ".join(f"{count} {name}" for name, count in run["outcomes"].items() if count)
        click.echo(f"  {run['started_at'][:16].replace('T', ' ')}  {how}: {outcomes or 'nothing to do'}")
    if mail is not None:
        told = ", ".join(f"{count} {status}" for status, count in mail.items() if count)
        click.echo(f"mail: {told or 'none yet'}")
    if backlog.unsynced:
        click.echo("Next: reconcile plan")


def _span(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
