"""The storefront's side in bulk, against bare PyMongo doing the least that could do the same, in one run.

    python benchmarks/orders.py [ORDERS]

Milliseconds for 1,000 orders on the embedded server, with our indexes: wall time, and our own processor
time beyond PyMongo's. Both take turns, so that a busy machine is busy for both; the median of three.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo import UpdateOne, WriteConcern
from pymongo.database import Database

from reconcile.base.batched import batched
from reconcile.domain.identity import PLACEHOLDERS
from reconcile.domain.model import Enrollment, Outcome, Verdict
from reconcile.run.ports import Origin
from reconcile.run.source import Selection, WriteBack
from reconcile.sandbox.mongo.server import EmbeddedMongo
from reconcile.storefront.connect import connect
from reconcile.storefront.email_rule import email_problem
from reconcile.storefront.ids import AT_ONCE, document_id
from reconcile.storefront.leases import MongoLeases
from reconcile.storefront.reading import PROJECTION, OrderReader
from reconcile.storefront.retry_queue import RetryQueue
from reconcile.storefront.setup import create_indexes
from reconcile.storefront.source import MongoSource

Document = dict[str, Any]
PAGE, HANDFUL, TURNS = 200, 25, 3
NOW = datetime.now(UTC).replace(microsecond=0)
DURABLE = WriteConcern(w="majority", j=True)
#: Milliseconds of processor for an order that needs nothing, beyond PyMongo's own.
GOAL = 0.08


class Clock:
    """Adds up wall and processor time, in seconds, of what is done inside."""

    def __init__(self) -> None:
        self.wall = self.processor = 0.0

    def __enter__(self) -> None:
        self._began = time.perf_counter(), time.process_time()

    def __exit__(self, *_: object) -> None:
        self.wall += time.perf_counter() - self._began[0]
        self.processor += time.process_time() - self._began[1]


@dataclass
class Bench:
    """One shop, looked at in both ways."""

    database: Database[Document]
    count: int
    source: MongoSource = field(init=False)
    leases: MongoLeases = field(init=False)
    orders: list[Enrollment] = field(default_factory=list)
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        queue = RetryQueue(self.database)
        reader = OrderReader(email_rule=email_problem, placeholders=PLACEHOLDERS, queue=queue)
        self.source = MongoSource(self.database, collection="enrollments", reader=reader, queue=queue)
        origin = Origin(host="benchmark", pid=1, process_started="1")
        self.leases = MongoLeases(self.database, origin=origin, ttl=600.0, hold=180.0)
        self.raw = self.database.get_collection("enrollments", write_concern=DURABLE)
        self.raw_leases = self.database.get_collection("reconcile_leases", write_concern=DURABLE)

    def fill(self) -> None:
        """Orders of which none is synced, and a queue with a job for every tenth."""
        self.database.retry_jobs.insert_one({"enrollmentId": "none", "status": "completed"})
        create_indexes(self.database, collection="enrollments", queue=None)
        for numbers in batched(range(self.count), 1000):
            documents = [_order(number) for number in numbers]
            self.raw.insert_many(documents)
            jobs = [{"enrollmentId": each["_id"], "status": "pending"} for each in documents[::10]]
            self.database.retry_jobs.insert_many(jobs)

    def scan(self) -> None:
        """Read and parse."""
        self.orders = [item for item in self.source.scan(Selection()) if isinstance(item, Enrollment)]

    def bare_scan(self) -> None:
        """Read."""
        query = {"status": "paid", "frappeSync.syncStatus": "failed"}
        for _ in self.raw.find(query, PROJECTION, batch_size=PAGE).sort("_id", 1):
            pass

    def count_twice(self) -> None:
        """Who has paid twice."""
        for page in batched(self.orders, PAGE):
            self.source.paid_twice(page)

    def bare_twice(self) -> None:
        """The same by reading all of them whole."""
        for page in batched(self.orders, PAGE):
            for name in ("email", "lmsContext.frappeEmail"):
                query = {name: {"$in": [item.email for item in page]}, "status": "paid"}
                list(self.raw.find(query, PROJECTION, batch_size=AT_ONCE))

    def last_look(self) -> None:
        """Orders, twins and jobs right before writes."""
        for page in batched(self.orders, PAGE):
            self.source.last_look(page)

    def bare_look(self) -> None:
        """The three queries."""
        for page in batched(self.orders, PAGE):
            names = [document_id(item.id) for item in page]
            jobs = {"enrollmentId": {"$in": [*names, *map(str, names)]}}
            list(self.database.retry_jobs.find(jobs, batch_size=AT_ONCE))
            for name in ("email", "lmsContext.frappeEmail"):
                query = {name: {"$in": [item.email for item in page]}, "status": "paid"}
                list(self.raw.find(query, PROJECTION, batch_size=AT_ONCE))

    def fence(self) -> None:
        """Fence what is leased, a handful at a time."""
        for page in batched(self.orders, PAGE):
            leases = self.leases.take([item.key for item in page], "benchmark")
            for handful in batched(leases.values(), HANDFUL):
                with self.clock:
                    self.leases.fence_all([(lease, number) for number, lease in enumerate(handful)])
            self.leases.release(list(leases.values()))

    def bare_fence(self) -> None:
        """Plain updates of as many documents."""
        for page in batched(self.orders, PAGE):
            leases = self.leases.take([item.key for item in page], "benchmark")
            names = [f"{key.member}\n{key.course}" for key in leases]
            for handful in batched(names, HANDFUL):
                with self.clock:
                    mark = {"$set": {"writing_until": datetime.now(UTC) + timedelta(seconds=190)}}
                    self.raw_leases.bulk_write([UpdateOne({"_id": each}, mark) for each in handful])
            self.leases.release(list(leases.values()))

    def write_back(self) -> None:
        """Verdicts into the orders."""
        verdict = Verdict(outcome=Outcome.RETRYING, error="again", attempts=1)
        at = datetime.now(UTC)
        for page in batched(self.orders, PAGE):
            self.source.write_back(
                [WriteBack(enrollment_id=item.id, verdict=verdict, at=at) for item in page]
            )

    def bare_write_back(self) -> None:
        """As many plain updates of the same fields."""
        fields = {"syncStatus": "failed", "lastSyncAttempt": datetime.now(UTC), "errorMessage": "no"}
        update: Document = {"$set": {f"frappeSync.{name}": value for name, value in fields.items()}}
        for page in batched(self.orders, PAGE):
            self.raw.bulk_write(
                [UpdateOne({"_id": document_id(item.id)}, update) for item in page], ordered=False
            )


def _order(number: int) -> Document:
    event = {"eventId": f"evt_{number}", "eventType": "checkout.session.completed", "processedAt": NOW}
    return {
        "_id": ObjectId(),
        "email": f"learner.{number}@example.com",
        "courseId": "python-basics",
        "paymentId": f"pi_{number}",
        "amount": 199.0,
        "currency": "usd",
        "status": "paid",
        "timestamp": NOW.isoformat(),
        "createdAt": NOW,
        "updatedAt": NOW,
        "stripeEvents": [event],
        "frappeSync": {"synced": False, "syncStatus": "failed", "retryCount": 1, "errorMessage": "no"},
    }


def measured(bench: Bench, way: Callable[[], None]) -> Clock:
    """Do it once."""
    clock = Clock()
    if way in (bench.fence, bench.bare_fence):
        bench.clock = clock
        way()
    else:
        with clock:
            way()
    return clock


def main() -> int:
    """Measure and print; 1 where an order that needs nothing costs more processor than the goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("orders", type=int, nargs="?", default=2000)
    options = parser.parse_args()
    with EmbeddedMongo() as server:
        bench = Bench(connect(server.uri("shop"), "shop"), options.orders)
        bench.fill()
        bench.scan()
        lines = {
            "scan": (bench.scan, bench.bare_scan),
            "paid twice": (bench.count_twice, bench.bare_twice),
            "last look": (bench.last_look, bench.bare_look),
            "fence": (bench.fence, bench.bare_fence),
            "write back": (bench.write_back, bench.bare_write_back),
        }
        print(f"{'per 1,000 orders, ms':<22}{'ours':>8}{'bare':>8}{'ratio':>7}{'processor beyond':>18}")
        beyond = {}
        for name, (ours, bare) in lines.items():
            turns = [(measured(bench, ours), measured(bench, bare)) for _ in range(TURNS)]
            mine, theirs = (statistics.median(turn[which].wall for turn in turns) for which in (0, 1))
            more = statistics.median(turn[0].processor - turn[1].processor for turn in turns)
            beyond[name] = more / options.orders * 1000
            each = 1e6 / options.orders
            print(
                f"{name:<22}{mine * each:8.1f}{theirs * each:8.1f}{mine / theirs:7.2f}"
                f"{beyond[name] * 1000:18.1f}"
            )
    print(f"an order that needs nothing: {beyond['scan']:.3f} ms of processor (goal {GOAL})")
    return 0 if beyond["scan"] <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
