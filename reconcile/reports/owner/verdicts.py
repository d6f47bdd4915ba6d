"""The view `summary`: a fold over the enrollments, by outcome, reason and currency, with totals."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from heapq import merge
from math import ceil

from reconcile.domain.model import Outcome
from reconcile.reports.model import Cell, Row, tidy

#: In the place of an outcome, in the rows that sum up all of them.
TOTAL = "total"
#: So many numbers are sorted at once.
_PART = 20_000
_PLACES = {outcome.value: place for place, outcome in enumerate(Outcome)}


@dataclass
class _Sums:
    enrollments: int = 0
    attempts: int = 0
    amount: Decimal = Decimal(0)
    # Eight bytes for each enrollment with access: exact percentiles of a million in 8 MB.
    delays: array[float] = field(default_factory=lambda: array("d"))

    def add(self, row: Row) -> None:
        self.enrollments += 1
        if isinstance(attempts := row["attempts"], int):
            self.attempts += attempts
        if isinstance(amount := row["amount"], int | Decimal):
            self.amount += amount
        if isinstance(delay := row["paid_to_access_seconds"], float):
            self.delays.append(delay)

    def merge(self, other: _Sums) -> None:
        """Count what `other` has counted."""
        self.enrollments += other.enrollments
        self.attempts += other.attempts
        self.amount += other.amount
        self.delays.extend(other.delays)

    def cells(self) -> dict[str, Cell]:
        delays = ascending(self.delays)
        return {
            "enrollments": self.enrollments,
            "attempts": self.attempts,
            "amount": tidy(self.amount),
            "paid_to_access_p50_seconds": percentile(delays, 0.50),
            "paid_to_access_p95_seconds": percentile(delays, 0.95),
            "paid_to_access_max_seconds": delays[-1] if delays else None,
        }


class Summary:
    """Sums over enrollments, added one by one; one without a verdict yet counts under no outcome."""

    def __init__(self) -> None:
        self._groups: defaultdict[tuple[Cell, Cell, Cell], _Sums] = defaultdict(_Sums)

    def add(self, row: Row) -> None:
        """Count one enrollment."""
        self._groups[row["outcome"], row["reason"], row["currency"]].add(row)

    def rows(self) -> Iterator[Row]:
        """One row per outcome, reason and currency, then one `total` per currency."""
        for outcome, reason, currency in sorted(self._groups, key=_order):
            sums = self._groups[outcome, reason, currency]
            yield {"outcome": outcome, "reason": reason, "currency": currency, **sums.cells()}
        for currency in sorted({currency for _, _, currency in self._groups}, key=str):
            total = _Sums()
            for (_, _, of), sums in self._groups.items():
                if of == currency:
                    total.merge(sums)
            yield {"outcome": TOTAL, "reason": None, "currency": currency, **total.cells()}


def ascending(numbers: array[float]) -> array[float]:
    """The same numbers sorted, eight bytes each on the way, too: a list of them takes four times as much."""
    parts = [array("d", sorted(numbers[start : start + _PART])) for start in range(0, len(numbers), _PART)]
    return parts[0] if len(parts) == 1 else array("d", merge(*parts))


def percentile(in_order: Sequence[float], share: float) -> float | None:
    """The smallest value that at least `share` of all do not exceed; None of nothing."""
    if not in_order:
        return None
    return in_order[max(ceil(share * len(in_order)) - 1, 0)]


def _order(group: tuple[Cell, Cell, Cell]) -> tuple[int, str, str]:
    outcome, reason, currency = group
    return _PLACES.get(str(outcome), len(_PLACES)), str(reason or ""), str(currency or "")
