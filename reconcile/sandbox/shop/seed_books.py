"""The books of the made-up shop: how it writes an order, and an LMS account. No I/O.

Field names and habits are the storefront's; how its calls to the LMS went is in `seed_calls`, and what
happens to which order in `seed_repairs`, `seed_queue`, `seed_checkouts` and `seed_refusals`.
Everything is a function of the seed and of `now`.
"""

from __future__ import annotations

import string
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from bson import ObjectId

from reconcile.sandbox.shop.documents import PAYMENT_EVENT, Document, event, iso, new_sync, to_millisecond
from reconcile.sandbox.shop.people import OPEN_COURSES, Course, Person, people, price

#: What one run must do about an order: the headings of `expected` that are no kinds.
ENROLLABLE, CONFIRMABLE, COVERED = "enrollable", "confirmable", "covered"

_LETTERS = string.ascii_letters + string.digits
#: Orders by the hour of the day (UTC): few at night, most in the evening.
_HOURS = (2, 1, 1, 1, 1, 2, 4, 6, 8, 9, 9, 8, 8, 9, 9, 9, 10, 11, 12, 12, 11, 9, 6, 4)
_WEEKS = 5


class Books:
    """Collects what the shop and the LMS hold, and what a run is expected to do about it."""

    def __init__(self, now: datetime, seed: int) -> None:
        if now.tzinfo is None:
            raise ValueError("now must be an aware datetime")
        self.now = now.astimezone(UTC).replace(microsecond=0)
        self.random = Random(seed)  # noqa: S311  a shop made of dice, not a secret
        self.enrollments: list[Document] = []
        self.retry_jobs: list[Document] = []
        self.lms_users: dict[str, Document] = {}
        self.lms_enrollments: dict[tuple[str, str], Document] = {}
        self.expected: dict[str, list[str]] = {}
        self._people = people(self.random)
        self._machine = self.random.randbytes(5)
        self._counter = self.random.randrange(0x400000)

    def object_id(self, when: datetime) -> ObjectId:
        """The next id, made at `when`."""
        self._counter += 1
        seconds = int(when.timestamp()).to_bytes(4, "big")
        return ObjectId(seconds + self._machine + self._counter.to_bytes(3, "big"))

    def token(self, prefix: str, length: int = 24) -> str:
        """An identifier as Stripe makes them."""
        return prefix + "".join(self.random.choices(_LETTERS, k=length))

    def learner(self, *, account: bool = True, enabled: bool = True) -> Person:
        """Somebody new, usually with an LMS account."""
        person = next(self._people)
        if account:
            self.account(person.email, person.full_name, enabled=enabled)
        return person

    def account(self, email: str, full_name: str, *, enabled: bool = True) -> None:
        """Sign somebody up in the LMS."""
        self.lms_users[email] = {"email": email, "full_name": full_name, "enabled": int(enabled)}

    def course(self) -> Course:
        """A course that can be bought and entered."""
        return self.random.choice(OPEN_COURSES)

    def some_day(self) -> datetime:
        """An order time in the last weeks, more than a day ago."""
        midnight = self.now.replace(hour=0, minute=0, second=0)
        hour = self.random.choices(range(24), weights=_HOURS)[0]
        day = midnight - timedelta(days=self.random.randint(2, 7 * _WEEKS))
        return day + timedelta(hours=hour, milliseconds=self.random.randrange(3_600_000))

    def lately(self) -> datetime:
        """An order time in the last day, more than an hour ago."""
        return self.ago(minutes=self.random.uniform(65, 1400))

    def ago(self, *, minutes: float) -> datetime:
        """That long before `now`."""
        return to_millisecond(self.now - timedelta(minutes=minutes))

    def order(
        self,
        kind: str,
        person: Person,
        course: Course,
        when: datetime,
        *,
        currency: str = "usd",
        paid: datetime | None = None,
        page: bool | None = None,
        **changes: Any,
    ) -> Document:
        """Enter a paid order that nobody has sent on to the LMS; `changes` are fields.

        `when` is the opening of the checkout: `timestamp` and `createdAt` say no more than that. The
        payment can be hours younger. The webhook notes it as an event; where the success page (`page`)
        was first there is none, and only `updatedAt` tells.
        """
        paid = paid or self._paid_at(when)
        if page is None:
            page = self.random.random() < 0.3
        document: Document = {
            "_id": self.object_id(when),
            "courseId": course.slug,
            "email": person.email,
            "paymentId": self.token("pi_3"),
            "amount": price(course, currency),
            "currency": currency,
            "status": "paid",
            "enrollmentType": "paid_stripe",
            "timestamp": iso(when),
            "stripeEvents": [] if page else self._stripe_events(paid),
            "verification": {
                "paymentVerified": True,
                "verifiedAt": paid,
                "source": "success_page" if page else "webhook",
            },
            "metadata": self._metadata(),
            "frappeSync": new_sync(),
            "createdAt": when,
            "updatedAt": paid if page else paid + timedelta(milliseconds=900),
            "__v": 0,
        }
        if self.random.random() < 0.25:  # the LMS before this one
            document["openedxSync"] = new_sync()
        document.update(changes)
        self.enrollments.append(document)
        self.expect(kind, document)
        return document

    def event(self, kind: str, when: datetime, status: str) -> Document:
        """A Stripe event, with an id of its own."""
        return event(self.token("evt_1"), kind, when, status)

    def access(self, email: str, course: str) -> None:
        """That learner is enrolled in the LMS."""
        member = email.strip().lower()
        self.lms_enrollments[member, course] = {"member": member, "course": course}

    def expect(self, kind: str, document: Document) -> None:
        """List an order under a heading of `expected`."""
        self.expected.setdefault(kind, []).append(str(document["_id"]))

    def _paid_at(self, when: datetime) -> datetime:
        """Usually at once; now and then the checkout stays open for hours."""
        if self.random.random() < 0.15:
            late = when + timedelta(minutes=self.random.randrange(30, 540))
            if late < self.ago(minutes=70):
                return late
        return when + timedelta(seconds=self.random.randint(25, 200))

    def _stripe_events(self, when: datetime) -> list[Document]:
        events = [self.event(PAYMENT_EVENT, when, "processed")]
        if self.random.random() < 0.4:
            later = when + timedelta(milliseconds=700)
            events.append(self.event("payment_intent.succeeded", later, "processed"))
        return events

    def _metadata(self) -> Document:
        source = self.random.choice(("web", "web", "web", "mobile", "newsletter"))
        metadata: Document = {
            "source": source,
            "locale": self.random.choice(("en-US", "en-GB", "de", "fr", "hi")),
        }
        if self.random.random() < 0.3:
            metadata["utmCampaign"] = self.random.choice(("autumn-sale", "back-to-school", "career-week"))
        return metadata


def coupon(books: Books, full_price: float, *, left: float, share: float) -> Document:
    """The fields of an order with a coupon for `share` of the price; `left` is for the card."""
    return {
        "enrollmentType": "free_grant" if share == 1 else "partial_grant",
        "amount": left,
        "grantData": {
            "couponCode": books.token("GRANT", 6).upper(),
            "discountPercentage": round(100 * share),
            "originalAmount": full_price,
            "finalAmount": left,
            "grantVerified": True,
        },
    }
