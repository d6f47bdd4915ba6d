"""A day of the sandbox's shop: orders arrive, the webhook loses some, the LMS is down for an hour.

`script` says what will happen, without any I/O; `LivingShop` lets it happen to a database and an LMS.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from reconcile.sandbox.lms_site import Site
from reconcile.sandbox.shop_orders import Books, Document
from reconcile.sandbox.shop_people import OPEN_COURSES, Person

if TYPE_CHECKING:
    from pymongo.database import Database

#: Orders in an hour, by the hour of the day.
_BUSY = (1, 1, 0, 0, 1, 1, 2, 3, 5, 6, 6, 5, 6, 7, 6, 6, 6, 7, 8, 8, 7, 6, 4, 2)
_OUTAGE = (13, 14)
#: What becomes of an order, besides the outage.
WEBHOOK, LOST, NO_ACCOUNT, MALFORMED = "webhook", "lost", "no account", "malformed"
_ERROR = "503: the site is being updated"


@dataclass(frozen=True, kw_only=True)
class Sale:
    """One order of the day, and what becomes of it."""

    at: datetime
    person: Person
    order: Document
    fate: str
    signs_up_at: datetime | None = None  #: in the LMS, where there is no account at first


@dataclass(frozen=True, kw_only=True)
class Script:
    """What happens on that day."""

    start: datetime
    end: datetime
    outage: tuple[datetime, datetime]
    sales: list[Sale]

    def is_down(self, when: datetime) -> bool:
        """Whether the LMS is down then."""
        return self.outage[0] <= when < self.outage[1]

    def by_webhook(self, sale: Sale) -> bool:
        """Whether the shop's own call has given this learner access."""
        return sale.fate == WEBHOOK and not self.is_down(sale.at)

    @property
    def left_to_us(self) -> list[Sale]:
        """The orders that nobody but reconcile can give their access, by the end of the day."""
        return [
            sale
            for sale in self.sales
            if sale.fate != MALFORMED
            and not self.by_webhook(sale)
            and (sale.fate != NO_ACCOUNT or sale.signs_up_at is not None)
        ]


def script(start: datetime, *, hours: range = range(24), seed: int = 11) -> Script:
    """A day that begins at `start` (aware, midnight), or some hours of it; the same for the same seed."""
    books = Books(start, seed)
    sales: list[Sale] = []
    for hour in hours:
        for _ in range(_BUSY[hour]):
            at = start + timedelta(hours=hour, seconds=books.random.randrange(3000))
            sales.append(_sale(books, at, number=len(sales)))
    outage = (start + timedelta(hours=_OUTAGE[0]), start + timedelta(hours=_OUTAGE[1]))
    return Script(
        start=start + timedelta(hours=hours.start),
        end=start + timedelta(hours=hours.stop),
        outage=outage,
        sales=sorted(sales, key=lambda sale: sale.at),
    )


def _sale(books: Books, at: datetime, *, number: int) -> Sale:
    fate, signs_up_at = WEBHOOK, None
    if number % 8 == 3:
        fate = LOST
    elif number % 30 == 5:
        fate, signs_up_at = NO_ACCOUNT, at + timedelta(minutes=100) if number < 60 else None
    elif number % 40 == 20:
        fate = MALFORMED
    person = books.learner(account=fate != NO_ACCOUNT)
    changes: dict[str, Any] = {"amount": "forty-nine"} if fate == MALFORMED else {}
    order = books.order(fate, person, books.course(), at, **changes)
    return Sale(at=at, person=person, order=order, fate=fate, signs_up_at=signs_up_at)


class LivingShop:
    """The shop and the LMS, as the day goes on."""

    def __init__(self, script: Script, database: Database[dict[str, Any]], site: Site) -> None:
        self.script = script
        self._orders, self._site = database["enrollments"], site
        for course in OPEN_COURSES:
            site.add_course(course.slug, title=course.title, paid_course=int(course.paid_in_lms))
        self._coming = sorted(self._happenings(), key=lambda happening: happening[0])
        #: The names of the LMS enrollments that the shop's own webhook has made.
        self.by_webhook: set[str] = set()
        self.orders = 0

    def advance(self, now: datetime) -> list[str]:
        """Let happen what happens until `now`; what people would notice of it."""
        noticed: list[str] = []
        while self._coming and self._coming[0][0] <= now:
            when, what, sale = self._coming.pop(0)
            if sale is None:
                down = what == "down"
                self._site.switches.maintenance = "on" if down else "off"
                noticed.append(f"{when:%H:%M}  the LMS {'is down for maintenance' if down else 'is back'}")
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
            yield sale.at, "order", sale
            if sale.signs_up_at is not None:
                yield sale.signs_up_at, "sign up", sale

    def _order(self, sale: Sale) -> None:
        """Paid; then the webhook, where it lives, calls the LMS."""
        self.orders += 1
        if sale.fate != NO_ACCOUNT:
            self._site.add_user(sale.person.email, full_name=sale.person.full_name)
        done = sale.at + timedelta(seconds=50)
        order = dict(sale.order)
        if self.script.by_webhook(sale):
            row = self._site.enroll(sale.person.email, order["courseId"])
            self.by_webhook.add(row["name"])
            order["frappeSync"] = {
                "synced": True,
                "syncStatus": "success",
                "enrollmentId": row["name"],
                "retryCount": 0,
                "lastSyncAttempt": done,
                "syncCompletedAt": done,
            }
        elif sale.fate == WEBHOOK:  # it has called, and the LMS was down
            order["frappeSync"] = {
                "synced": False,
                "syncStatus": "retrying",
                "errorMessage": _ERROR,
                "retryCount": 1,
                "lastSyncAttempt": done,
            }
        self._orders.insert_one(order)
