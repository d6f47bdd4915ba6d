"""Paid, and never marked: somebody has paid at Stripe, and the order does not say so. A fold. Pure.

The webhook notes the event in one update and marks the order in a second one; if it dies in between,
Stripe's repetition is answered "already processing", and the order stays as it is for ever (STOREFRONT).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from reconcile.domain.model import AnyEnrollment

#: So many orders are named, the oldest first.
_MOST = 20


@dataclass(kw_only=True)
class Unmarked:
    """How many there are, how much money, since when, and which."""

    count: int = 0
    oldest_paid_at: datetime | None = None
    samples: list[AnyEnrollment] = field(default_factory=list)  #: the oldest of them
    _amounts: Counter[str] = field(default_factory=Counter)

    def add(self, item: AnyEnrollment) -> None:
        """Count one order."""
        self.count += 1
        if item.amount is not None:
            # Ten-thousandths, as integers: no amount is lost in a million additions.
            self._amounts[item.currency] += int(item.amount.scaleb(4).to_integral_value())
        if item.paid_at is not None and (self.oldest_paid_at is None or item.paid_at < self.oldest_paid_at):
            self.oldest_paid_at = item.paid_at
        self.samples.append(item)
        self.samples.sort(key=lambda each: (each.paid_at is None, str(each.paid_at), each.id))
        del self.samples[_MOST:]

    @property
    def amounts(self) -> tuple[tuple[str, Decimal], ...]:
        """Money by currency, in major units."""
        return tuple((name, Decimal(total).scaleb(-4)) for name, total in sorted(self._amounts.items()))
