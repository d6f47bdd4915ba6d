"""The backlog: what is paid and not synced, how much money, since when. A fold over orders. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from reconcile.domain.model import AnyEnrollment, SyncStatus
from reconcile.story.shop_texts import PAID, paid_word

#: The word for an order whose sync status is absent, or none that the storefront knows.
UNSET = "unset"
_KNOWN = (SyncStatus.PENDING, SyncStatus.RETRYING, SyncStatus.FAILED)


@dataclass(kw_only=True)
class Backlog:
    """Counts by sync status, money by currency (major units), the oldest waiting learner."""

    by_status: Counter[str] = field(default_factory=Counter)
    amounts: Counter[str] = field(default_factory=Counter)
    oldest_paid_at: datetime | None = None
    oldest_id: str | None = None
    oldest_word: str = PAID  #: `paid`, or `ordered` where that order tells no payment

    def add(self, item: AnyEnrollment) -> None:
        """Count one unsynced order."""
        status = item.sync.status if item.sync.status in _KNOWN else UNSET
        self.by_status[status or UNSET] += 1
        if item.amount is not None:
            # Ten-thousandths, as integers: no amount is lost in a million additions.
            self.amounts[item.currency] += int(item.amount.scaleb(4).to_integral_value())
        if item.paid_at is not None and (self.oldest_paid_at is None or item.paid_at < self.oldest_paid_at):
            self.oldest_paid_at, self.oldest_id = item.paid_at, item.id
            self.oldest_word = paid_word(item)

    @property
    def unsynced(self) -> int:
        """All of them."""
        return self.by_status.total()

    def amount(self, currency: str) -> Decimal:
        """Money paid without access, in major units."""
        return Decimal(self.amounts[currency]).scaleb(-4)

    def statuses(self) -> dict[str, int]:
        """Every status, the empty ones too."""
        return {status: self.by_status[status] for status in (*_KNOWN, UNSET)}
