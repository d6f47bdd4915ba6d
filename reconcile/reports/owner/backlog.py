"""How much money was paid without access, by how many, and since when."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from reconcile.domain.money import Money
from reconcile.reports.model import Bars, Figure, ReportFilter, Section, Table, Unit, tidy
from reconcile.reports.owner.facts import Fact
from reconcile.reports.owner.part import Learners, Scope, numbers, words
from reconcile.reports.owner.runs import Runs
from reconcile.reports.words import counted, moment, moneys, share, span

_HOUR, _DAY = 3600, 86400
#: Upper bounds in seconds; the last age has none.
_AGES = (
    ("under an hour", _HOUR),
    ("an hour to a day", _DAY),
    ("a day to a week", 7 * _DAY),
    ("a week to 30 days", 30 * _DAY),
)
_OLDER, _UNKNOWN = "over 30 days", "unknown"
_ORDER = [*(name for name, _ in _AGES), _OLDER, _UNKNOWN]
#: Ages beyond which somebody should have noticed.
_LONG = {"a week to 30 days", _OLDER}


class Backlog:
    """Part: paid without access; and the orders that the shop has never marked as paid, counted by runs."""

    def __init__(self, scope: Scope, runs: Runs) -> None:
        self._as_of = scope.as_of
        chosen = scope.chosen
        # Runs count them over the whole shop: where orders are chosen, that number would mislead.
        is_all = chosen == ReportFilter(since=chosen.since, until=chosen.until)
        self._look = runs.last_look if is_all else None
        self._learners = Learners()
        self._money: Money[str | None] = Money()
        self._orders: Counter[str] = Counter()
        self._cells: Counter[tuple[str, str | None]] = Counter()
        self._amounts: dict[str, Money[str | None]] = {}
        self._oldest: datetime | None = None

    def add(self, fact: Fact) -> None:
        """Count it if its learner is not in the course."""
        if not fact.lacks_access:
            return
        self._learners.add(fact)
        self._money.add(fact.amount, fact.currency)
        age = self._age(fact.paid_at)
        self._orders[age] += 1
        self._cells[age, fact.currency] += 1
        self._amounts.setdefault(age, Money()).add(fact.amount, fact.currency)
        if fact.paid_at is not None and (self._oldest is None or fact.paid_at < self._oldest):
            self._oldest = fact.paid_at

    def _age(self, paid_at: datetime | None) -> str:
        if paid_at is None:
            return _UNKNOWN
        seconds = (self._as_of - paid_at).total_seconds()
        return next((name for name, bound in _AGES if seconds < bound), _OLDER)

    def section(self) -> Section:
        """The figures, and the ages."""
        figures = [
            Figure(name="learners", label="learners without access", value=self._learners.count()),
            Figure(name="orders", label="paid orders without access", value=self._orders.total()),
            *(
                Figure(
                    name=f"money_{currency or 'unknown'}",
                    label="paid without access",
                    value=tidy(amount),
                    unit=Unit.MONEY,
                    currency=currency or "unknown",
                )
                for currency, amount in self._money.amounts.items()
            ),
            Figure(
                name="oldest_seconds", label="the oldest waits for", value=self._wait(), unit=Unit.SECONDS
            ),
        ]
        if self._look is not None:
            unmarked = Figure(name="unmarked", label="paid, never marked", value=self._look["unmarked"])
            figures.append(unmarked)
        return Section(
            name="backlog",
            title="Paid without access",
            words=[*self._words(), *self._unmarked_words()],
            figures=figures,
            chart=self._chart() if self._orders else None,
            tables=[self._table()] if self._orders else [],
        )

    def _wait(self) -> float | None:
        return (self._as_of - self._oldest).total_seconds() if self._oldest else None

    def _words(self) -> list[str]:
        orders = self._orders.total()
        if not orders:
            return ["Everybody who paid and was seen by reconcile has access."]
        said = [
            (
                f"{counted(self._learners.count(), 'learner')} paid {moneys(self._money.amounts)} in "
                f"{counted(orders, 'order')} and cannot open the course."
            )
        ]
        if self._oldest is not None:
            said.append(
                f"The oldest order was paid at {moment(self._oldest)} UTC, {span(self._wait() or 0)} ago."
            )
        return said

    def _unmarked_words(self) -> list[str]:
        """Not in the backlog: by the shop's own word they are not paid."""
        count = self._look["unmarked"] if self._look is not None else None
        if self._look is None or not isinstance(count, int) or not count:
            return []
        began = self._look["started_at"]
        seen = f", seen by the run of {moment(began)} UTC" if isinstance(began, datetime) else ""
        said = (
            f"Beside these, paid and never marked: {counted(count, 'order')} that somebody has paid at "
            f"Stripe and that the shop never marked as paid{seen}; `reconcile diagnose` names them."
        )
        return [said]

    def _chart(self) -> Bars:
        long = sum(self._orders[age] for age in _LONG)
        orders = self._orders.total()
        shown = [age for age in _ORDER if age != _UNKNOWN or self._orders[age]]
        most = max(shown, key=lambda age: self._orders[age])
        return Bars(
            title="Orders without access by their age",
            words=f"{counted(long, 'order')} of {orders:,} ({share(long, orders)}) have waited over a week. "
            f"Most common: {most}, {counted(self._orders[most], 'order')}.",
            labels=shown,
            series={"orders": [self._orders[age] for age in shown]},
            lying=True,
        )

    def _table(self) -> Table:
        rows = [
            {
                "age": age,
                "currency": currency,
                "orders": orders,
                "amount": tidy(self._amounts[age].of(currency)),
            }
            for (age, currency), orders in sorted(
                self._cells.items(), key=lambda item: (_ORDER.index(item[0][0]), str(item[0][1]))
            )
        ]
        return Table(
            name="age",
            caption="Paid without access, by the order's age and currency",
            columns=(words("age", 20), words("currency", 8), numbers("orders"), numbers("amount", 14)),
            rows=rows,
        )
