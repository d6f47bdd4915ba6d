"""A run's end, as a small table for people."""

from __future__ import annotations

import json
from collections.abc import Callable

import click

from reconcile.cli.errors import explain, say
from reconcile.domain.messages import SENTENCES
from reconcile.domain.model import Outcome
from reconcile.run.options import RunResult
from reconcile.run.summary import RunStatus, RunSummary

_MEANING = {
    Outcome.ENROLLED: "given access now",
    Outcome.ALREADY_ENROLLED: "had access; our side was behind",
    Outcome.RECOVERED: "had access after an unanswered call",
    Outcome.RETRYING: "tried again by itself later",
    Outcome.WAITING: "blocked outside; looked at every run",
    Outcome.FAILED: "needs a person",
    Outcome.SKIPPED: "not ours to do now",
}
_STYLE = {
    Outcome.ENROLLED: "green",
    Outcome.ALREADY_ENROLLED: "green",
    Outcome.RECOVERED: "green",
    Outcome.RETRYING: "yellow",
    Outcome.WAITING: "yellow",
    Outcome.FAILED: "red",
}


def print_result(
    result: RunResult, *, as_json: bool, quiet: bool = False, also: Callable[[], None] | None = None
) -> int:
    """Tell how a run ended, `also` for people, and on stderr what ended it early; its exit code."""
    if as_json:
        click.echo(json.dumps(result.summary.as_json()))
    elif not quiet:
        _print_summary(result.summary)
        if also is not None:
            also()
    if result.failure is not None:
        say(explain(result.failure))
    return int(result.summary.exit_code)


def _print_summary(summary: RunSummary) -> None:
    """Print the outcomes that happened, why, and how the run ended."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, soft_wrap=True)
    seconds = (summary.finished_at - summary.started_at).total_seconds() if summary.finished_at else 0.0
    dry = " (dry run: nothing was written)" if summary.mode == "dry-run" else ""
    how = summary.status.value + (f", {summary.reason}" if summary.reason else "")
    console.print(
        f"Run {summary.run_id} {how}{dry}: {summary.scanned} orders looked at, "
        f"{summary.lms_requests} LMS requests, {seconds:.1f} s"
    )
    happened = [outcome for outcome in Outcome if summary.outcomes[outcome]]
    if happened:
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(justify="right")
        table.add_column()
        table.add_column()
        for outcome in happened:
            table.add_row(
                f"{summary.outcomes[outcome]}",
                f"[{_STYLE.get(outcome, 'dim')}]{outcome.value}[/]",
                _MEANING[outcome],
            )
        console.print(table)
    for reason, count in summary.reasons.most_common():
        console.print(f"  {count} x {reason.value}: {SENTENCES[reason]}", style="dim")
    if summary.came_back:
        was = "was" if summary.came_back == 1 else "were"
        console.print(f"{summary.came_back} of them {was} given up on before (status failed), and tried now.")
    if summary.unmarked:
        are = "order is" if summary.unmarked == 1 else "orders are"
        console.print(
            f"{summary.unmarked} more {are} paid at Stripe and never marked as paid in the shop: "
            "`reconcile diagnose` names them.",
            style="yellow",
        )
    if summary.left_over:
        console.print(f"{summary.left_over} more are left for the next run (--max-enrolls).", style="yellow")
    if summary.status is RunStatus.COMPLETED and summary.outcomes[Outcome.FAILED]:
        console.print("Next: reconcile report --view enrollments --outcome failed", style="bold")
