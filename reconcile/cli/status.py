"""`reconcile status`: the backlog, who waits longest, money paid without access, the last runs."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import click

from reconcile.app.app import App
from reconcile.cli.context import application
from reconcile.cli.errors import word_for
from reconcile.cli.params import json_option
from reconcile.domain.mail_status import MailStatus
from reconcile.domain.model import NO_HISTORY, MalformedEnrollment, Outcome
from reconcile.domain.shop_queue import ShopQueue
from reconcile.domain.unmarked import Unmarked
from reconcile.run.decision import shop_tries
from reconcile.run.source import Selection
from reconcile.run.unmarked import find_unmarked
from reconcile.story.backlog import Backlog
from reconcile.story.shop_texts import idle_line, minute, money, queue_line, unmarked_line

_EPILOG = """\b
Examples:
  reconcile status
  reconcile status --json | jq .unsynced_amount
"""


@dataclass(kw_only=True)
class Status:
    """All that is shown."""

    now: datetime
    backlog: Backlog = field(default_factory=Backlog)
    waiting: Counter[str] = field(default_factory=Counter)
    unsendable: dict[str, Backlog] = field(default_factory=dict)  #: by what is wrong with the order itself
    visits: int = 0  #: of ours, all orders of the backlog together
    shop_tries: int = 0  #: by the shop itself, the same
    unmarked: Unmarked = field(default_factory=Unmarked)
    queue: ShopQueue = field(default_factory=ShopQueue)
    last_runs: list[dict[str, Any]] = field(default_factory=list)
    mail: dict[str, int] | None = None  #: None where learners are not mailed


@click.command("status", epilog=_EPILOG)
@json_option
def command(*, as_json: bool) -> int:
    """Show the backlog by sync status and by reason, the oldest waiting learner, and the last runs.

    Also what the shop has left undone: orders that were paid and never marked, and its own retry queue.
    Asks MongoDB and the audit database, not the LMS; writes nothing.
    """
    try:
        with application(create_audit=False, quiet=True) as app:
            status = _look(app)
    except BaseException as error:
        if as_json:
            # Not the counts so far: half a backlog reads like a small one.
            shape = _as_json(Status(now=datetime.now(UTC)))
            click.echo(json.dumps(dict.fromkeys(shape) | {"error": word_for(error)}))
        raise
    if as_json:
        click.echo(json.dumps(_as_json(status)))
    else:
        _print(status)
    return 0


def _look(app: App) -> Status:
    now = app.ports.clock.now()
    unmarked = find_unmarked(app.ports.source, app.ports.audit, now)
    status = Status(now=now, unmarked=unmarked, queue=app.ports.source.shop_queue(now))
    stream = app.ports.source.scan(Selection())
    while page := list(islice(stream, app.settings.page_size)):
        histories = app.ports.audit.history([item.id for item in page])
        for item in page:
            status.backlog.add(item)
            if isinstance(item, MalformedEnrollment):
                status.unsendable.setdefault(item.reason.value, Backlog()).add(item)
            history = histories.get(item.id, NO_HISTORY)
            status.visits += history.visits
            status.shop_tries += shop_tries(item, history)
            # As the audit last saw it.
            if history.last_outcome is Outcome.WAITING and history.last_reason is not None:
                status.waiting[history.last_reason.value] += 1
    status.last_runs, status.mail = _last_runs(app, 5), _mail(app)
    return status


def _last_runs(app: App, count: int) -> list[dict[str, Any]]:
    from reconcile.audit.log import SqlAuditLog
    from reconcile.story.runs import recent_runs

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


def _as_json(status: Status) -> dict[str, Any]:
    backlog, queue = status.backlog, status.queue
    shown = {
        "backlog": backlog.statuses(),
        "unmarked": status.unmarked.count,
        "shop_queue": {
            "collection": queue.collection,
            "open": queue.open,
            "overdue": queue.overdue,
            "oldest_due_at": _iso(queue.oldest_due_at),
            "last_completed_at": _iso(queue.last_completed_at),
        },
        "unsynced": backlog.unsynced,
        "unsynced_amount": {
            currency: float(backlog.amount(currency)) for currency in sorted(backlog.amounts)
        },
        "oldest_paid_at": _iso(backlog.oldest_paid_at),
        "waiting": dict(status.waiting.most_common()),
        "last_run": status.last_runs[0] if status.last_runs else None,
    }
    return shown if status.mail is None else shown | {"mail": status.mail}


def _print(status: Status) -> None:
    _print_backlog(status)
    _print_shop(status)
    last, mail = status.last_runs, status.mail
    click.echo("last runs:" if last else "no run is recorded yet")
    for run in last:
        how = run["status"] + (f" ({run['reason']})" if run["reason"] else "")
        outcomes = ", ".join(f"{count} {name}" for name, count in run["outcomes"].items() if count)
        click.echo(f"  {run['started_at'][:16].replace('T', ' ')}  {how}: {outcomes or 'nothing to do'}")
    if mail is not None:
        told = ", ".join(f"{count} {name}" for name, count in mail.items() if count)
        click.echo(f"mail: {told or 'none yet'}")
    if status.backlog.unsynced:
        click.echo("Next: reconcile plan")


def _print_backlog(status: Status) -> None:
    backlog = status.backlog
    if not backlog.unsynced:
        click.echo("Every paid order is synced.")
    else:
        statuses = ", ".join(f"{count} {name}" for name, count in backlog.statuses().items() if count)
        click.echo(f"{backlog.unsynced} paid orders without confirmed access: {statuses}")
        click.echo(f"money paid without access: {_money(backlog)}")
    if backlog.oldest_paid_at is not None:
        age = _span((status.now - backlog.oldest_paid_at).total_seconds())
        when = f"{backlog.oldest_word} {minute(backlog.oldest_paid_at)}"
        click.echo(f"oldest: {when}, {age} ago ({backlog.oldest_id})")
    if status.visits or status.shop_tries:
        plural = "" if status.visits == 1 else "s"
        click.echo(f"tries: {status.visits:,} visit{plural} of ours, {status.shop_tries:,} by the shop")
    for reason, count in status.waiting.most_common():
        click.echo(f"  waiting, {reason}: {count}")
    for reason, these in sorted(status.unsendable.items(), key=lambda found: -found[1].unsynced):
        click.echo(f"  needs a person, {reason}: {these.unsynced}, {_money(these)}")


def _money(backlog: Backlog) -> str:
    return money([(name, backlog.amount(name)) for name in sorted(backlog.amounts)]) or "none"


def _print_shop(status: Status) -> None:
    if line := unmarked_line(status.unmarked):
        click.secho(f"{line}. What to do: reconcile diagnose", fg="yellow")
    if line := queue_line(status.queue):
        click.echo(line)
    if line := idle_line(status.queue, status.now):
        click.secho(f"{line}: reconcile gives the access meanwhile", fg="yellow")


def _iso(instant: datetime | None) -> str | None:
    return instant.isoformat() if instant is not None else None


def _span(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
