"""The backlog: what is paid and not synced, how much money, since when. A fold over orders. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from reconcile.domain.model import AnyEnrollment, SyncStatus
from reconcile.domain.money import Money
from reconcile.story.shop_texts import PAID, paid_word

#: The word for an order whose sync status is absent, or none that the storefront knows.
UNSET = "unset"
_KNOWN = (SyncStatus.PENDING, SyncStatus.RETRYING, SyncStatus.FAILED)


@dataclass(kw_only=True)
class Backlog:
    """Counts by sync status, money by currency, the oldest waiting learner."""

    by_status: Counter[str] = field(default_factory=Counter)
    money: Money[str] = field(default_factory=Money)
    oldest_paid_at: datetime | None = None
    oldest_id: str | None = None
    oldest_word: str = PAID  #: `paid`, or `ordered` where that order tells no payment

    def add(self, item: AnyEnrollment) -> None:
        """Count one unsynced order."""
        status = item.sync.status if item.sync.status in _KNOWN else UNSET
        self.by_status[status or UNSET] += 1
        self.money.add(item.amount, item.currency)
        if item.paid_at is not None and (self.oldest_paid_at is None or item.paid_at < self.oldest_paid_at):
            self.oldest_paid_at, self.oldest_id = item.paid_at, item.id
            self.oldest_word = paid_word(item)

    @property
    def unsynced(self) -> int:
        """All of them."""
        return self.by_status.total()

    @property
    def amounts(self) -> dict[str, Decimal]:
        """Money paid without access by currency, in major units."""
        return self.money.amounts

    def amount(self, currency: str) -> Decimal:
        """The same in one currency."""
        return self.money.of(currency)

    def statuses(self) -> dict[str, int]:
        """Every status, the empty ones too."""
        return {status: self.by_status[status] for status in (*_KNOWN, UNSET)}
