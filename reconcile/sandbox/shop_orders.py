"""The sandbox shop's books: how it writes an order, a retry job and an LMS account. No I/O.

Field names and habits are the storefront's; what happens to which order is decided elsewhere
(`shop_repairs`, `shop_refusals`). Everything is a function of the seed and of `now`.
"""

from __future__ import annotations

import string
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

from reconcile.sandbox.shop_people import OPEN_COURSES, Course, Person, people, price

if TYPE_CHECKING:
    from bson import ObjectId

Document = dict[str, Any]

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
        self.retryjobs: list[Document] = []
        self.lms_users: dict[str, Document] = {}
        self.lms_enrollments: dict[tuple[str, str], Document] = {}
        self.expected: dict[str, list[str]] = {}
        self._people = people(self.random)
        self._machine = self.random.randbytes(5)
        self._counter = self.random.randrange(0x400000)

    def object_id(self, when: datetime) -> ObjectId:
        """The next id, made at `when`."""
        from bson import ObjectId

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
        **changes: Any,
    ) -> Document:
        """Enter a paid order that the webhook has recorded and nobody has sent on; `changes` are fields."""
        paid_at = when + timedelta(seconds=self.random.randint(20, 50))
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
            "stripeEvents": self._stripe_events(paid_at),
            "verification": {"paymentVerified": True, "verifiedAt": paid_at, "source": "webhook"},
            "metadata": self._metadata(),
            "frappeSync": {"synced": False, "syncStatus": "pending", "retryCount": 0},
            "createdAt": when,
            "updatedAt": paid_at,
            "__v": 0,
        }
        if self.random.random() < 0.25:  # the LMS before this one
            document["openedxSync"] = {"synced": False, "syncStatus": "pending", "retryCount": 0}
        document.update(changes)
        self.enrollments.append(document)
        self.expect(kind, document)
        return document

    def synced(self, document: Document, *, attempts: int = 0) -> None:
        """The storefront's own success: the LMS has it and the order says so."""
        when: datetime = document["createdAt"]
        done = when + timedelta(seconds=self.random.randint(52, 58), milliseconds=self.random.randrange(1000))
        done += timedelta(minutes=sum(2**attempt for attempt in range(1, attempts + 1)))
        document["frappeSync"] = {
            "synced": True,
            "syncStatus": "success",
            "enrollmentId": f"{self.random.getrandbits(40):010x}",
            "retryCount": attempts,
            "lastSyncAttempt": done,
            "syncCompletedAt": done,
        }
        document["updatedAt"] = done
        self.access(document)

    def failed(
        self,
        document: Document,
        error: str,
        *,
        attempts: int,
        status: str = "failed",
        last: datetime | None = None,
    ) -> None:
        """`attempts` tries that came to nothing, the last of them at `last`."""
        if last is None:
            waited = sum(2**attempt for attempt in range(1, attempts + 1))
            last = min(document["createdAt"] + timedelta(minutes=waited, seconds=61), self.ago(minutes=60))
        document["frappeSync"] = {
            "synced": False,
            "syncStatus": status,
            "errorMessage": error,
            "retryCount": attempts,
            "lastSyncAttempt": last,
        }
        document["updatedAt"] = last

    def job(self, document: Document, status: str, *, started: datetime | None = None) -> Document:
        """The storefront's retry job for a failed order; an open one is linked to from the order."""
        sync = document["frappeSync"]
        last: datetime = sync["lastSyncAttempt"]
        made = document["createdAt"] + timedelta(seconds=62)
        job: Document = {
            "_id": self.object_id(made),
            "jobType": "frappe_enrollment",
            "enrollmentId": document["_id"],
            "payload": _payload(document),
            "attempts": sync["retryCount"],
            "maxAttempts": 5,
            "nextRetryAt": last + timedelta(minutes=2 ** max(1, sync["retryCount"])),
            "lastError": sync["errorMessage"],
            "status": status,
            "createdAt": made,
            "updatedAt": started or last,
            "__v": 0,
        }
        if started is not None:
            job |= {
                "workerNodeId": f"worker-{self.random.getrandbits(24):06x}",
                "processingStartedAt": started,
                "processingTimeout": started + timedelta(minutes=10),
            }
        if status in {"pending", "processing"}:
            sync["retryJobId"] = job["_id"]
        self.retryjobs.append(job)
        return job

    def access(self, document: Document) -> None:
        """The learner of an order is enrolled in the LMS."""
        member = str(document["email"]).strip().lower()
        key = (member, document["courseId"])
        self.lms_enrollments[key] = {"member": key[0], "course": key[1]}

    def expect(self, kind: str, document: Document) -> None:
        """List an order under a heading of `expected`."""
        self.expected.setdefault(kind, []).append(str(document["_id"]))

    def _stripe_events(self, when: datetime) -> list[Document]:
        kinds = ["checkout.session.completed"]
        if self.random.random() < 0.4:
            kinds.append("payment_intent.succeeded")
        return [
            {
                "eventId": self.token("evt_1"),
                "eventType": kind,
                "processedAt": when + timedelta(milliseconds=700 * position),
                "status": "processed",
            }
            for position, kind in enumerate(kinds)
        ]

    def _metadata(self) -> Document:
        source = self.random.choice(("web", "web", "web", "mobile", "newsletter"))
        metadata: Document = {
            "source": source,
            "locale": self.random.choice(("en-US", "en-GB", "de", "fr", "hi")),
        }
        if self.random.random() < 0.3:
            metadata["utmCampaign"] = self.random.choice(("autumn-sale", "back-to-school", "career-week"))
        return metadata


def iso(when: datetime) -> str:
    """As JavaScript's `toISOString` writes it."""
    return when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}Z"


def to_millisecond(when: datetime) -> datetime:
    """BSON dates know no microseconds."""
    return when.replace(microsecond=when.microsecond // 1000 * 1000)


def _payload(document: Document) -> Document:
    payload = {
        "user_email": document["email"],
        "course_id": document["courseId"],
        "paid_status": True,
        "payment_id": document["paymentId"],
        "amount": document["amount"],
        "currency": document["currency"],
    }
    affiliate = document.get("affiliateData")
    return payload | {"referral_code": affiliate["affiliateEmail"]} if affiliate else payload
