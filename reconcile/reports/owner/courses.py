"""What the audit saw of each course."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from reconcile.domain.money import Money
from reconcile.reports.model import Row, Section, tidy
from reconcile.reports.owner.facts import Fact
from reconcile.reports.owner.part import Learners, Scope, listing, numbers, words
from reconcile.reports.words import counted, moneys


@dataclass
class _Sums:
    orders: int = 0
    with_access: int = 0
    without: Counter[str | None] = field(default_factory=Counter)
    learners: Learners = field(default_factory=Learners)
    money: Money[str | None] = field(default_factory=Money)


class Courses:
    """Part: per course."""

    def __init__(self, scope: Scope) -> None:  # noqa: ARG002  every part is made of the scope
        self._courses: defaultdict[str | None, _Sums] = defaultdict(_Sums)

    def add(self, fact: Fact) -> None:
        """Count every order."""
        course = fact.row["course"]
        sums = self._courses[course if isinstance(course, str) else None]
        sums.orders += 1
        sums.with_access += fact.has_access
        if fact.lacks_access:
            sums.without[fact.currency] += 1
            sums.learners.add(fact)
            sums.money.add(fact.amount, fact.currency)

    def section(self) -> Section:
        """The courses, those with most learners without access first; and their money."""
        ranked = sorted(
            ((sums.learners.count(), course, sums) for course, sums in self._courses.items()),
            key=lambda item: (-item[0], -item[2].orders, str(item[1])),
        )
        rows: list[Row] = [
            {
                "course": course,
                "orders_seen": sums.orders,
                "with_access": sums.with_access,
                "without_access": sums.without.total(),
                "learners_without_access": learners,
            }
            for learners, course, sums in ranked
        ]
        amounts: list[Row] = [
            {
                "course": course,
                "currency": currency,
                "orders": sums.without[currency],
                "amount": tidy(sums.money.of(currency)),
            }
            for _, course, sums in ranked
            for currency in sorted(sums.without, key=str)
        ]
        return Section(
            name="courses",
            title="Per course",
            words=_words(ranked),
            tables=[
                listing(
                    "courses",
                    caption="Orders that reconcile has seen, by course",
                    columns=(
                        words("course", 28),
                        numbers("orders_seen"),
                        numbers("with_access"),
                        numbers("without_access"),
                        numbers("learners_without_access"),
                    ),
                    rows=rows,
                    command="reconcile report --view enrollments --format csv",
                ),
                listing(
                    "courses_money",
                    caption="Money paid without access, by course and currency",
                    columns=(
                        words("course", 28),
                        words("currency", 8),
                        numbers("orders"),
                        numbers("amount", 14),
                    ),
                    rows=amounts,
                    command="reconcile report --view enrollments --format csv",
                ),
            ]
            if rows
            else [],
        )


def _words(ranked: list[tuple[int, str | None, _Sums]]) -> list[str]:
    if not ranked:
        return ["No order was seen."]
    affected = [item for item in ranked if item[0]]
    if not affected:
        return [f"In none of {counted(len(ranked), 'course')} is anybody without access."]
    learners, course, sums = affected[0]
    return [
        (
            f"{len(affected)} of {counted(len(ranked), 'course')} are affected. Most: "
            f"{course or 'no known course'}, {counted(learners, 'learner')}, {moneys(sums.money.amounts)}."
        )
    ]
