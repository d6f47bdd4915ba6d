"""A storefront's side over a real MongoDB server, put together as the composition root does it."""

from __future__ import annotations

from typing import Any

from pymongo.database import Database

from reconcile.domain.identity import PLACEHOLDERS
from reconcile.storefront.email_rule import email_problem
from reconcile.storefront.orders import MongoOrders
from reconcile.storefront.reading import OrderReader
from reconcile.storefront.retry_queue import RetryQueue
from reconcile.storefront.source import MongoSource


def mongo_source(
    database: Database[Any], *, collection: str = "enrollments", page_size: int = 200
) -> MongoSource:
    """The orders that runs look at."""
    queue = RetryQueue(database)
    return MongoSource(
        database, collection=collection, reader=_reader(queue), queue=queue, page_size=page_size
    )


def mongo_orders(database: Database[Any], *, collection: str = "enrollments") -> MongoOrders:
    """The orders that people look up."""
    queue = RetryQueue(database)
    return MongoOrders(database, collection=collection, reader=_reader(queue), queue=queue)


def _reader(queue: RetryQueue) -> OrderReader:
    return OrderReader(email_rule=email_problem, placeholders=PLACEHOLDERS, queue=queue)
