"""`reconcile explain`: the whole story of one order, out of all three systems."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from reconcile.cli.context import application
from reconcile.cli.params import emails_option, json_option
from reconcile.cli.show import address, iso
from reconcile.domain.model import Enrollment
from reconcile.run.summary import ExitCode
from reconcile.story.story import observed
from reconcile.story.words import plural

if TYPE_CHECKING:
    from reconcile.story.explain import Explained
    from reconcile.story.look import Look

_EPILOG = """\b
Examples:
  reconcile explain pi_3OzT4kLk9            the payment that the learner quotes
  reconcile explain sam@example.com         every order of a learner
  reconcile explain 6b00463638b4e652f2134faa --json

Reads only. Exit codes: 0 found, 1 nothing found, 2 usage, 75 MongoDB unavailable; an LMS that does not
answer is part of the answer.
"""


@click.command("explain", epilog=_EPILOG)
@click.argument("what", metavar="WHAT")
@json_option
@emails_option
def command(*, what: str, as_json: bool, with_emails: bool) -> int:
    """Tell the story of an enrollment id, a payment id or an e-mail address.

    A checkout session (cs_…) and the id of a retry job of the shop's find an order, too. The order, each
    attempt, what the LMS says now, what happens next, and what a person should do.
    """
    from reconcile.story.explain import Sources, explain

    with application(create_audit=False, quiet=True) as app:
        sources = Sources(
            orders=app.orders,
            ports=app.ports,
            plan=lambda selection: app.reconciler(dry_run=True).plan(app.options(selection=selection)),
            reading=app.reading,
        )
        found = [explain(item, sources) for item in app.orders.look_up(what)]
    if as_json:
        rows = [_as_json(each, with_emails=with_emails) for each in found]
        shown = address(what, with_emails=with_emails or "@" not in what)
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


def _as_json(each: Explained, *, with_emails: bool) -> dict[str, Any]:
    item, verdict, seen = each.item, each.verdict, each.seen
    account, account_from = (item.member, item.member_from) if isinstance(item, Enrollment) else (None, None)
    return {
        "enrollment_id": item.id,
        "payment_id": item.payment_id,
        "email": address(item.email, with_emails=with_emails),
        "account": address(account, with_emails=with_emails),
        "account_from": account_from,
        "sent_as": [
            {"email": address(sent, with_emails=with_emails), "lms_now": _now(seen, sent)}
            for sent in seen.others
        ],
        "course": item.course,
        "amount": float(item.amount) if item.amount is not None else None,
        "currency": item.currency,
        "paid": item.paid,
        "unmarked": each.unmarked,
        "ordered_at": iso(item.ordered_at),
        "paid_at": iso(item.paid_at),
        "sync_status": item.sync.status,
        "synced": item.sync.is_synced,
        "lms_enrollment_id": item.sync.lms_id,
        "visits": each.history.visits,
        "shop_tries": each.shop_tries,
        "lms_now": _lms_now(seen, with_emails=with_emails),
        "action": verdict.action,
        "reason": verdict.reason.value if verdict.reason else None,
        "until": iso(verdict.until),
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
    who = address(item.email, with_emails=with_emails) or "no address"
    click.echo(f"  {who}, {item.course or 'no course'}: {price}, {paid}")
    for event in each.timeline:
        click.echo(f"  {event.at:%Y-%m-%d %H:%M:%S}  {event.who}: {event.what}")
    visits = each.history.visits
    click.echo(f"Tries: {visits} {plural(visits, 'visit')} of ours, {each.shop_tries} by the shop.")
    if isinstance(item, Enrollment) and item.member_from is not None:
        account = address(item.member, with_emails=with_emails)
        click.echo(f"The LMS account is {account}, from {item.member_from}.")
    click.echo(f"LMS now: the learner {_lms_now(each.seen, with_emails=with_emails)}.")
    for sent in each.seen.others:
        shown = address(sent, with_emails=with_emails)
        click.echo(f"The shop itself has sent {shown} to the LMS: the learner {_now(each.seen, sent)}.")
    click.echo(f"Next: {verdict.next_step}.")
    click.secho(f"To do: {verdict.to_do}.", bold=True)
    click.echo()


def _lms_now(seen: Look, *, with_emails: bool) -> str:
    """What the LMS says, and under which address, where that is not the order's."""
    now = observed(seen.observation, failure=seen.failure)
    found_as = address(seen.found_as, with_emails=with_emails)
    return f"{now} as {found_as}, the address that the shop itself has sent" if found_as else now


def _now(seen: Look, sent: str) -> str:
    return observed(seen.others[sent], failure=seen.failure)
