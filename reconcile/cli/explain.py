"""`reconcile explain`: the whole story of one order, out of all three systems."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import click

from reconcile.adapters.mongo_orders import RetryJob
from reconcile.bootstrap import App
from reconcile.cli.context import application
from reconcile.cli.params import emails_option, json_option
from reconcile.domain.model import AnyEnrollment, Decision, Enrollment, Observation
from reconcile.domain.story import Event, Verdict, concluded, observed
from reconcile.domain.summary import ExitCode
from reconcile.errors import ReconcileError
from reconcile.ports import Selection
from reconcile.redaction import mask_email, redact

_EPILOG = """\b
Examples:
  reconcile explain pi_3OzT4kLk9            the payment that the learner quotes
  reconcile explain sam@example.com         every order of a learner
  reconcile explain 6b00463638b4e652f2134faa --json

Reads only. Exit codes: 0 found, 1 nothing found, 2 usage, 75 MongoDB unavailable; an LMS that does not
answer is part of the answer.
"""


@dataclass(frozen=True, kw_only=True)
class Explained:
    """One order with all that is known about it."""

    item: AnyEnrollment
    lms_now: str
    verdict: Verdict
    timeline: list[Event]


@click.command("explain", epilog=_EPILOG)
@click.argument("what", metavar="WHAT")
@json_option
@emails_option
def command(*, what: str, as_json: bool, with_emails: bool) -> int:
    """Tell the story of an enrollment id, a payment id or an e-mail address.

    The order, each attempt, what the LMS says now, what happens next, and what a person should do.
    """
    with application(create_audit=False, quiet=True) as app:
        found = [_explained(app, item) for item in app.orders.look_up(what)]
    if as_json:
        rows = [_as_json(each, with_emails=with_emails) for each in found]
        shown = what if with_emails or "@" not in what else mask_email(what)
        click.echo(json.dumps({"what": shown, "orders": rows}))
    else:
        for each in found:
            _print(each, with_emails=with_emails)
        if not found:
            click.echo("No order has this enrollment id, payment id or e-mail address.")
            click.echo(
                "To do: look in the payment provider: a payment without an order never reached the shop."
            )
    return int(ExitCode.CONVERGED if found else ExitCode.ATTENTION)


def _explained(app: App, item: AnyEnrollment) -> Explained:
    observation, failure = _look(app, item)
    decision: Decision | None = None
    if failure is None and item.paid and not item.sync.is_synced:
        decision, failure = _decide(app, item)
    return Explained(
        item=item,
        lms_now=observed(observation, failure=failure),
        verdict=concluded(item, decision, observation, failure=failure),
        timeline=sorted([*_shop_events(app, item), *_audit_events(app, item)]),
    )


def _look(app: App, item: AnyEnrollment) -> tuple[Observation | None, str | None]:
    """What the LMS shows now, or why it does not."""
    if not isinstance(item, Enrollment):
        return None, None
    try:
        app.ports.platform.ping()
        if app.ports.platform.verified:
            app.ports.platform.prove_sight()
        return app.ports.platform.observe([item.key])[item.key], None
    except ReconcileError as error:
        return None, redact(str(error))


def _decide(app: App, item: AnyEnrollment) -> tuple[Decision | None, str | None]:
    """What a run would decide now: the run's own look, over ports that write nothing."""
    options = app.options(selection=Selection(enrollment_ids=(item.id,)))
    try:
        for page in app.reconciler(dry_run=True).plan(options):
            for entry in page.entries:
                return entry.decision, None
    except ReconcileError as error:
        return None, redact(str(error))
    return None, None


def _shop_events(app: App, item: AnyEnrollment) -> list[Event]:
    sync, events = item.sync, []
    if item.paid_at is not None:
        price = f"{item.amount} {item.currency}" if item.amount is not None else "amount unknown"
        events.append(Event(at=item.paid_at, who="shop", what=f"ordered {item.course or '?'}, {price}"))
    if sync.last_attempt is not None:
        said = ", ".join(
            filter(None, [sync.status, f"retryCount {sync.retry_count}", redact(sync.error or "")])
        )
        events.append(Event(at=sync.last_attempt, who="shop", what=f"last synced: {said}"))
    jobs = app.orders.retry_jobs(item.id)
    return events + [Event(at=job.next_at, who="shop", what=_job(job)) for job in jobs if job.next_at]


def _job(job: RetryJob) -> str:
    error = f", {job.error}" if job.error else ""
    return f"the shop's own retry job is due: {job.status}, {job.attempts} attempts{error}"


def _audit_events(app: App, item: AnyEnrollment) -> list[Event]:
    from reconcile.adapters.audit import SqlAuditLog
    from reconcile.reports.story import audit_events

    audit = app.ports.audit
    if not isinstance(audit, SqlAuditLog):
        return []  # there is no audit database yet
    with audit.reading() as connection:
        return list(audit_events(connection, item.id))


def _as_json(each: Explained, *, with_emails: bool) -> dict[str, Any]:
    item, verdict = each.item, each.verdict
    return {
        "enrollment_id": item.id,
        "payment_id": item.payment_id,
        "email": _address(item, with_emails=with_emails),
        "course": item.course,
        "amount": float(item.amount) if item.amount is not None else None,
        "currency": item.currency,
        "paid": item.paid,
        "paid_at": item.paid_at.isoformat() if item.paid_at else None,
        "sync_status": item.sync.status,
        "synced": item.sync.is_synced,
        "lms_enrollment_id": item.sync.lms_id,
        "lms_now": each.lms_now,
        "action": verdict.action,
        "reason": verdict.reason.value if verdict.reason else None,
        "until": verdict.until.isoformat() if verdict.until else None,
        "next": verdict.next_step,
        "to_do": verdict.to_do,
        "timeline": [
            {"at": event.at.isoformat(), "who": event.who, "what": event.what} for event in each.timeline
        ],
    }


def _print(each: Explained, *, with_emails: bool) -> None:
    item, verdict = each.item, each.verdict
    paid = "paid" if item.paid else "not paid"
    price = f"{item.amount} {item.currency.upper()}" if item.amount is not None else "amount unknown"
    click.secho(f"Order {item.id} ({item.payment_id or 'no payment id'})", bold=True)
    who = _address(item, with_emails=with_emails) or "no address"
    click.echo(f"  {who}, {item.course or 'no course'}: {price}, {paid}")
    for event in each.timeline:
        click.echo(f"  {event.at:%Y-%m-%d %H:%M:%S}  {event.who}: {event.what}")
    click.echo(f"LMS now: the learner {each.lms_now}.")
    click.echo(f"Next: {verdict.next_step}.")
    click.secho(f"To do: {verdict.to_do}.", bold=True)
    click.echo()


def _address(item: AnyEnrollment, *, with_emails: bool) -> str | None:
    if item.email is None:
        return None
    return item.email if with_emails else mask_email(item.email)
