"""`reconcile status`: the backlog, who waits longest, money paid without access, the last runs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from reconcile.cli.context import application
from reconcile.cli.errors import word_for
from reconcile.cli.params import json_option
from reconcile.cli.show import iso
from reconcile.domain.mail_status import MailStatus
from reconcile.story.shop_texts import idle_line, minute, money, queue_line, unmarked_line
from reconcile.story.words import counted, plural

if TYPE_CHECKING:
    from reconcile.app.app import App
    from reconcile.story.backlog import Backlog
    from reconcile.story.status import Status

_EPILOG = """\b
Examples:
  reconcile status
  reconcile status --json | jq .unsynced_amount
"""


@click.command("status", epilog=_EPILOG)
@json_option
def command(*, as_json: bool) -> int:
    """Show the backlog by sync status and by reason, the oldest waiting learner, and the last runs.

    Also what the shop has left undone: orders that were paid and never marked, and its own retry queue.
    Asks MongoDB and the audit database, not the LMS; writes nothing.
    """
    from reconcile.story.status import Status, current_status

    try:
        with application(create_audit=False, asks_lms=False, quiet=True) as app:
            status = current_status(app.ports, app.reading, page_size=app.settings.page_size)
            status.mail = _mail(app)
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
            "oldest_due_at": iso(queue.oldest_due_at),
            "last_completed_at": iso(queue.last_completed_at),
        },
        "unsynced": backlog.unsynced,
        "unsynced_amount": {
            currency: float(backlog.amount(currency)) for currency in sorted(backlog.amounts)
        },
        "oldest_paid_at": iso(backlog.oldest_paid_at),
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
        did = counted(run["outcomes"]) or "nothing to do"
        click.echo(f"  {run['started_at'][:16].replace('T', ' ')}  {how}: {did}")
    if mail is not None:
        click.echo(f"mail: {counted(mail) or 'none yet'}")
    if status.backlog.unsynced:
        click.echo("Next: reconcile plan")


def _print_backlog(status: Status) -> None:
    backlog = status.backlog
    if not backlog.unsynced:
        click.echo("Every paid order is synced.")
    else:
        statuses = counted(backlog.statuses())
        click.echo(f"{backlog.unsynced} paid orders without confirmed access: {statuses}")
        click.echo(f"money paid without access: {_money(backlog)}")
    if backlog.oldest_paid_at is not None:
        age = _span((status.now - backlog.oldest_paid_at).total_seconds())
        when = f"{backlog.oldest_word} {minute(backlog.oldest_paid_at)}"
        click.echo(f"oldest: {when}, {age} ago ({backlog.oldest_id})")
    if status.visits or status.shop_tries:
        visits = f"{status.visits:,} {plural(status.visits, 'visit')}"
        click.echo(f"tries: {visits} of ours, {status.shop_tries:,} by the shop")
    for reason, count in status.waiting.most_common():
        click.echo(f"  waiting, {reason}: {count}")
    for reason, these in sorted(status.unsendable.items(), key=lambda found: -found[1].unsynced):
        click.echo(f"  needs a person, {reason}: {these.unsynced}, {_money(these)}")


def _money(backlog: Backlog) -> str:
    return money(backlog.amounts.items()) or "none"


def _print_shop(status: Status) -> None:
    if line := unmarked_line(status.unmarked):
        click.secho(f"{line}. What to do: reconcile diagnose", fg="yellow")
    if line := queue_line(status.queue):
        click.echo(line)
    if line := idle_line(status.queue, status.now):
        click.secho(f"{line}: reconcile gives the access meanwhile", fg="yellow")


def _span(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
