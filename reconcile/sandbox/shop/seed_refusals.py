"""Orders of the sandbox shop that one run must leave as they are, and why. No I/O."""

from __future__ import annotations

from typing import Any

from reconcile.sandbox.shop.lms_errors import NO_COURSE, NO_USER, UNPUBLISHED, refused
from reconcile.sandbox.shop.people import RENAMED, UNLISTED, Course, Person
from reconcile.sandbox.shop.seed_books import Books
from reconcile.sandbox.shop.seed_calls import first_call_failed, worker_failed

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
    _accounts(books)
    _courses(books)
    _addresses(books)
    _malformed(books)


def _accounts(books: Books) -> None:
    """Paid before signing up, or signed up and locked out."""
    for number in range(7):
        person = books.learner(account=False)
        order = books.order("no_account", person, books.course(), books.some_day())
        if number % 3:
            worker_failed(books, order, NO_USER, attempts=number % 4 + 1)
    for _ in range(3):
        person = books.learner(enabled=False)
        order = books.order("disabled_account", person, books.course(), books.some_day())
        worker_failed(books, order, refused("ValidationError", "User is disabled"), attempts=2)


def _courses(books: Books) -> None:
    """Renamed or taken off the list in the LMS, and still sold in the shop."""
    for number in range(5):
        order = books.order("course_renamed", books.learner(), RENAMED, books.some_day())
        link = refused("LinkValidationError", f"Could not find Course: {RENAMED.slug}")
        if number % 2:
            worker_failed(books, order, NO_COURSE, attempts=3)
        else:
            first_call_failed(books, order, link, tries=number // 2)
    for _ in range(4):
        order = books.order("course_unpublished", books.learner(), UNLISTED, books.some_day())
        worker_failed(books, order, UNPUBLISHED, attempts=2)
    for slug in _BAD_COURSES:
        course = Course(slug=slug, title=slug, price=49)
        order = books.order("invalid_course", books.learner(), course, books.some_day())
        first_call_failed(books, order, NO_COURSE, tries=2)


def _addresses(books: Books) -> None:
    """Addresses with a typo."""
    for address in _BAD_ADDRESSES:
        person = Person(full_name="", email=address)
        order = books.order("invalid_email", person, books.course(), books.some_day())
        first_call_failed(books, order, NO_USER, tries=2)


def _malformed(books: Books) -> None:
    """What no schema would let in, and what is there all the same."""
    for name, value in _MALFORMED:
        order = books.order("malformed", books.learner(), books.course(), books.some_day())
        if value is None:
            del order[name]
        else:
            order[name] = value
