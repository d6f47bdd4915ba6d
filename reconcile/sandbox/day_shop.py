"""The day of a `Script` as it goes on: a living storefront and an LMS, on the day's own time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from reconcile.sandbox.day import (
    CANCELLED,
    GIVEN_UP,
    GRANT,
    LOST,
    MALFORMED,
    NO_ACCOUNT,
    PAGE,
    PLACEHOLDER,
    UNMARKED,
    Sale,
    Script,
)
from reconcile.sandbox.lms.server import FrappeStandIn
from reconcile.sandbox.shop.documents import MAX_ATTEMPTS
from reconcile.sandbox.shop.people import OPEN_COURSES, price
from reconcile.sandbox.shop.storefront import Storefront

#: How often somebody posted to the queue's worker on the day before: longer than it ever waits.
_BY_HAND = timedelta(minutes=40)


class LivingShop:
    """The shop and the LMS, as the day goes on."""

    def __init__(self, script: Script, database: Database[dict[str, Any]], lms: FrappeStandIn) -> None:
        self.script = script
        self._orders, self._site = database["enrollments"], lms.site
        self._now = script.start
        self._storefront = Storefront(
            database, lms_url=lms.url, timeout=60.0, retry_delay=0.0, clock=lambda: self._now
        )
        for course in OPEN_COURSES:
            lms.site.add_course(course.slug, title=course.title, paid_course=int(course.paid_in_lms))
        self._coming = sorted(self._happenings(), key=lambda happening: happening[0])
        self._ids: dict[str, str] = {}  #: of the orders, by the buyer's address
        #: The names of the LMS enrollments that the shop's own calls have made.
        self.by_shop: set[str] = set()
        self.orders = 0

    def advance(self, now: datetime) -> list[str]:
        """Let happen what happens until `now`; what people would notice of it."""
        noticed: list[str] = []
        while self._coming and self._coming[0][0] <= now:
            self._now, what, sale = self._coming.pop(0)
            if sale is None:
                down = what == "down"
                self._site.switches.maintenance = "on" if down else "off"
                said = "is down for maintenance" if down else "is back"
                noticed.append(f"{self._now:%H:%M}  the LMS {said}")
            elif what == "checkout":
                self._checkout(sale)
            elif what == "order":
                self._order(sale)
            else:
                self._site.add_user(sale.person.email, full_name=sale.person.full_name)
        return noticed

    def _happenings(self) -> Iterator[tuple[datetime, str, Sale | None]]:
        begin, end = self.script.outage
        yield begin, "down", None
        yield end, "up", None
        for sale in self.script.sales:
            yield sale.opened_at, "checkout", sale
            yield sale.at, "order", sale
            if sale.signs_up_at is not None:
                yield sale.signs_up_at, "sign up", sale

    def _checkout(self, sale: Sale) -> None:
        if sale.fate not in (NO_ACCOUNT, PLACEHOLDER):
            self._site.add_user(sale.person.email, full_name=sale.person.full_name)
        if sale.fate != GRANT:
            email, course = sale.person.email, sale.course
            self._ids[email] = self._storefront.open_checkout(email, course.slug, price(course))

    def _order(self, sale: Sale) -> None:
        """The payment, or what takes its place; the shop does with it what it does."""
        email = sale.person.email
        if sale.fate == CANCELLED:
            self._storefront.cancel(self._ids[email])
            return
        self.orders += 1
        if sale.fate == GRANT:
            self._ids[email] = self._storefront.free_grant(email, sale.course.slug)
        elif sale.fate == PAGE:
            self._storefront.success_page(self._ids[email])
        elif sale.fate == GIVEN_UP:
            self._give_up(self._ids[email])
        elif sale.fate == UNMARKED:
            self._storefront.webhook(self._ids[email], dies_after="event")
        elif sale.fate in (LOST, MALFORMED):
            self._storefront.webhook(self._ids[email], dies_after="paid")
        else:
            self._storefront.webhook(self._ids[email])
        query = {"_id": ObjectId(self._ids[email])}
        if sale.fate == MALFORMED:
            self._orders.update_one(query, {"$set": {"amount": "forty-nine"}})
        order = self._orders.find_one(query) or {}
        if name := order.get("frappeSync", {}).get("enrollmentId"):
            self.by_shop.add(name)

    def _give_up(self, order_id: str) -> None:
        """The LMS was down that evening, and somebody posted to the queue's worker until it gave up."""
        self._site.switches.maintenance = "on"
        self._storefront.success_page(order_id)
        for _ in range(MAX_ATTEMPTS):
            self._now += _BY_HAND
            self._storefront.work_queue()
        self._site.switches.maintenance = "off"
