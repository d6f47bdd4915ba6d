"""Why learners have no access: ranked by learners, and by money."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from decimal import Decimal

from reconcile.domain.messages import SENTENCES
from reconcile.domain.model import Reason
from reconcile.domain.money import Money
from reconcile.reports.model import Bars, Row, Section, Table, tidy
from reconcile.reports.owner.facts import Fact
from reconcile.reports.owner.part import Learners, Scope, numbers, words
from reconcile.reports.words import counted, money, share

#: Of an order whose only attempt is still open, or that was skipped without a word.
UNSETTLED = "unsettled"
_UNSETTLED_SENTENCE = "An attempt is under way, or its process died; the next run settles it."


def cause(fact: Fact) -> str:
    """The reason as a word of the closed list, or `unsettled`."""
    return fact.reason or UNSETTLED


def meaning(name: str) -> str:
    """The sentence for a cause."""
    return SENTENCES[Reason(name)] if name in list(Reason) else _UNSETTLED_SENTENCE


@dataclass
class _Sums:
    learners: Learners = field(default_factory=Learners)
    orders: Counter[str | None] = field(default_factory=Counter)
    money: Money[str | None] = field(default_factory=Money)


class Causes:
    """Part: why."""

    def __init__(self, scope: Scope) -> None:  # noqa: ARG002  every part is made of the scope
        self._causes: defaultdict[str, _Sums] = defaultdict(_Sums)

    def add(self, fact: Fact) -> None:
        """Count it if its learner is not in the course."""
        if not fact.lacks_access:
            return
        sums = self._causes[cause(fact)]
        sums.learners.add(fact)
        sums.orders[fact.currency] += 1
        sums.money.add(fact.amount, fact.currency)

    def section(self) -> Section:
        """Both rankings."""
        by_learners = self._by_learners()
        by_money = self._by_money()
        if not by_learners:
            return Section(name="causes", title="Why", words=["Nobody is without access."])
        return Section(
            name="causes",
            title="Why",
            words=[
                (
                    f"The cause of most: {by_learners[0]['cause']}, "
                    f"{counted(int(str(by_learners[0]['learners'])), 'learner')}. {by_learners[0]['meaning']}"
                )
            ],
            chart=_chart(by_learners, by_money),
            tables=[
                Table(
                    name="causes_by_learners",
                    caption="Causes by learners",
                    columns=(
                        words("cause", 18),
                        numbers("learners"),
                        numbers("orders"),
                        words("meaning", 80),
                    ),
                    rows=by_learners,
                ),
                Table(
                    name="causes_by_money",
                    caption="Causes by money, each currency for itself",
                    columns=(
                        words("currency", 8),
                        words("cause", 18),
                        numbers("amount", 14),
                        numbers("orders"),
                    ),
                    rows=by_money,
                ),
            ],
        )

    def _by_learners(self) -> list[Row]:
        ranked = sorted(
            ((sums.learners.count(), name, sums) for name, sums in self._causes.items()),
            key=lambda item: (-item[0], item[1]),
        )
        return [
            {
                "cause": name,
                "learners": learners,
                "orders": sums.orders.total(),
                "meaning": meaning(name),
            }
            for learners, name, sums in ranked
        ]

    def _by_money(self) -> list[Row]:
        ranked = sorted(
            (
                (currency, amount, name, sums.orders[currency])
                for name, sums in self._causes.items()
                for currency, amount in sums.money.amounts.items()
            ),
            key=lambda item: (str(item[0]), -item[1], item[2]),
        )
        return [
            {"currency": currency, "cause": name, "amount": tidy(amount), "orders": orders}
            for currency, amount, name, orders in ranked
        ]


def _chart(by_learners: list[Row], by_money: list[Row]) -> Bars:
    counts = [int(str(row["learners"])) for row in by_learners]
    dearest: dict[str, Row] = {}
    for row in by_money:
        dearest.setdefault(str(row["currency"]), row)
    most = "; ".join(
        f"{row['cause']} with {money(Decimal(str(row['amount'])), str(row['currency']))}"
        for row in dearest.values()
    )
    return Bars(
        title="Learners without access by cause",
        words=f"{by_learners[0]['cause']} is the cause of {share(counts[0], sum(counts))}. "
        f"The most money hangs on {most or 'nothing'}.",
        labels=[str(row["cause"]) for row in by_learners],
        series={"learners": counts},
        lying=True,
    )
