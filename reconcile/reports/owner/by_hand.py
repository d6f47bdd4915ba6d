"""What people asked for by hand: orders that are left alone, retries, repairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import Row as Found
from sqlalchemy import select

from reconcile.audit import tables
from reconcile.reports.model import Cell, Figure, Row, Section, Table
from reconcile.reports.owner.facts import Fact
from reconcile.reports.owner.part import Scope, listing, words
from reconcile.reports.words import counted

_IGNORE, _UNIGNORE = "ignore", "unignore"


class ByHand:
    """Part: interventions. Keeps those orders in memory that a person has asked to leave alone."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._courses: dict[str, str] = {}
        self._last: dict[str, dict[str, Cell]] = {}
        self._asked: Counter[str] = Counter()
        for found in self._rows():
            self._asked[found.kind] += 1
            if found.kind == _IGNORE:
                self._last[found.enrollment_id] = _row(found)
            elif found.kind == _UNIGNORE:
                self._last.pop(found.enrollment_id, None)

    def add(self, fact: Fact) -> None:
        """Learn which course an order that is left alone is for."""
        if fact.enrollment_id in self._last:
            self._courses[fact.enrollment_id] = str(fact.row["course"])

    def section(self) -> Section:
        """Who is left alone now, until when, by whose word; and how often people asked for what."""
        left: list[Row] = [
            row | {"course": self._courses.get(name)} for name, row in self._last.items() if self._is_now(row)
        ]
        asked = ", ".join(f"{count} x {kind}" for kind, count in sorted(self._asked.items()))
        said = f"Asked for by hand: {asked}." if asked else "Nothing was asked for by hand."
        if left:
            said += f" Left alone at present: {counted(len(left), 'order')}."
        return Section(
            name="by_hand",
            title="By hand",
            words=[said],
            figures=[Figure(name="ignored", label="orders left alone", value=len(left))],
            tables=[_table(sorted(left, key=lambda row: str(row["until"])))] if left else [],
        )

    def _is_now(self, row: Row) -> bool:
        until = row["until"]
        return isinstance(until, datetime) and until > self._scope.as_of

    def _rows(self) -> Iterator[Found[tuple[object, ...]]]:
        chosen, row = self._scope.chosen, tables.interventions.c
        query = select(tables.interventions).order_by(row.intervention_id)
        # An order that was left alone before the period may be so still: only its end is a limit.
        if chosen.until is not None:
            query = query.where(row.at < chosen.until)
        yield from self._scope.connection.execute(query)


def _row(found: Found[tuple[object, ...]]) -> dict[str, Cell]:
    return {
        "enrollment_id": found.enrollment_id,
        "until": found.until,
        "because": found.because,
        "who": found.who,
        "at": found.at,
    }


def _table(rows: list[Row]) -> Table:
    return listing(
        "ignored",
        caption="Orders that are left alone",
        columns=(
            words("enrollment_id", 24),
            words("course", 24),
            words("until", 20),
            words("because", 30),
            words("who", 20),
            words("at", 20),
        ),
        rows=rows,
        command="reconcile ignore --list",
    )
