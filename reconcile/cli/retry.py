"""`reconcile retry`: try orders again now, because a person says so."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime

import click

from reconcile.app.app import App
from reconcile.audit.process import operator
from reconcile.cli.context import application, draining
from reconcile.cli.errors import say
from reconcile.cli.params import json_option, yes_option
from reconcile.cli.show import summary_in_json
from reconcile.cli.summary import print_result
from reconcile.cli.terminal import confirmed, watching
from reconcile.domain.interventions import Intervention, InterventionKind
from reconcile.domain.model import Enroll, Reason, action_of
from reconcile.run.options import APPLY
from reconcile.run.page import Surveyed
from reconcile.run.source import Selection
from reconcile.run.summary import ExitCode, RunStatus, RunSummary
from reconcile.story.words import counted

_EPILOG = """\b
Examples:
  reconcile retry 6b00463638b4e652f2134faa
  reconcile retry --reason exhausted --course python-basics
  reconcile retry --all --yes

A hold after an unanswered write is kept, an ignored order stays ignored, and nobody unpaid is
enrolled: `retry` leaves out the backoff, the count of visits and the age of the order (but for the first
minute, in which the shop's own call may be on its way), nothing else.
"""


@click.command("retry", epilog=_EPILOG)
@click.argument("enrollment_ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="The whole backlog.")
@click.option(
    "--reason",
    type=click.Choice([reason.value for reason in Reason]),
    metavar="CODE",
    help="Only those with this reason, by their last attempt or by what would be decided now.",
)
@click.option("--course", metavar="SLUG", help="Only this course.")
@yes_option
@json_option
def command(
    *,
    enrollment_ids: tuple[str, ...],
    everything: bool,
    reason: str | None,
    course: str | None,
    yes: bool,
    as_json: bool,
) -> int:
    """Try orders again now, whatever the backoff or the visits used. Needs a scope.

    Shows what it will do, asks, and records who asked.
    """
    if everything and (enrollment_ids or reason or course):
        raise click.UsageError("--all goes alone: it is the whole backlog.")
    if not (everything or enrollment_ids or reason or course):
        raise click.UsageError("which orders? Name their ids, or --reason, --course or --all.")
    with (
        summary_in_json(as_json, mode=APPLY),
        draining() as stop,
        application(quiet=as_json, stop=stop) as app,
    ):
        selection = Selection(enrollment_ids=enrollment_ids, course=course)
        ids = _chosen(app, selection, Reason(reason) if reason else None)
        if not ids:
            say("No paid, unsynced order is meant by that; nothing to do.")
        if not ids or not confirmed(f"Try {len(ids)} orders now?", yes=yes):
            if as_json:
                click.echo(json.dumps(_nothing().as_json()))
            return int(ExitCode.CONVERGED)
        _record(app, enrollment_ids, everything=everything, reason=reason, course=course, count=len(ids))
        options = app.options(
            selection=Selection(enrollment_ids=tuple(ids)), immediately=True, max_enrolls=len(ids)
        )
        with watching(enabled=not as_json) as progress:
            result = app.reconcile(options, progress=progress, stop=stop)
    return print_result(result, as_json=as_json)


def _chosen(app: App, selection: Selection, reason: Reason | None) -> list[str]:
    """The orders that are meant; what would be done with them is told on stderr."""
    options = app.options(selection=selection, immediately=reason is None)
    found: list[str] = []
    actions: Counter[str] = Counter()
    for page in app.reconciler(dry_run=True).plan(options):
        for entry in page.entries:
            if reason is not None and reason not in _reasons(entry):
                continue
            found.append(entry.enrollment.id)
            # By its reason an order was found under the ordinary rules; now it is tried.
            actions["enroll" if _would_enroll(entry) else action_of(entry.decision)] += 1
    if found:
        say(f"What it would do: {counted(dict(actions.most_common()))}")
    return found


def _nothing() -> RunSummary:
    now = datetime.now(UTC)
    summary = RunSummary(run_id="", mode=APPLY, started_at=now)
    summary.close(RunStatus.COMPLETED, at=now)
    return summary


def _reasons(entry: Surveyed) -> set[Reason | None]:
    return {entry.history.last_reason, getattr(entry.decision, "reason", None)}


def _would_enroll(entry: Surveyed) -> bool:
    decided = getattr(entry.decision, "reason", None)
    return isinstance(entry.decision, Enroll) or decided in (Reason.EXHAUSTED, Reason.BACKOFF, Reason.TOO_NEW)


def _record(
    app: App,
    enrollment_ids: tuple[str, ...],
    *,
    everything: bool,
    reason: str | None,
    course: str | None,
    count: int,
) -> None:
    """Who asked, for which order or with which words, before anything is sent."""
    words = ["--all"] if everything else []
    words += [f"--reason {reason}"] if reason else []
    words += [f"--course {course}"] if course else []
    scope = f"{' '.join(words) or 'by id'} ({count} orders)"
    for enrollment_id in enrollment_ids or (None,):
        app.ports.audit.intervene(
            Intervention(
                kind=InterventionKind.RETRY,
                who=operator(),
                at=datetime.now(UTC),
                enrollment_id=enrollment_id,
                scope=scope,
            )
        )
