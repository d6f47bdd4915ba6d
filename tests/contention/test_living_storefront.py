"""The shop at work on the orders that we reconcile: webhook, success page, free grants, its worker, and us.

The LMS refuses no duplicate that is not yet committed, and is late for some: it looks, and commits three
seconds later, whoever has gone away meanwhile. Times are scaled down, and all in the same proportion:

    the shop's and our patience with the LMS 1 s · the LMS's lateness 3 s · RECONCILE_MIN_AGE 10 s · hold 8 s
"""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from reconcile.audit.log import open_audit
from reconcile.run.checking import FRESH
from reconcile.sandbox.lms.faults import Fault
from reconcile.sandbox.lms.server import FrappeStandIn
from reconcile.sandbox.lms.site import Site, load_site
from reconcile.sandbox.mongo.server import EmbeddedMongo
from reconcile.sandbox.servers import KEY
from reconcile.sandbox.shop.storefront import Storefront
from tests.contention.test_contention import end, start

COURSE = "python-basics"
PATIENCE, LATE = 1.0, 3.0
PROCESSES = 3
#: The longest that everything may take after the last payment.
LONGEST = 180.0


@dataclass(frozen=True, kw_only=True)
class Day:
    """So many orders, paid within so many seconds."""

    orders: int
    seconds: float


DAYS = [
    pytest.param(Day(orders=150, seconds=15), id="150-orders"),
    pytest.param(Day(orders=1000, seconds=120), id="1000-orders", marks=pytest.mark.slow),
]


class LateLms:
    """Commits three seconds after it has looked, once for each of these learners."""

    def __init__(self, site: Site) -> None:
        self.members: set[str] = set()
        self._insert = site.insert
        self._lock = threading.Lock()
        site.insert = self._late  # type: ignore[method-assign]

    def _late(self, rows: Any) -> None:
        rows = list(rows)
        with self._lock:
            late = {row["member"] for row in rows} & self.members
            self.members -= late
        if late:
            time.sleep(LATE)
        self._insert(rows)


@dataclass(kw_only=True)
class Shop:
    """The storefront, and how its payments come in."""

    database: Database[dict[str, Any]]
    storefront: Storefront
    lms: FrappeStandIn
    late: LateLms
    never: set[str] = field(default_factory=set)  #: whose order is not paid, by the shop's books
    pairs: set[str] = field(default_factory=set)  #: who has paid

    def checkout(self, email: str) -> str:
        """Opened hours ago: the opening tells nothing of the payment."""
        order = self.storefront.open_checkout(email, COURSE, 49)
        opened = datetime.now(UTC) - timedelta(hours=random.uniform(1, 20))
        self.database.enrollments.update_one(
            {"_id": ObjectId(order)},
            {"$set": {"timestamp": opened.isoformat(), "createdAt": opened, "updatedAt": opened}},
        )
        return order

    def fault(self, email: str, kind: str, times: int) -> None:
        self.lms.faults.add(Fault(kind=kind, operation="enroll", member=email, times=times))

    # --- how an order can go -------------------------------------------------------------------

    def by_webhook(self, email: str) -> None:
        self.storefront.webhook(self.checkout(email))

    def by_page(self, email: str) -> None:
        self.storefront.success_page(self.checkout(email))

    def by_both(self, email: str) -> None:
        order = self.checkout(email)
        both = [
            threading.Thread(target=way, args=(order,))
            for way in (
                self.storefront.webhook,
                self.storefront.success_page,
            )
        ]
        for each in both:
            each.start()
        for each in both:
            each.join()

    def webhook_refused(self, email: str) -> None:
        self.fault(email, "refuse", 2)
        self.by_webhook(email)

    def webhook_dies(self, email: str) -> None:
        self.storefront.webhook(self.checkout(email), dies_after="paid")

    def webhook_dies_and_we_are_late(self, email: str) -> None:
        self.late.members.add(email)
        self.webhook_dies(email)

    def page_late(self, email: str) -> None:
        self.late.members.add(email)
        self.by_page(email)

    def page_cut(self, email: str) -> None:
        self.fault(email, "502_html", 1)
        self.by_page(email)

    def grant(self, email: str) -> None:
        self.storefront.free_grant(email, COURSE)

    def grant_late(self, email: str) -> None:
        self.late.members.add(email)
        self.grant(email)

    def paid_twice(self, email: str) -> None:
        """The same course once more, at about the time at which we come for the first order.

        The shop's call for the second one follows its payment by a moment, longer than a write of ours may
        be on its way: two that cross in the same instant nobody can prevent (docs/operations.md).
        """
        self.webhook_dies(email)
        time.sleep(random.uniform(9.5, 13))
        order = self.checkout(email)
        self.storefront.webhook(order, dies_after="paid")
        # A write of ours leaves FRESH after its check was sent at most; then the LMS has PATIENCE to answer.
        time.sleep(FRESH + PATIENCE + 0.5)
        self.late.members.add(email)
        self.database.retry_jobs.insert_one(
            {
                "jobType": "frappe_enrollment",
                "enrollmentId": ObjectId(order),
                "payload": {"user_email": email, "course_id": COURSE, "paid_status": True},
                "attempts": 0,
                "nextRetryAt": datetime.now(UTC),
                "status": "pending",
            }
        )

    def paid_twice_as_another(self, email: str) -> None:
        """The same, and the second order's buyer has another address; the LMS account is the same."""
        self.webhook_dies(email)
        time.sleep(random.uniform(9.5, 13))
        order = self.checkout(email.replace("learner", "buyer"))
        self.database.enrollments.update_one(
            {"_id": ObjectId(order)}, {"$set": {"lmsContext": {"frappeEmail": email}}}
        )
        self.storefront.success_page(order)

    def never_marked(self, email: str) -> None:
        self.never.add(email)
        self.storefront.webhook(self.checkout(email), dies_after="event")

    def cancelled(self, email: str) -> None:
        self.never.add(email)
        self.storefront.cancel(self.checkout(email))

    @property
    def ways(self) -> Sequence[Callable[[str], None]]:
        return (
            *(self.by_webhook, self.by_page, self.by_both, self.page_late, self.page_late),
            *(self.webhook_refused, self.webhook_dies, self.webhook_dies_and_we_are_late),
            *(self.page_cut, self.grant, self.grant_late, self.never_marked, self.cancelled),
            *(self.paid_twice, self.paid_twice_as_another),
        )

    def unsettled(self) -> int:
        return self.database.enrollments.count_documents(
            {"status": "paid", "frappeSync.syncStatus": {"$ne": "success"}}
        )


@contextmanager
def repeated(work: Callable[[], object], *, every: float, times: int = 1) -> Iterator[list[Exception]]:
    """Do it again and again, in so many threads, while the block goes on; what went wrong."""
    stop, problems = threading.Event(), []

    def go_on() -> None:
        while not stop.is_set():
            try:
                work()
            except Exception as error:  # noqa: BLE001  shown by the test
                problems.append(error)
                return
            stop.wait(every)

    threads = [threading.Thread(target=go_on) for _ in range(times)]
    for thread in threads:
        thread.start()
    try:
        yield problems
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("day", DAYS)
def test_beside_the_living_storefront_nobody_is_lost_and_nobody_is_doubled(
    day: Day, mongo: EmbeddedMongo, database: Database[dict[str, Any]], tmp_path: Path
) -> None:
    emails = [f"learner{number:04}@example.com" for number in range(day.orders)]
    site = load_site(
        [{"email": email} for email in (*emails, "old@example.com")],
        [{"name": COURSE}],
        [{"member": "old@example.com", "course": COURSE}],
    )
    audit = tmp_path / "audit.db"
    open_audit(f"sqlite:///{audit}").close()
    with FrappeStandIn(site) as lms:
        shop = Shop(
            database=database,
            storefront=Storefront(database, lms_url=lms.url, timeout=PATIENCE, retry_delay=0.2),
            lms=lms,
            late=LateLms(site),
        )
        environment = {
            "MONGODB_URI": mongo.uri(database.name),
            "FRAPPE_LMS_BASE_URL": lms.url,
            "FRAPPE_LMS_API_KEY": KEY,
            "RECONCILE_MIN_AGE": "10s",
            "RECONCILE_AMBIGUOUS_HOLD": "8s",
            "RECONCILE_TIMEOUT": "1s",
            "RECONCILE_RETRY_DELAY": "0.2s",
            "RECONCILE_BACKOFF_BASE": "2s",
        }

        def run() -> None:
            ended = end(start(environment, audit))
            assert ended.code in (0, 1), ended.complaints
            assert "Traceback" not in ended.complaints

        with (
            repeated(run, every=0.5, times=PROCESSES) as ours,
            repeated(shop.storefront.work_queue, every=1.0) as worker,
        ):
            _let_pay(shop, emails, day)
            deadline = time.monotonic() + LONGEST
            while (left := shop.unsettled()) and time.monotonic() < deadline and not ours:
                time.sleep(0.5)
            time.sleep(2 * LATE)  # what is still on its way arrives
        duplicates, rows = site.duplicates(), site.enrollments()

    assert (ours, worker, left) == ([], [], 0)
    assert duplicates == {}
    paid = set(emails) - shop.never
    assert {row["member"] for row in rows} == paid | {"old@example.com"}
    writes = _writes(audit)
    # Where the shop was first the LMS would have told us so: we have not even asked.
    assert writes["already_enrolled"] == 0, writes
    assert writes["enrolled"] >= day.orders // 10, writes
    assert writes["recovered"] + writes["retrying"] > 0, writes
    assert database.enrollments.count_documents({"status": "pending"}) > 0  # never marked, never enrolled
    assert database.retry_jobs.count_documents({"status": {"$in": ["pending", "processing"]}}) == 0


def _let_pay(shop: Shop, emails: Sequence[str], day: Day) -> None:
    """Every order in its own way, spread over the time; more of them at once than the shop has handlers."""
    with ThreadPoolExecutor(48) as handlers:
        began, handled = time.monotonic(), []
        for number, email in enumerate(emails):
            wait = began + day.seconds * number / len(emails) - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            handled.append(handlers.submit(shop.ways[number % len(shop.ways)], email))
        for each in handled:
            each.result()


def _writes(audit: Path) -> Counter[str]:
    """What came of our own requests to enroll."""
    with closing(sqlite3.connect(audit)) as file:
        found = file.execute("SELECT outcome FROM attempts WHERE number > 0 AND outcome != 'skipped'")
        return Counter(outcome for (outcome,) in found)
