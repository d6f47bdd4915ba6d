"""Who paid twice for the same course: candidates for a refund."""

from __future__ import annotations

from reconcile.domain.money import Money
from reconcile.reports.model import Figure, Row, Section, Table
from reconcile.reports.owner.facts import Fact
from reconcile.reports.owner.part import Scope, listing, numbers, oldest, words
from reconcile.reports.words import counted, moneys


class Duplicates:
    """Part: duplicate payments. Keeps those orders in memory: they are few."""

    def __init__(self, scope: Scope) -> None:  # noqa: ARG002  every part is made of the scope
        self._pairs: dict[tuple[int, str], list[Fact]] = {}

    def add(self, fact: Fact) -> None:
        """Remember it if another paid order for the same learner and course was seen."""
        if fact.flagged:
            self._pairs.setdefault((fact.learner, str(fact.row["course"])), []).append(fact)

    def section(self) -> Section:
        """The payments, those of one learner and course together."""
        if not self._pairs:
            said = "Nobody was seen to have paid twice for the same course."
            return Section(name="duplicates", title="Paid twice", words=[said])
        pairs, candidates = len(self._pairs), 0
        money: Money[str | None] = Money()
        rows: list[Row] = []
        for facts in sorted(
            self._pairs.values(), key=lambda facts: min(fact.enrollment_id for fact in facts)
        ):
            for place, fact in enumerate(oldest(facts, len(facts))):
                # Alone here, its twin was settled by the shop itself.
                candidate = place > 0 or len(facts) == 1
                if candidate:
                    candidates += 1
                    money.add(fact.amount, fact.currency)
                rows.append(_row(fact, candidate=candidate))
        return Section(
            name="duplicates",
            title="Paid twice",
            words=[
                (
                    f"Paid more than once for a course and are in it once: {counted(pairs, 'learner')}. "
                    f"Candidates for a refund: {counted(candidates, 'payment')}, {moneys(money.amounts)}; "
                    "all but the first of each learner and course. Ask the payment provider before you "
                    "refund."
                )
            ],
            figures=[
                Figure(name="pairs", label="paid twice for a course", value=pairs),
                Figure(name="candidates", label="refund candidates", value=candidates),
            ],
            tables=[_table(rows)],
        )


def _table(rows: list[Row]) -> Table:
    return listing(
        "duplicates",
        caption="Payments for the same learner and course",
        columns=(
            words("email", 26),
            words("course", 24),
            words("payment_id", 28),
            words("paid_at", 20),
            numbers("amount"),
            words("currency", 8),
            words("refund_candidate", 5),
            words("outcome"),
            words("enrollment_id", 24),
        ),
        rows=rows,
        command="reconcile report --view attempts --format csv",
    )


def _row(fact: Fact, *, candidate: bool) -> Row:
    return {
        "email": fact.row["email"],
        "course": fact.row["course"],
        "payment_id": fact.row["payment_id"],
        "paid_at": fact.paid_at,
        "amount": fact.row["amount"],
        "currency": fact.currency,
        "refund_candidate": candidate,
        "outcome": fact.outcome,
        "enrollment_id": fact.enrollment_id,
    }
