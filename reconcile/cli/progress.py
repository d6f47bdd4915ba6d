"""A progress line on stderr, for a person at a terminal; nobody else sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from reconcile.cli.context import on_terminal
from reconcile.domain.model import Outcome
from reconcile.run.ports import Progress


@contextmanager
def watching(*, enabled: bool) -> Iterator[Progress | None]:
    """A live line while the block runs; None where nobody watches."""
    if not enabled or not on_terminal():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        yield _Live(bar)


@contextmanager
def counting(what: str, *, total: int | None = None) -> Iterator[Callable[[str, int], None]]:
    """A live line for long work: call it with what is done now, and how much of `total` is done."""
    if not on_terminal():
        yield lambda now, done: None  # noqa: ARG005
        return
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda now, done: bar.update(task, description=f"{what}: {now}", completed=done)


class _Live:
    """Orders looked at, and orders with a verdict."""

    def __init__(self, bar: object) -> None:
        from rich.progress import Progress as Bar

        if not isinstance(bar, Bar):
            raise TypeError("a rich progress bar is needed")
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
