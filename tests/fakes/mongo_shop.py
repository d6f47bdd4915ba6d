"""A storefront's side over a real MongoDB server, put together as the composition root does it."""

from __future__ import annotations

from typing import Any

from pymongo.database import Database

from reconcile.adapters.email_rule import email_problem
from reconcile.adapters.mongo import MongoSource
from reconcile.adapters.mongo_orders import MongoOrders
from reconcile.adapters.mongo_queue import RetryQueue
from reconcile.adapters.mongo_reading import OrderReader
from reconcile.domain.identity import PLACEHOLDERS


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
