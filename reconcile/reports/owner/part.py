"""How a section comes about: it is shown every enrollment once, then asked what it has to say."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import nsmallest
from typing import Protocol

from sqlalchemy import Connection

from reconcile.reports.model import Column, ReportFilter, Row, Section, Table
from reconcile.reports.owner.facts import Fact

#: Rows of a list of orders: what one reads; the command beside the table has all of them.
LISTED = 100
#: So many learners are compared at once, about.
_PART = 50_000


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What a report is about. `as_of` is the instant that it calls now."""

    connection: Connection
    chosen: ReportFilter
    as_of: datetime


class Part(Protocol):
    """One section while it is being counted."""

    def add(self, fact: Fact) -> None:
        """One more enrollment."""
        ...

    def section(self) -> Section:
        """What was found; asked once, after the last enrollment."""
        ...


class Learners:
    """Distinct learners among orders, eight bytes each."""

    def __init__(self) -> None:
        self._numbers = array("Q")

    def add(self, fact: Fact) -> None:
        """Count the order's learner."""
        self._numbers.append(fact.learner)

    def count(self) -> int:
        """How many different ones: a part of them at a time, because a set takes ten times their memory."""
        numbers, parts = self._numbers, len(self._numbers) // _PART + 1
        return sum(len({number for number in numbers if number % parts == part}) for part in range(parts))


class Oldest:
    """The facts that were paid first, `LISTED` of them, and how many there were."""

    def __init__(self) -> None:
        self.count = 0
        self._kept: list[Fact] = []

    def add(self, fact: Fact) -> None:
        """Keep it if it is among the oldest."""
        self.count += 1
        self._kept.append(fact)
        if len(self._kept) >= 10 * LISTED:
            self._kept = oldest(self._kept)

    def facts(self) -> list[Fact]:
        """The oldest first."""
        return oldest(self._kept)

    @property
    def left_out(self) -> int:
        """How many are not among them."""
        return max(self.count - LISTED, 0)


def oldest(facts: Iterable[Fact], count: int = LISTED) -> list[Fact]:
    """The first `count` by payment; orders that do not tell when they were paid come last."""
    return nsmallest(
        count, facts, key=lambda fact: (fact.paid_at is None, fact.paid_at or 0, fact.enrollment_id)
    )


def words(name: str, width: int = 16) -> Column:
    """A column of text or instants."""
    return Column(name=name, width=max(width, len(name)))


def numbers(name: str, width: int = 10) -> Column:
    """A column of numbers."""
    return Column(name=name, width=max(width, len(name)), numeric=True)


def listing(
    name: str, *, caption: str, columns: Sequence[Column], rows: Sequence[Row], command: str = ""
) -> Table:
    """A table of the first `LISTED` rows, which says how many it leaves out."""
    return Table(
        name=name,
        caption=caption,
        columns=columns,
        rows=rows[:LISTED],
        left_out=max(len(rows) - LISTED, 0),
        command=command,
    )
