"""`reconcile drift`: the other direction, and repairing what may be repaired."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from reconcile.cli.context import application, draining
from reconcile.cli.errors import say
from reconcile.cli.params import emails_option, json_option, yes_option
from reconcile.cli.show import address, print_json_stream, print_rows
from reconcile.cli.terminal import confirmed
from reconcile.drift.find import Looked
from reconcile.drift.findings import DriftKind, Finding
from reconcile.drift.fix import Repair
from reconcile.run.options import RunResult
from reconcile.run.source import Selection
from reconcile.run.summary import ExitCode

if TYPE_CHECKING:
    from reconcile.app.app import App

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
#: The columns of the table and their widths.
_COLUMNS = {"kind": 8, "enrollment_id": 24, "email": 26, "course": 26, "lms_enrollment_ids": 0}
_ADVICE = {
    DriftKind.GHOST: "removed in the LMS, or never there; `reconcile drift --fix` asks",
    DriftKind.STRAY: "let in by hand, or free; look if that is meant",
    DriftKind.DUPLICATE: "delete all but the oldest in the LMS",
    DriftKind.UNPAID: "refunded? remove them in the LMS, or correct the order",
    DriftKind.STALE: "the next `reconcile run` confirms them; so does --fix",
}


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
        looked, repair = Looked(), _repair(app)
        findings = _noting(repair, app.drift(looked))
        if as_json:
            rows = (_row(finding, with_emails=with_emails) for finding in findings)
            print_json_stream("findings", rows, lambda: _totals(looked))
        else:
            _print_table(findings, looked, most=None if everything else _SHOWN, with_emails=with_emails)
        if fix:
            _fix(repair, yes=yes, ghosts=ghosts)
    return int(ExitCode.ATTENTION if looked.counts.total() else ExitCode.CONVERGED)


def _repair(app: App) -> Repair:
    def run(ids: Sequence[str], most: int) -> RunResult:
        selection = Selection(enrollment_ids=tuple(ids))
        return app.reconcile(app.options(selection=selection, immediately=True, max_enrolls=most))

    return Repair(app.orders, app.ports.audit, run)


def _noting(repair: Repair, findings: Iterator[Finding]) -> Iterator[Finding]:
    for finding in findings:
        repair.note(finding)
        yield finding


def _fix(repair: Repair, *, yes: bool, ghosts: bool) -> None:
    if repair.stale and confirmed(f"Write the LMS's word into {len(repair.stale)} stale orders?", yes=yes):
        say(repair.confirm_stale())
    if not repair.ghosts:
        return
    again = f"{len(repair.ghosts)} learners whom the LMS has lost"
    # Giving access again may undo what somebody meant: never without a person's word for it.
    unasked = f"{again} are left as they are; --ghosts gives them their access again."
    if confirmed(f"Give {again} their access again?", yes=ghosts, ask=not yes, unasked=unasked):
        say(repair.enroll_ghosts())


def _row(finding: Finding, *, with_emails: bool) -> dict[str, Any]:
    order = finding.enrollment
    return {
        "kind": finding.kind.value,
        "email": address(finding.key.member, with_emails=with_emails),
        "course": finding.key.course,
        "enrollment_id": order.id if order else None,
        "payment_id": order.payment_id if order else None,
        "amount": float(order.amount) if order and order.amount is not None else None,
        "currency": order.currency if order else None,
        "lms_enrollment_ids": list(finding.lms_ids),
        "by_us": finding.by_us,
    }


def _totals(looked: Looked) -> dict[str, Any]:
    return {
        "counts": looked.by_kind(),
        "orders": looked.orders,
        "lms_enrollments": looked.lms_enrollments,
    }


def _print_table(findings: Iterator[Finding], looked: Looked, *, most: int | None, with_emails: bool) -> None:
    shown = (finding for finding in findings if most is None or looked.counts[finding.kind] <= most)
    print_rows((_cells(finding, with_emails=with_emails) for finding in shown), _COLUMNS, header=False)
    for kind in DriftKind:
        count = looked.counts[kind]
        more = f" ({most} shown; --all shows all)" if most is not None and count > most else ""
        if count:
            click.echo(f"{count} {kind.value}{more}: {_ADVICE[kind]}")
    compared = f"{looked.orders} synced orders and {looked.lms_enrollments} LMS enrollments compared"
    click.echo(compared if looked.counts.total() else f"No drift: {compared}.")


def _cells(finding: Finding, *, with_emails: bool) -> list[str]:
    row = _row(finding, with_emails=with_emails)
    ours = "  (access given by reconcile: removed on purpose?)" if finding.by_us else ""
    ids = f"{','.join(finding.lms_ids)}{ours}"
    return [row["kind"], row["enrollment_id"] or "-", row["email"], row["course"], ids]
