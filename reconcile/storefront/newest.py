"""NewestSale: when the newest paid order was paid, synced or not. One query on the storefront's own index."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo import DESCENDING
from pymongo.database import Database

from reconcile.base.errors import StoreUnavailable
from reconcile.storefront.errors import store_errors
from reconcile.storefront.order_times import instant


class NewestSale:
    """Sales on MongoDB."""

    def __init__(self, database: Database[dict[str, Any]], *, collection: str) -> None:
        self._orders = database[collection]

    def newest_paid_at(self) -> datetime | None:
        """When the newest paid order was paid (index `status, timestamp`); None where there is none.

        Raises StoreUnavailable, also where that order does not tell.
        """
        with store_errors("reading the newest order"):
            found = self._orders.find_one(
                {"status": "paid"}, {"timestamp": 1}, sort=[("timestamp", DESCENDING)]
            )
        if found is None:
            return None
        name = found["_id"]
        when = instant(found.get("timestamp")) or (
            name.generation_time if isinstance(name, ObjectId) else None
        )
        if when is None:
            raise StoreUnavailable("the newest order does not tell when it was paid")
        return when
