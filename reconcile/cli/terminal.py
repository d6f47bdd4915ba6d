"""Who sits at a terminal sees how work goes on, and is asked before something is done; nobody else is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from reconcile.cli.errors import say
from reconcile.domain.model import Outcome
from reconcile.run.ports import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import ProgressColumn


def confirmed(question: str, *, yes: bool, ask: bool = True, unasked: str | None = None) -> bool:
    """Ask where a person is there to answer; a script has answered by calling the command.

    With `unasked` it has not: that line is said, and nothing done, where nobody can be asked, or where
    `ask` says that nobody is to be.
    """
    if yes:
        return True
    if not (ask and sys.stdin.isatty() and sys.stderr.isatty()):
        if unasked is not None:
            say(unasked)
        return unasked is None
    if click.confirm(question, err=True):
        return True
    say("nothing was changed")
    return False


@contextmanager
def watching(*, enabled: bool) -> Iterator[Progress | None]:
    """A live line about a run while the block lasts; None where nobody watches."""
    if not enabled or not sys.stderr.isatty():
        yield None
        return
    from rich.progress import MofNCompleteColumn

    with _bar(MofNCompleteColumn()) as bar:
        yield _Live(bar)


@contextmanager
def counting(what: str, *, total: int | None = None) -> Iterator[Callable[[str, int], None]]:
    """A live line for long work: call it with what is done now, and how much of `total` is done."""
    if not sys.stderr.isatty():
        yield lambda now, done: None  # noqa: ARG005
        return
    with _bar() as bar:
        task = bar.add_task(what, total=total)
        yield lambda now, done: bar.update(task, description=f"{what}: {now}", completed=done)


def _bar(*more: ProgressColumn) -> Bar:
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), *more, TimeElapsedColumn())
    return Bar(*columns, console=Console(stderr=True), transient=True)


class _Live:
    """Orders looked at, and orders with a verdict."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._task = bar.add_task("orders", total=0)
        self._total = 0
        self._enrolled = 0

    def scanned(self, count: int) -> None:
        """So many more orders were looked at."""
        self._total += count
        self._bar.update(self._task, total=self._total)

    def settled(self, outcome: Outcome) -> None:
        """One more order has its verdict."""
        self._enrolled += outcome.has_access
        self._bar.update(self._task, advance=1, description=f"{self._enrolled} given access")
