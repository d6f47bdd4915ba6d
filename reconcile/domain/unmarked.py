"""Paid, and never marked: somebody has paid at Stripe, and the order does not say so. A fold. Pure.

The webhook notes the event in one update and marks the order in a second one; if it dies in between,
Stripe's repetition is answered "already processing", and the order stays as it is for ever (STOREFRONT).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from reconcile.domain.model import AnyEnrollment
from reconcile.domain.order_times import PAID_EVENT, instant

#: A webhook that lives marks the order within seconds.
PATIENCE = timedelta(minutes=15)
#: So many orders are named, the oldest first.
_MOST = 20


def is_unmarked(document: Mapping[str, Any], now: datetime) -> bool:
    """Whether this order was paid long enough ago to be marked, and is not.

    An event that does not tell when it came, or that is to come, is old: no webhook writes such a one.
    """
    events = document.get("stripeEvents")
    if document.get("status") == "paid" or not isinstance(events, list):
        return False
    paid = [event for event in events if isinstance(event, Mapping) and event.get("eventType") == PAID_EVENT]
    came = [instant(event.get("processedAt")) for event in paid]
    return any(at is None or abs(now - at) >= PATIENCE for at in came)


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
