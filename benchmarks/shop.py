"""The storefront's database of the benchmarks: embedded, filled quickly, with the indexes of `init`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.database import Database

from reconcile.base.batched import batched
from reconcile.sandbox.mongo.server import EmbeddedMongo
from reconcile.sandbox.shop.documents import succeeded
from reconcile.sandbox.shop.many_orders import VOLUME_COURSES, many_orders
from reconcile.storefront.setup import create_indexes

Document = dict[str, Any]

COURSES = {course.slug: course.slug.replace("-", " ").title() for course in VOLUME_COURSES}
#: Orders are older than RECONCILE_MIN_AGE, and so are the shop's last tries.
_AGE = timedelta(days=1)
_AT_ONCE = 2000


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """Unsynced paid orders, and who of them the LMS has already. Kept as BSON: they are entered often."""

    orders: list[bytes]
    there: list[tuple[str, str]]

    @property
    def missing(self) -> int:
        """How many are to be enrolled."""
        return len(self.orders) - len(self.there)

    def documents(self) -> Iterator[Document]:
        """The orders as documents."""
        return (bson.decode(order) for order in self.orders)


def backlog(count: int, *, missing: float) -> Backlog:
    """`count` orders of one learner each, of which the share `missing` is not in the LMS: evenly spread."""
    orders, there = [], []
    for number, order in enumerate(plain_orders(count)):
        orders.append(bson.encode(order))
        if int((number + 1) * missing) == int(number * missing):
            there.append((order["email"], order["courseId"]))
    return Backlog(orders=orders, there=there)


def plain_orders(count: int) -> Iterator[Document]:
    """`count` paid orders that nobody has synced, oldest first."""
    return (order for order, _ in many_orders(count, now=datetime.now(UTC) - _AGE))


def synced_orders(count: int) -> Iterator[Document]:
    """`count` paid orders with nothing left to do."""
    for number, order in enumerate(plain_orders(count)):
        sync = succeeded(f"lms{number:09d}", retry_count=0, at=order["createdAt"])
        yield order | {"frappeSync": sync}


class Storefront:
    """The embedded server. Each `database` is a new one."""

    def __init__(self, mongo: EmbeddedMongo, client: MongoClient[Document]) -> None:
        self._mongo = mongo
        self.client = client
        self._numbers = itertools.count(1)

    def uri(self, database: Database[Document]) -> str:
        """The connection string for it."""
        return self._mongo.uri(database.name)

    @contextmanager
    def database(self, orders: Iterable[Document | bytes] = ()) -> Iterator[Database[Document]]:
        """A database with these orders and all indexes; dropped afterwards."""
        database = self.client[f"shop{next(self._numbers)}"]
        try:
            fill(database, orders)
            yield database
        finally:
            self.client.drop_database(database.name)


def fill(database: Database[Document], orders: Iterable[Document | bytes]) -> None:
    """Enter the orders, then make the indexes: in this order it is quickest."""
    for some in batched(orders, _AT_ONCE):
        raw = [RawBSONDocument(each if isinstance(each, bytes) else bson.encode(each)) for each in some]
        database["enrollments"].insert_many(raw, ordered=False)
    create_indexes(database, collection="enrollments", queue=None)


@contextmanager
def storefront() -> Iterator[Storefront]:
    """Start it, stop it."""
    with EmbeddedMongo() as mongo, MongoClient[Document](mongo.uri(), tz_aware=True) as client:
        yield Storefront(mongo, client)
