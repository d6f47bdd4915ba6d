"""A believable shop for the demo and the tests: its orders, its LMS, and what a run should make of them.

Deterministic from the seed and `now`. `Shop.expected` lists order ids by kind, each order under
exactly one, and again under what one run with default settings must do about it: `enrollable` (give
access, once for each learner and course), `confirmable` (the LMS has it already), `covered` (a second
payment for something enrollable). Orders under none of the three are left as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from pymongo.database import Database

from reconcile.sandbox.shop.documents import Document
from reconcile.sandbox.shop.people import COURSES, Course, offered
from reconcile.sandbox.shop.seed_books import CONFIRMABLE, COVERED, ENROLLABLE, Books
from reconcile.sandbox.shop.seed_checkouts import add_checkouts
from reconcile.sandbox.shop.seed_queue import add_queue
from reconcile.sandbox.shop.seed_refusals import add_refusals
from reconcile.sandbox.shop.seed_repairs import add_repairs

#: The headings of `expected` that are no kinds.
OUTCOMES = (ENROLLABLE, CONFIRMABLE, COVERED)

#: In the LMS only: free, for everybody, never sold.
_WELCOME = Course(slug="welcome-to-the-academy", title="Welcome to the Academy", price=0)
#: The storefront's own indexes of `enrollments`.
_INDEXES = (
    ([("courseId", 1), ("email", 1)], False),
    ([("status", 1), ("timestamp", -1)], False),
    ([("frappeSync.syncStatus", 1), ("createdAt", -1)], False),
    ([("email", 1), ("courseId", 1), ("status", 1)], False),
    ([("paymentId", 1)], True),
)


@dataclass(frozen=True, kw_only=True)
class Shop:
    """Everything the storefront's database and the LMS hold, and what is expected of a run."""

    enrollments: list[Document]
    retry_jobs: list[Document]
    courses: list[Document]
    lms_users: list[Document]
    lms_courses: list[Document]
    lms_enrollments: list[Document]
    expected: dict[str, list[str]]

    def kind_of(self, order_id: str) -> str:
        """The kind of an order. Raises KeyError for an order of another shop."""
        for kind, ids in self.expected.items():
            if kind not in OUTCOMES and order_id in ids:
                return kind
        raise KeyError(order_id)


def shop(now: datetime, *, seed: int = 7) -> Shop:
    """The shop as it stands at `now` (aware)."""
    books = Books(now, seed)
    add_repairs(books)
    add_queue(books)
    add_checkouts(books)
    add_refusals(books)
    for _ in range(12):  # in the LMS, and never a customer
        books.learner()
    welcomed = [email for email, user in books.lms_users.items() if user["enabled"]][::9]
    given = [*books.lms_enrollments.values()]
    return Shop(
        enrollments=sorted(books.enrollments, key=lambda order: str(order["_id"])),
        retry_jobs=sorted(books.retry_jobs, key=lambda job: str(job["_id"])),
        courses=[_sold(books, course) for course in COURSES],
        lms_users=list(books.lms_users.values()),
        lms_courses=[offered(course) for course in (*COURSES, _WELCOME)],
        lms_enrollments=[*given, *({"member": email, "course": _WELCOME.slug} for email in welcomed)],
        expected=books.expected,
    )


def load(shop: Shop, database: Database[Document]) -> None:
    """Put the shop's collections into a database, in place of what is there, with the shop's indexes."""
    for name, documents in (
        ("enrollments", shop.enrollments),
        ("retry_jobs", shop.retry_jobs),
        ("courses", shop.courses),
    ):
        database[name].drop()
        database[name].insert_many(documents)
    for keys, unique in _INDEXES:
        database["enrollments"].create_index(keys, unique=unique)


def _sold(books: Books, course: Course) -> Document:
    """A course as the storefront lists it."""
    made = books.now - timedelta(days=400)
    return {
        "_id": books.object_id(made),
        "courseId": course.slug,
        "title": course.title,
        "price": course.price,
        "currency": "usd",
        "isActive": True,
        "createdAt": made,
        "updatedAt": made,
    }
