"""The table: goal, measured, ratio to the baseline of the same run, hold or not; and what programs share."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, kw_only=True)
class Line:
    """One measured thing. `holds` is None where there is no goal for it, or it was not measured."""

    number: str  #: V1, V1b, …
    what: str
    goal: str
    measured: str
    ratio: str = ""  #: to the baseline of the same run, with that baseline
    holds: bool | None = None

    @property
    def verdict(self) -> str:
        """One word."""
        return {None: "-", True: "holds", False: "DOES NOT"}[self.holds]


#: A program's work: told whether it is to be quick, it tells its lines one by one.
Measure = Callable[[bool], Iterable[Line]]


def show(lines: Sequence[Line]) -> None:
    """Print the table."""
    table = Table("", "what", "goal", "measured", "ratio, baseline", "", box=SIMPLE, pad_edge=False)
    for line in lines:
        style = "red" if line.holds is False else ""
        table.add_row(line.number, line.what, line.goal, line.measured, line.ratio, line.verdict, style=style)
    # Elsewhere than on a terminal nobody can make the window wider.
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def program(measure: Measure, about: str | None) -> int:
    """Run one program alone. 0 whatever the numbers say; only what breaks raises."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="does it still work? the numbers mean little")
    parser.add_argument("--json", action="store_true", help="the lines as JSON, for `python -m benchmarks`")
    options = parser.parse_args()
    lines = list(noted(measure(options.quick)))
    if options.json:
        print(json.dumps([asdict(line) for line in lines]))
    else:
        show(lines)
    return 0


def noted(lines: Iterable[Line]) -> Iterator[Line]:
    """Each line as it comes, told on stderr: some take minutes."""
    for line in lines:
        said = " · ".join(str(value) for value in asdict(line).values() if value not in ("", None))
        print(f"{time.strftime('%H:%M:%S')} {said}", file=sys.stderr, flush=True)
        yield line


def timed(work: Callable[[], object]) -> float:
    """How long it takes, in seconds."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def in_turns(rounds: int, *works: Callable[[], float]) -> list[float]:
    """The median of each of these measurements, which take turns: a busy machine is busy for all."""
    taken: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for results, work in zip(taken, works, strict=True):
            results.append(work())
    return [statistics.median(results) for results in taken]
