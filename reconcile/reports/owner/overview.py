"""The owner's report: every enrollment is read once and shown to every part.

To add a section: a module with a class that is a `Part`, and its line in `_parts`. The formats render
whatever sections there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import Connection

from reconcile.reports.model import ReportFilter, Row, Section
from reconcile.reports.owner.access import Access
from reconcile.reports.owner.backlog import Backlog
from reconcile.reports.owner.by_hand import ByHand
from reconcile.reports.owner.causes import Causes
from reconcile.reports.owner.courses import Courses
from reconcile.reports.owner.days import Days
from reconcile.reports.owner.duplicates import Duplicates
from reconcile.reports.owner.facts import facts
from reconcile.reports.owner.leaks import Leaks
from reconcile.reports.owner.part import Part, Scope
from reconcile.reports.owner.runs import Runs
from reconcile.reports.owner.verdicts import Summary
from reconcile.reports.owner.waiting import Waiting
from reconcile.reports.queries import enrollment_rows
from reconcile.reports.words import moment


class Overview:
    """All that the owner's report says; read from the database at the first question for it."""

    def __init__(
        self,
        connection: Connection,
        chosen: ReportFilter,
        *,
        generated_at: datetime,
        with_emails: bool = False,
    ) -> None:
        self._chosen = chosen
        self._with_emails = with_emails
        as_of = min(generated_at, chosen.until) if chosen.until is not None else generated_at
        self._scope = Scope(connection=connection, chosen=chosen, as_of=as_of)
        self._summary = Summary()
        self._runs: Runs | None = None
        self._parts: list[Part] = []

    def rows(self) -> Iterator[Row]:
        """The rows of the view `summary`: read for themselves, or what was read for the sections before."""
        summary = self._summary
        if self._runs is None:
            summary = Summary()
            for row in enrollment_rows(self._scope.connection, self._chosen):
                summary.add(row)
        yield from summary.rows()

    def sections(self) -> list[Section]:
        """The sections, in their order; to be asked once, and before `rows` by whoever wants both."""
        self._read()
        return [part.section() for part in self._parts]

    def now_is(self) -> str:
        """What the report calls now, in a sentence."""
        self._read()
        assert self._runs is not None  # noqa: S101  _read made it
        means = "Now is the latest verdict that reconcile has on record for each order"
        last = self._runs.last
        if last is None:
            return f"{means}. No run is recorded in this time."
        how = str(last["status"]) + (f" ({last['reason']})" if last["reason"] else "")
        began = last["started_at"]
        when = moment(began) if isinstance(began, datetime) else ""
        return (
            f"{means}. The last run began {when} UTC: {how}. What the shop settled by itself since then is "
            "not known here; `reconcile status` asks the shop."
        )

    def _read(self) -> None:
        if self._runs is not None:
            return
        self._runs = Runs(self._scope)
        self._parts = list(_parts(self._scope, self._runs))
        shown = [part.add for part in self._parts]
        for fact in facts(self._scope.connection, self._chosen, with_emails=self._with_emails):
            self._summary.add(fact.row)
            for show in shown:
                show(fact)


def _parts(scope: Scope, runs: Runs) -> Iterator[Part]:
    """The sections in the order in which an owner asks."""
    yield Backlog(scope, runs)
    yield Causes(scope)
    yield Waiting(scope)
    yield Access(scope)
    yield Days(scope)
    yield Courses(scope)
    yield Duplicates(scope)
    yield ByHand(scope)
    yield Leaks(scope, runs)
    yield runs
