"""Paid, and never marked: somebody has paid at Stripe, and the order does not say so. A fold. Pure.

The webhook notes the event in one update and marks the order in a second one; if it dies in between,
Stripe's repetition is answered "already processing", and the order stays as it is for ever (STOREFRONT).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from reconcile.domain.model import AnyEnrollment
from reconcile.domain.money import Money

#: So many orders are named, the oldest first.
_MOST = 20


@dataclass(kw_only=True)
class Unmarked:
    """How many there are, how much money, since when, and which."""

    count: int = 0
    oldest_paid_at: datetime | None = None
    samples: list[AnyEnrollment] = field(default_factory=list)  #: the oldest of them
    money: Money[str] = field(default_factory=Money)

    def add(self, item: AnyEnrollment) -> None:
        """Count one order."""
        self.count += 1
        self.money.add(item.amount, item.currency)
        if item.paid_at is not None and (self.oldest_paid_at is None or item.paid_at < self.oldest_paid_at):
            self.oldest_paid_at = item.paid_at
        self.samples.append(item)
        self.samples.sort(key=lambda each: (each.paid_at is None, str(each.paid_at), each.id))
        del self.samples[_MOST:]

    @property
    def amounts(self) -> tuple[tuple[str, Decimal], ...]:
        """Money by currency, in major units."""
        return tuple(self.money.amounts.items())
