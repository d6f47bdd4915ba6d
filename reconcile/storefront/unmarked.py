"""Orders that are paid at Stripe and were never marked: one query by a partial index of ours.

The index holds only orders that carry a Stripe event of a completed checkout: however many checkouts were
abandoned, they are not in it.
"""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime
from typing import Any

from pymongo import ASCENDING, IndexModel
from pymongo.collection import Collection

from reconcile.domain.unmarked import Unmarked
from reconcile.storefront.errors import store_errors
from reconcile.storefront.order_times import PAID_EVENT, is_unmarked
from reconcile.storefront.reading import PROJECTION, OrderReader

Document = dict[str, Any]

_EVENT: Document = {"stripeEvents.eventType": PAID_EVENT}
INDEX = IndexModel([("status", ASCENDING)], name="reconcile_unmarked", partialFilterExpression=_EVENT)
#: The storefront's other words for an order's status, and none at all.
QUERY: Document = {"status": {"$in": ["pending", "failed", None]}, **_EVENT}


def unmarked_orders(
    orders: Collection[Document], reader: OrderReader, now: datetime, *, without: Container[str | None]
) -> Unmarked:
    """What there is of them, but these ids. Raises StoreUnavailable."""
    found = Unmarked()
    with store_errors("looking for paid orders that are not marked"):
        candidates = (each for each in orders.find(QUERY, PROJECTION) if is_unmarked(each, now))
        for item in reader.read(candidates):
            if item.id not in without:
                found.add(item)
    return found
