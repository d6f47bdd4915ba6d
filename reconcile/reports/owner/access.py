"""How long it took from payment to access."""

from __future__ import annotations

from array import array
from collections.abc import Mapping

from reconcile.domain.model import Outcome
from reconcile.reports.model import Figure, Row, Section, Table, Unit
from reconcile.reports.owner.facts import Fact
from reconcile.reports.owner.part import Scope, numbers, words
from reconcile.reports.owner.verdicts import ascending, percentile
from reconcile.reports.words import counted, span

_ALL = "all"
_HOW = {
    "given by reconcile": (Outcome.ENROLLED, Outcome.RECOVERED),
    "had it already": (Outcome.ALREADY_ENROLLED,),
}
#: Every outcome with access, by its value.
_HOW_OF: Mapping[str | None, str] = {
    outcome.value: name for name, outcomes in _HOW.items() for outcome in outcomes
}


class Access:
    """Part: paid to access."""

    def __init__(self, scope: Scope) -> None:  # noqa: ARG002  every part is made of the scope
        # Eight bytes for each order with access: exact percentiles.
        self._delays = {name: array("d") for name in _HOW}

    def add(self, fact: Fact) -> None:
        """Count it if both instants are known."""
        delay = fact.row["paid_to_access_seconds"]
        if isinstance(delay, float) and fact.outcome in _HOW_OF:
            self._delays[_HOW_OF[fact.outcome]].append(delay)

    def section(self) -> Section:
        """The percentiles."""
        everything = array("d")
        for delays in self._delays.values():
            everything.extend(delays)
        total = _row(_ALL, ascending(everything))
        rows = [*(_row(name, ascending(delays)) for name, delays in self._delays.items()), total]
        figures = [
            Figure(
                name="p50_seconds",
                label="half had access within",
                value=total["p50_seconds"],
                unit=Unit.SECONDS,
            ),
            Figure(
                name="p95_seconds", label="95 of 100 within", value=total["p95_seconds"], unit=Unit.SECONDS
            ),
            Figure(
                name="max_seconds", label="the longest took", value=total["max_seconds"], unit=Unit.SECONDS
            ),
        ]
        return Section(
            name="access",
            title="From payment to access",
            words=self._words(total),
            figures=figures,
            tables=[
                Table(
                    name="access_time",
                    caption="Time from payment to access",
                    columns=(
                        words("access", 20),
                        numbers("orders"),
                        numbers("p50_seconds"),
                        numbers("p95_seconds"),
                        numbers("max_seconds"),
                    ),
                    rows=rows,
                )
            ],
        )

    def _words(self, total: Row) -> list[str]:
        orders = int(str(total["orders"]))
        if not orders:
            return ["No order that was seen here has access yet."]
        half, most, longest = (
            span(float(str(total[name]))) for name in ("p50_seconds", "p95_seconds", "max_seconds")
        )
        return [
            (
                f"Of {counted(orders, 'order')} that reconcile settled, half had access within {half}, "
                f"95 of 100 within {most}; the longest took {longest}."
            ),
            (
                "Orders that the shop settled by itself are not among them. Who had access already "
                "counts until reconcile saw it."
            ),
        ]


def _row(name: str, delays: array[float]) -> Row:
    return {
        "access": name,
        "orders": len(delays),
        "p50_seconds": percentile(delays, 0.50),
        "p95_seconds": percentile(delays, 0.95),
        "max_seconds": delays[-1] if delays else None,
    }
