"""When reconcile ran, how that ended, and when it could not do its work."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

from reconcile.reports.model import Figure, ReportFilter, Row, Section, Table, TimeLine, Unit
from reconcile.reports.owner.buckets import MOST, Buckets, buckets
from reconcile.reports.owner.facts import Fact
from reconcile.reports.owner.part import Scope, listing, numbers, words
from reconcile.reports.queries import run_rows
from reconcile.reports.words import between, counted, moment, span
from reconcile.run.summary import RunStatus
from reconcile.story.outages import Outage, Outages

_LANES = tuple(status.value for status in RunStatus if status is not RunStatus.RUNNING)


class Runs:
    """Part: runs and outages. Read before the enrollments: other parts ask about outages."""

    def __init__(self, scope: Scope) -> None:
        self._as_of = scope.as_of
        self.outages = Outages()
        self.last: Row | None = None
        self.last_look: Row | None = None  #: the newest completed run that looked for unmarked orders
        self._began = array("d")
        self._statuses: Counter[str] = Counter()
        self._lanes: dict[str, set[datetime]] = {name: set() for name in _LANES}
        self._steps: Buckets | None = None
        # The whole period's: an outage makes no attempts, and would be missing where attempts are chosen.
        chosen = ReportFilter(since=scope.chosen.since, until=scope.chosen.until)
        first: datetime | None = None
        for row in run_rows(scope.connection, chosen):
            started = row["started_at"]
            assert isinstance(started, datetime)  # noqa: S101  the column is never null
            first = first or started
            self._add(row, started, first)

    def _add(self, row: Row, started: datetime, first: datetime) -> None:
        self.last = row
        if row["status"] == RunStatus.COMPLETED and row["unmarked"] is not None:
            self.last_look = row
        self._began.append(started.timestamp())
        status, reason = str(row["status"]), row["reason"]
        self._statuses[status] += 1
        self.outages.add(
            status=status, reason=reason if isinstance(reason, str) else None, started_at=started
        )
        if status in self._lanes:
            self._mark(status, started, first)

    def _mark(self, status: str, started: datetime, first: datetime) -> None:
        """One point for each step in which a run of this status began: a year of runs is 100,000."""
        steps = buckets(first, started, finest=timedelta(0))
        if self._steps is None or steps.step != self._steps.step:
            self._steps = steps
            for lane in self._lanes.values():
                for instant in list(lane):
                    lane.discard(instant)
                    lane.add(self._rounded(instant, first))
        self._lanes[status].add(self._rounded(started, first))

    def _rounded(self, instant: datetime, first: datetime) -> datetime:
        assert self._steps is not None  # noqa: S101  set before
        # Four points in each step: fine enough for the eye.
        fine = self._steps.step / 4
        return first + (instant - first) // fine * fine

    def any_between(self, start: datetime, end: datetime) -> bool:
        """Whether a run began then."""
        return bisect_left(self._began, start.timestamp()) < bisect_right(self._began, end.timestamp())

    def add(self, fact: Fact) -> None:
        """Runs are counted, not enrollments."""

    def section(self) -> Section:
        """Figures, time line, outages."""
        total = self._statuses.total()
        if not total:
            return Section(name="runs", title="Runs and outages", words=["No run is recorded in this time."])
        longest = max((self._length(outage) for outage in self.outages.found), default=None)
        figures = [
            Figure(name="runs", label="runs", value=total),
            Figure(name="completed", label="completed", value=self._statuses[RunStatus.COMPLETED]),
            Figure(name="outages", label="outages", value=len(self.outages.found)),
            Figure(name="longest_seconds", label="the longest outage", value=longest, unit=Unit.SECONDS),
        ]
        return Section(
            name="runs",
            title="Runs and outages",
            words=list(self._words(total)),
            figures=figures,
            chart=self._chart(),
            tables=[self._table()] if self.outages.found else [],
        )

    def _words(self, total: int) -> Iterator[str]:
        others = {
            name: count for name, count in sorted(self._statuses.items()) if name != RunStatus.COMPLETED
        }
        said = ", ".join(f"{count:,} {name}" for name, count in others.items())
        yield f"{counted(total, 'run')}, {self._statuses[RunStatus.COMPLETED]:,} completed" + (
            f", {said}." if said else "."
        )
        if self.outages.longest_silence is not None:
            start, end = self.outages.longest_silence
            yield (
                f"The longest time without the beginning of a run was {span((end - start).total_seconds())}, "
                f"{between(start, end)} UTC."
            )

    def _length(self, outage: Outage) -> float:
        return ((outage.end or self._as_of) - outage.start).total_seconds()

    def _chart(self) -> TimeLine | None:
        lanes = {name: sorted(instants) for name, instants in self._lanes.items() if instants}
        if not lanes:
            return None  # nothing has ended yet
        return TimeLine(
            title="Runs and outages over time",
            words=self._outage_words(),
            lanes=lanes,
            spans=[(outage.start, outage.end or self._as_of) for outage in self.outages.found][-MOST:],
            spans_are="outage",
            start=min(instants[0] for instants in lanes.values()),
            end=self._as_of,
        )

    def _outage_words(self) -> str:
        found = self.outages.found
        if not found:
            return "Each run that ended by itself went through: there was no outage."
        worst = max(found, key=self._length)
        lasting = " It lasts still." if found[-1].end is None else ""
        return (
            f"{counted(len(found), 'outage')}, {span(sum(map(self._length, found)))} in all. The longest, "
            f"{worst.reason}, began {moment(worst.start)} UTC and took {span(self._length(worst))}, "
            f"{counted(worst.runs, 'run')} stopped.{lasting}"
        )

    def _table(self) -> Table:
        rows: list[Row] = [
            {
                "reason": outage.reason,
                "from": outage.start,
                "until": outage.end,
                "length_seconds": self._length(outage),
                "runs_stopped": outage.runs,
            }
            for outage in reversed(self.outages.found)
        ]
        return listing(
            "outages",
            caption="Outages, the latest first: from the first run that stopped to one that went through",
            columns=(
                words("reason", 20),
                words("from", 20),
                words("until", 20),
                numbers("length_seconds"),
                numbers("runs_stopped"),
            ),
            rows=rows,
            command="reconcile report --view runs",
        )
