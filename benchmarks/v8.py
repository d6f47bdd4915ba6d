"""V8: what an audit of a million attempts costs: CSV export, the owner's report, `db verify`; their memory.

    python -m benchmarks.v8 [--quick]

Each is the command as its own process, its start included. How many attempts are recorded a second is
`python -m benchmarks.audit_group`.
"""

from __future__ import annotations

import csv
import sqlite3
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from benchmarks.audit_data import make_audits
from benchmarks.commands import Measured, reconcile
from benchmarks.table import Line, in_turns, program, timed

_COLUMNS = (
    "run_id, attempt_id, enrollment_id, payment_id, email_masked, course, number, action, started_at, "
    "finished_at, outcome, reason, http_status, lms_enrollment_id, error, flags"
)
_CSV, _REPORT, _VERIFY = 0.6, 15.0, 30.0
#: Memory that does not grow with the audit: so many MB more for ten times as many attempts.
_FLAT = 10.0


def measure(quick: bool) -> Iterator[Line]:  # noqa: FBT001  # as every program of the table
    """One line for each."""
    count, rounds = (20_000, 1) if quick else (1_000_000, 3)
    with tempfile.TemporaryDirectory(prefix="reconcile-bench-") as name:
        folder = Path(name)
        whole, tenth = make_audits(folder, count)
        yield _csv(folder, whole, count, rounds)
        report = ("report", "--format", "html", "--output", "report.html")
        yield _timed(folder, whole, tenth, count, rounds, report, goal=_REPORT, what="owner's report")
        yield _timed(folder, whole, tenth, count, rounds, ("db", "verify"), goal=_VERIFY, what="`db verify`")


def _csv(folder: Path, audit: Path, count: int, rounds: int) -> Line:
    def export() -> float:
        options = ("--view", "attempts", "--format", "csv", "--output", "attempts.csv")
        return _command(folder, audit, "report", *options).seconds

    raw, took = in_turns(rounds, lambda: timed(lambda: _dump(audit, folder / "raw.csv")), export)
    return Line(
        number="V8",
        what=f"CSV export of {count:,} attempts",
        goal=f"≥ {_CSV} of a raw sqlite3 → csv dump",
        measured=f"{took:.1f} s, {count / took:,.0f} rows/s",
        ratio=f"{raw / took:.2f} of raw, {raw:.1f} s",
        holds=raw / took >= _CSV,
    )


def _dump(audit: Path, target: Path) -> None:
    """The same rows as barely as Python can."""
    with closing(sqlite3.connect(audit)) as connection, target.open("w", newline="") as out:
        csv.writer(out).writerows(connection.execute(f"SELECT {_COLUMNS} FROM attempts ORDER BY attempt_id"))


def _timed(
    folder: Path,
    whole: Path,
    tenth: Path,
    count: int,
    rounds: int,
    command: tuple[str, ...],
    *,
    goal: float,
    what: str,
) -> Line:
    small = _command(folder, tenth, *command)
    large = [_command(folder, whole, *command) for _ in range(rounds)]
    took, peak = (
        statistics.median(values) for values in ([m.seconds for m in large], [m.peak for m in large])
    )
    grown = peak - small.peak
    return Line(
        number="V8",
        what=f"{what} over {count:,} attempts",
        goal=f"< {goal:.0f} s, memory flat",
        measured=f"{took:.1f} s, {peak:.0f} MB",
        ratio=f"{took / small.seconds:.1f} × the time, {grown:+.0f} MB on a tenth of it",
        holds=took < goal and grown < _FLAT,
    )


def _command(folder: Path, audit: Path, *command: str) -> Measured:
    return reconcile({"RECONCILE_AUDIT_URL": f"sqlite:///{audit}"}, *command, cwd=folder)


if __name__ == "__main__":
    sys.exit(program(measure, __doc__))
