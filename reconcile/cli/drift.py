"""`reconcile drift`: the other direction, and repairing what may be repaired."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import click

from reconcile.base.errors import ReconcileError
from reconcile.base.redaction import mask_email
from reconcile.cli.asking import confirmed, somebody_is_here, yes_option
from reconcile.cli.context import application, draining
from reconcile.cli.drift_fix import Repair
from reconcile.cli.errors import say
from reconcile.cli.params import emails_option, json_option
from reconcile.drift.find import Looked
from reconcile.drift.findings import DriftKind, Finding
from reconcile.run.abort import abort_reason
from reconcile.run.summary import ExitCode

_EPILOG = """\b
Examples:
  reconcile drift                     what differs, and what to do
  reconcile drift --json | jq .counts
  reconcile drift --fix               repair `stale`; then, asked once more, ghosts

\b
ghost      the order says synced, the LMS has nothing
stray      the LMS has it, there is no order for it
duplicate  the LMS has it more than once
unpaid     the LMS has it, none of its orders is paid
stale      the LMS has it, a paid order does not say so

A ghost that reconcile itself had given access was most likely removed on purpose: it is shown and
never repaired. Exit codes: 0 no drift, 1 drift, 2 usage or key, 75 LMS or MongoDB unavailable
"""

#: Rows of one kind that the table shows unless it is told otherwise.
_SHOWN = 50
_ADVICE = {
    DriftKind.GHOST: "removed in the LMS, or never there; `reconcile drift --fix` asks",
    DriftKind.STRAY: "let in by hand, or free; look if that is meant",
    DriftKind.DUPLICATE: "delete all but the oldest in the LMS",
    DriftKind.UNPAID: "refunded? remove them in the LMS, or correct the order",
    DriftKind.STALE: "the next `reconcile run` confirms them; so does --fix",
}


@dataclass
class Seen:
    """What has been found so far: counts of everything, and what a repair needs."""

    repair: Repair
    counts: Counter[DriftKind] = field(default_factory=Counter)

    def note(self, findings: Iterator[Finding]) -> Iterator[Finding]:
        """Count each and pass it on."""
        for finding in findings:
            self.counts[finding.kind] += 1
            self.repair.note(finding)
            yield finding

    def as_json(self) -> dict[str, int]:
        """Every kind, those not found too."""
        return {kind.value: self.counts[kind] for kind in DriftKind}


@click.command("drift", epilog=_EPILOG)
@click.option("--fix", is_flag=True, help="Repair `stale`; ghosts after one more question.")
@yes_option
@click.option("--ghosts", is_flag=True, help="With --fix: give the ghosts their access again, unasked.")
@click.option("--all", "everything", is_flag=True, help=f"Show every row, not {_SHOWN} of each kind.")
@json_option
@emails_option
def command(*, fix: bool, yes: bool, ghosts: bool, everything: bool, as_json: bool, with_emails: bool) -> int:
    """Compare both sides the other way round: who has access and should not, or lost it, or is in twice.

    Reads only, unless --fix is given. Needs an API key. Bounded memory, one LMS request for 500 pairs.
    """
    if ghosts and not fix:
        raise click.UsageError("--ghosts goes with --fix.")
    if fix and as_json and not yes:
        raise click.UsageError("--fix with --json needs --yes: nobody can be asked.")
    with draining() as stop, application(create_audit=fix, quiet=True, stop=stop) as app:
        looked, seen = Looked(), Seen(Repair(app))
        findings = seen.note(app.drift(looked))
        if as_json:
            _print_json(findings, seen, looked, with_emails=with_emails)
        else:
            _print_table(findings, seen, looked, most=None if everything else _SHOWN, with_emails=with_emails)
        if fix:
            _fix(seen.repair, yes=yes, ghosts=ghosts)
    return int(ExitCode.ATTENTION if seen.counts.total() else ExitCode.CONVERGED)


def _fix(repair: Repair, *, yes: bool, ghosts: bool) -> None:
    if repair.stale and confirmed(f"Write the LMS's word into {len(repair.stale)} stale orders?", yes=yes):
        say(repair.confirm_stale())
    if not repair.ghosts:
        return
    again = f"{len(repair.ghosts)} learners whom the LMS has lost"
    # Giving access again may undo what somebody meant: never without a person's word for it.
    if not ghosts and (yes or not somebody_is_here()):
        say(f"{again} are left as they are; --ghosts gives them their access again.")
    elif confirmed(f"Give {again} their access again?", yes=ghosts):
        say(repair.enroll_ghosts())


def _row(finding: Finding, *, with_emails: bool) -> dict[str, Any]:
    order = finding.enrollment
    return {
        "kind": finding.kind.value,
        "email": finding.key.member if with_emails else mask_email(finding.key.member),
        "course": finding.key.course,
        "enrollment_id": order.id if order else None,
        "payment_id": order.payment_id if order else None,
        "amount": float(order.amount) if order and order.amount is not None else None,
        "currency": order.currency if order else None,
        "lms_enrollment_ids": list(finding.lms_ids),
        "by_us": finding.by_us,
    }


def _print_json(findings: Iterator[Finding], seen: Seen, looked: Looked, *, with_emails: bool) -> None:
    """One object, written as it comes; whole also when the look breaks off: then it has an `error`."""
    broken: ReconcileError | None = None
    click.echo('{"findings": [', nl=False)
    try:
        for number, finding in enumerate(findings):
            row = json.dumps(_row(finding, with_emails=with_emails))
            click.echo((", " if number else "") + row, nl=False)
    except ReconcileError as error:
        broken = error
    tail: dict[str, Any] = {
        "counts": seen.as_json(),
        "orders": looked.orders,
        "lms_enrollments": looked.lms_enrollments,
    }
    if broken is not None:
        tail["error"] = abort_reason(broken)
    click.echo(f"], {json.dumps(tail)[1:]}")
    if broken is not None:
        raise broken


def _print_table(
    findings: Iterator[Finding], seen: Seen, looked: Looked, *, most: int | None, with_emails: bool
) -> None:
    for finding in findings:
        if most is not None and seen.counts[finding.kind] > most:
            continue
        row = _row(finding, with_emails=with_emails)
        cells = f"{row['kind']:<10}{row['enrollment_id'] or '-':<26}{row['email']:<28}{row['course']:<28}"
        ours = "  (access given by reconcile: removed on purpose?)" if finding.by_us else ""
        click.echo(f"{cells}{','.join(finding.lms_ids)}{ours}")
    for kind in DriftKind:
        count = seen.counts[kind]
        more = f" ({most} shown; --all shows all)" if most is not None and count > most else ""
        if count:
            click.echo(f"{count} {kind.value}{more}: {_ADVICE[kind]}")
    compared = f"{looked.orders} synced orders and {looked.lms_enrollments} LMS enrollments compared"
    click.echo(compared if seen.counts.total() else f"No drift: {compared}.")
