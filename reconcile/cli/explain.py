"""`reconcile explain`: the whole story of one order, out of all three systems."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import click

from reconcile.app.app import App
from reconcile.base.errors import ReconcileError
from reconcile.base.redaction import mask_email, redact
from reconcile.cli.context import application
from reconcile.cli.explain_look import Look, look
from reconcile.cli.params import emails_option, json_option
from reconcile.domain.model import NO_HISTORY, AnyEnrollment, Decision, Enrollment, History
from reconcile.run.decision import shop_tried_at, shop_tries
from reconcile.run.source import Selection
from reconcile.run.summary import ExitCode
from reconcile.storefront.retry_queue import RetryJob
from reconcile.story.shop_texts import PAID, paid_word
from reconcile.story.story import Event, Verdict, concluded, observed

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
    seen: Look
    history: History
    unmarked: bool  #: somebody has paid, and the order does not say so
    verdict: Verdict
    timeline: list[Event]


@click.command("explain", epilog=_EPILOG)
@click.argument("what", metavar="WHAT")
@json_option
@emails_option
def command(*, what: str, as_json: bool, with_emails: bool) -> int:
    """Tell the story of an enrollment id, a payment id or an e-mail address.

    A checkout session (cs_…) and the id of a retry job of the shop's find an order, too. The order, each
    attempt, what the LMS says now, what happens next, and what a person should do.
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
            click.echo("No order has this enrollment id, payment id, checkout session or e-mail address.")
            click.echo(
                "To do: look in the payment provider: a payment without an order never reached the shop."
            )
    return int(ExitCode.CONVERGED if found else ExitCode.ATTENTION)


def _explained(app: App, item: AnyEnrollment) -> Explained:
    seen = look(app, item)
    history = app.ports.audit.history([item.id]).get(item.id, NO_HISTORY)
    unmarked = not item.paid and app.orders.is_unmarked(item.id, app.ports.clock.now())
    decision, failure = None, seen.failure
    if failure is None and item.paid and not item.sync.is_synced:
        decision, failure = _decide(app, item)
    return Explained(
        item=item,
        seen=seen,
        history=history,
        unmarked=unmarked,
        verdict=concluded(item, decision, seen.observation, failure=failure, unmarked=unmarked),
        timeline=sorted([*_shop_events(app, item, history), *_audit_events(app, item)]),
    )


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


def _shop_events(app: App, item: AnyEnrollment, history: History) -> list[Event]:
    sync, events = item.sync, []
    if item.ordered_at is not None:
        price = f"{item.amount} {item.currency}" if item.amount is not None else "amount unknown"
        events.append(Event(at=item.ordered_at, who="shop", what=f"ordered {item.course or '?'}, {price}"))
    if item.paid_at is not None and paid_word(item) == PAID:
        events.append(Event(at=item.paid_at, who="shop", what="paid, by Stripe's event"))
    if sync.last_attempt is not None:
        who = "shop" if shop_tried_at(item, history) is not None else "reconcile"
        said = ", ".join(
            filter(None, [sync.status, f"retryCount {sync.retry_count}", redact(sync.error or "")])
        )
        events.append(Event(at=sync.last_attempt, who=who, what=f"last synced: {said}"))
    jobs = app.orders.retry_jobs(item.id)
    return events + [Event(at=job.next_at, who="shop", what=_job(job)) for job in jobs if job.next_at]


def _job(job: RetryJob) -> str:
    plural = "" if job.attempts == 1 else "s"
    error = f", {job.error}" if job.error else ""
    due = "is due" if job.status == "pending" else "was due last"
    return f"the shop's own retry job {due}: {job.status}, {job.attempts} attempt{plural}{error}"


def _audit_events(app: App, item: AnyEnrollment) -> list[Event]:
    from reconcile.audit.log import SqlAuditLog
    from reconcile.story.events import audit_events

    audit = app.ports.audit
    if not isinstance(audit, SqlAuditLog):
        return []  # there is no audit database yet
    with audit.reading() as connection:
        return list(audit_events(connection, item.id))


def _as_json(each: Explained, *, with_emails: bool) -> dict[str, Any]:
    item, verdict, seen = each.item, each.verdict, each.seen
    account = item.member if isinstance(item, Enrollment) else None
    return {
        "enrollment_id": item.id,
        "payment_id": item.payment_id,
        "email": _address(item.email, with_emails=with_emails),
        "account": _address(account, with_emails=with_emails),
        "account_from": _account_from(item),
        "sent_as": [
            {"email": _address(address, with_emails=with_emails), "lms_now": _now(seen, address)}
            for address in seen.others
        ],
        "course": item.course,
        "amount": float(item.amount) if item.amount is not None else None,
        "currency": item.currency,
        "paid": item.paid,
        "unmarked": each.unmarked,
        "ordered_at": item.ordered_at.isoformat() if item.ordered_at else None,
        "paid_at": item.paid_at.isoformat() if item.paid_at else None,
        "sync_status": item.sync.status,
        "synced": item.sync.is_synced,
        "lms_enrollment_id": item.sync.lms_id,
        "visits": each.history.visits,
        "shop_tries": shop_tries(item, each.history),
        "lms_now": _lms_now(seen, with_emails=with_emails),
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
    who = _address(item.email, with_emails=with_emails) or "no address"
    click.echo(f"  {who}, {item.course or 'no course'}: {price}, {paid}")
    for event in each.timeline:
        click.echo(f"  {event.at:%Y-%m-%d %H:%M:%S}  {event.who}: {event.what}")
    visits, tries = each.history.visits, shop_tries(item, each.history)
    click.echo(f"Tries: {visits} visit{'' if visits == 1 else 's'} of ours, {tries} by the shop.")
    if isinstance(item, Enrollment) and item.member_from is not None:
        account = _address(item.member, with_emails=with_emails)
        click.echo(f"The LMS account is {account}, from {item.member_from}.")
    click.echo(f"LMS now: the learner {_lms_now(each.seen, with_emails=with_emails)}.")
    for address in each.seen.others:
        sent = _address(address, with_emails=with_emails)
        click.echo(f"The shop itself has sent {sent} to the LMS: the learner {_now(each.seen, address)}.")
    click.echo(f"Next: {verdict.next_step}.")
    click.secho(f"To do: {verdict.to_do}.", bold=True)
    click.echo()


def _lms_now(seen: Look, *, with_emails: bool) -> str:
    """What the LMS says, and under which address, where that is not the order's."""
    now = observed(seen.observation, failure=seen.failure)
    found_as = _address(seen.found_as, with_emails=with_emails)
    return f"{now} as {found_as}, the address that the shop itself has sent" if found_as else now


def _now(seen: Look, address: str) -> str:
    return observed(seen.others[address], failure=seen.failure)


def _account_from(item: AnyEnrollment) -> str | None:
    return item.member_from if isinstance(item, Enrollment) else None


def _address(address: str | None, *, with_emails: bool) -> str | None:
    if address is None:
        return None
    return address if with_emails else mask_email(address)
