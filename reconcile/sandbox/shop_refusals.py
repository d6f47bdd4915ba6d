"""Orders of the sandbox shop that one run must leave as they are, and why. No I/O."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from reconcile.sandbox.shop_orders import Books, Document
from reconcile.sandbox.shop_people import RENAMED, UNPUBLISHED, Course, Person

_BAD_ADDRESSES = (
    "sam@@example.com",
    "mira.holt@example",
    "jo lund@example.org",
    "ada.example.net",
    "kim@.example.com",
)
_BAD_COURSES = ("Python Basics!", "course-v1:demo+101", "data--analysis")
#: Field and value; None takes the field away.
_MALFORMED: tuple[tuple[str, Any], ...] = (
    ("email", None),
    ("email", 4915550100),
    ("amount", "free"),
    ("amount", -49),
    ("courseId", None),
    ("courseId", ["python-basics"]),
    ("currency", 840),
)


def add_refusals(books: Books) -> None:
    """Enter everything of this module."""
    _out_of_attempts(books)
    _accounts(books)
    _courses(books)
    _addresses(books)
    _malformed(books)
    _unpaid(books)
    _too_new(books)
    _job_active(books)


def _out_of_attempts(books: Books) -> None:
    """Five tries, then silence."""
    for _ in range(6):
        order = books.order("out_of_attempts", books.learner(), books.course(), books.some_day())
        books.failed(order, "Request failed with status code 500", attempts=5)
        books.job(order, "failed")


def _accounts(books: Books) -> None:
    """Paid before signing up, or signed up and locked out."""
    for number in range(7):
        person = books.learner(account=False)
        order = books.order("no_account", person, books.course(), books.some_day())
        if number % 3:
            books.failed(order, f"Could not find Member: {person.email}", attempts=number % 4 + 1)
    for _ in range(3):
        person = books.learner(enabled=False)
        order = books.order("disabled_account", person, books.course(), books.some_day())
        books.failed(order, "User is disabled", attempts=2)


def _courses(books: Books) -> None:
    """Renamed or taken off the list in the LMS, and still sold in the shop."""
    for _ in range(5):
        order = books.order("course_renamed", books.learner(), RENAMED, books.some_day())
        books.failed(order, f"Could not find Course: {RENAMED.slug}", attempts=3)
    for _ in range(4):
        order = books.order("course_unpublished", books.learner(), UNPUBLISHED, books.some_day())
        books.failed(order, "You cannot enroll in an unpublished course.", attempts=2)
    for slug in _BAD_COURSES:
        course = Course(slug=slug, title=slug, price=49)
        order = books.order("invalid_course", books.learner(), course, books.some_day())
        books.failed(order, "Request failed with status code 417", attempts=1)


def _addresses(books: Books) -> None:
    """Addresses with a typo, and addresses that a checkout made up."""
    for address in _BAD_ADDRESSES:
        person = Person(full_name="", email=address)
        order = books.order("invalid_email", person, books.course(), books.some_day())
        books.failed(order, "Request failed with status code 417", attempts=1)
    for _ in range(4):
        made_up = f"guest-{books.random.getrandbits(32):08x}@noemail.example.com"
        books.order(
            "placeholder_email", Person(full_name="", email=made_up), books.course(), books.some_day()
        )


def _malformed(books: Books) -> None:
    """What no schema would let in, and what is there all the same."""
    for name, value in _MALFORMED:
        order = books.order("malformed", books.learner(), books.course(), books.some_day())
        if value is None:
            del order[name]
        else:
            order[name] = value


def _unpaid(books: Books) -> None:
    """Abandoned check-outs and declined cards: never to be enrolled."""
    for number in range(15):
        changes: Document = {"status": "failed" if number % 3 == 0 else "pending", "stripeEvents": []}
        changes["verification"] = {"paymentVerified": False}
        changes["paymentId"] = books.token("pi_3") if number % 3 == 0 else books.token("PENDING_", 20)
        books.order("unpaid", books.learner(), books.course(), books.some_day(), **changes)


def _too_new(books: Books) -> None:
    """The webhook may still be at it."""
    for minutes in (1, 2, 3):
        books.order("too_new", books.learner(), books.course(), books.ago(minutes=minutes))


def _job_active(books: Books) -> None:
    """The storefront's worker is at it right now."""
    for _ in range(2):
        order = books.order("job_active", books.learner(), books.course(), books.lately() - timedelta(days=1))
        last = books.ago(minutes=1400)
        books.failed(order, "Request failed with status code 502", attempts=2, status="retrying", last=last)
        books.job(order, "processing", started=books.ago(minutes=2))
