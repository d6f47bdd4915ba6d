"""What came of the attempts, day by day."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Connection, func, literal_column, select

from reconcile.audit import tables
from reconcile.domain.model import Outcome
from reconcile.reports.model import Bars, ReportFilter, Row, Section, Table
from reconcile.reports.owner.buckets import buckets
from reconcile.reports.owner.facts import Fact
from reconcile.reports.owner.part import Scope, numbers, words
from reconcile.reports.queries import attempts_chosen
from reconcile.reports.words import counted

_SHOWN = tuple(outcome.value for outcome in Outcome if outcome is not Outcome.SKIPPED)
#: More days than this are for the export.
_MOST_DAYS = 400
_DAY = timedelta(days=1)
_GAVE = (Outcome.ENROLLED.value, Outcome.RECOVERED.value)


class Days:
    """Part: outcomes per day. Asks the database itself: enrollments say only what is so now."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def add(self, fact: Fact) -> None:
        """Attempts are counted, not enrollments."""

    def section(self) -> Section:
        """The chart, and its numbers."""
        counts = outcomes_by_day(self._scope.connection, self._scope.chosen)
        if not counts:
            return Section(name="days", title="Outcomes per day", words=["Nothing has come of anything yet."])
        rows: list[Row] = [
            {"day": _midnight(day), **{name: counts[day][name] for name in _SHOWN}} for day in sorted(counts)
        ]
        totals: Counter[str] = Counter()
        for of_day in counts.values():
            totals.update(of_day)
        known = totals[Outcome.ALREADY_ENROLLED]
        given = sum(totals[name] for name in _GAVE)
        return Section(
            name="days",
            title="Outcomes per day",
            words=[
                (
                    f"On {counted(len(counts), 'day')} something new came of an order: access was given "
                    f"{given:,} times, {counted(known, 'time')} it was there already, "
                    f"{counted(totals[Outcome.FAILED], 'time')} an order was given up. A verdict that did "
                    "not change since the run before is not counted again."
                )
            ],
            chart=_chart(counts),
            tables=[
                Table(
                    name="days",
                    caption="Verdicts per day (UTC)",
                    columns=(words("day", 10), *(numbers(name) for name in _SHOWN)),
                    rows=rows[-_MOST_DAYS:],
                    left_out=max(len(rows) - _MOST_DAYS, 0),
                    command="reconcile report --view attempts --format csv",
                    folded=True,
                )
            ],
        )


def outcomes_by_day(connection: Connection, chosen: ReportFilter) -> dict[date, Counter[str]]:
    """How many attempts ended on each day (UTC), by outcome."""
    row = tables.attempts.c
    ended = row.finished_at
    # SQLite keeps UTC; PostgreSQL's date is that of the session's zone.
    # (A literal: as a parameter, what is selected and what is grouped by would not be the same to it.)
    in_utc = ended if connection.dialect.name == "sqlite" else func.timezone(literal_column("'UTC'"), ended)
    day = func.date(in_utc)
    query = (
        select(day.label("day"), row.outcome, func.count().label("attempts"))
        .where(*attempts_chosen(connection, chosen), row.outcome.is_not(None), ended.is_not(None))
        .where(row.never_sent == 0)
        .group_by(day, row.outcome)
    )
    counts: dict[date, Counter[str]] = {}
    for found in connection.execute(query):
        of_day = found.day if isinstance(found.day, date) else date.fromisoformat(found.day)
        counts.setdefault(of_day, Counter())[found.outcome] += found.attempts
    return counts


def _chart(counts: dict[date, Counter[str]]) -> Bars:
    days = sorted(counts)
    steps = buckets(_midnight(days[0]), _midnight(days[-1]), finest=_DAY)
    series = {name: [0] * steps.count for name in _SHOWN}
    for day, of_day in counts.items():
        for name in _SHOWN:
            series[name][steps.place(_midnight(day))] += of_day[name]
    busiest = max(days, key=lambda day: (counts[day].total(), -day.toordinal()))
    worst = max(days, key=lambda day: (counts[day][Outcome.FAILED], -day.toordinal()))
    said = f"The busiest day was {busiest.isoformat()} with {counted(counts[busiest].total(), 'verdict')}."
    if failed := counts[worst][Outcome.FAILED]:
        said += f" Most orders were given up on {worst.isoformat()}: {failed:,}."
    return Bars(
        title=f"Verdicts per {steps.step_is} (UTC)",
        words=said,
        labels=steps.labels(),
        series={name: numbers for name, numbers in series.items() if any(numbers)},
    )


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
