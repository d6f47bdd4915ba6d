"""Orders of the sandbox shop whose fate is in its retry queue: given up, overdue, stuck, in work. No I/O."""

from __future__ import annotations

from datetime import timedelta

from reconcile.sandbox.shop.lms_errors import DOWN, TIMEOUT
from reconcile.sandbox.shop.seed_books import CONFIRMABLE, ENROLLABLE, Books
from reconcile.sandbox.shop.seed_calls import first_call_failed, take, worker_failed


def add_queue(books: Books) -> None:
    """Enter everything of this module."""
    _given_up_by_shop(books)
    _overdue(books)
    _job_stuck(books)
    _sent_as_another(books)
    _unanswered_try(books)
    _job_active(books)


def _given_up_by_shop(books: Books) -> None:
    """Five tries of the worker, then silence; the LMS has long been well."""
    for _ in range(7):
        order = books.order("given_up_by_shop", books.learner(), books.course(), books.some_day())
        worker_failed(books, order, books.random.choice(DOWN), attempts=5)
        books.expect(ENROLLABLE, order)


def _overdue(books: Books) -> None:
    """A job that was due days ago: nobody posts to the worker, and the platform's cron only reads."""
    for number in range(4):
        opened = books.some_day() - timedelta(days=1)
        order = books.order("overdue", books.learner(), books.course(), opened, page=False)
        first_call_failed(books, order, books.random.choice(DOWN), tries=1 + number % 2)
        books.expect(ENROLLABLE, order)


def _job_stuck(books: Books) -> None:
    """The worker took it 40 minutes ago and died: nobody's any more."""
    for _ in range(3):
        order = books.order("job_stuck", books.learner(), books.course(), books.lately() - timedelta(days=1))
        job = worker_failed(books, order, books.random.choice(DOWN), attempts=2)
        take(books, job, at=books.ago(minutes=40))
        books.expect(ENROLLABLE, order)


def _sent_as_another(books: Books) -> None:
    """The buyer corrected the address later; the LMS has them under the one that the shop had sent.

    Its answer came too late, so the order knows nothing of it.
    """
    for number in range(3):
        buyer = books.learner()
        local, _, domain = buyer.email.partition("@")
        before = f"{local}.{number + 1}@{domain}"
        books.account(before, buyer.full_name)
        order = books.order("sent_as_another", buyer, books.course(), books.some_day())
        first_call_failed(books, order, TIMEOUT, tries=2)
        books.retry_jobs[-1]["payload"]["user_email"] = before
        books.access(before, order["courseId"])
        order["updatedAt"] += timedelta(minutes=26)
        books.expect(CONFIRMABLE, order)


def _unanswered_try(books: Books) -> None:
    """Paid hours ago; the shop's last try timed out a minute ago, and may still be in the LMS's hands."""
    for number in range(2):
        opened = books.ago(minutes=121 + number)
        order = books.order(
            "unanswered_try", books.learner(), books.course(), opened, paid=books.ago(minutes=120)
        )
        worker_failed(books, order, TIMEOUT, attempts=number + 1, last=books.ago(minutes=1))


def _job_active(books: Books) -> None:
    """The worker is at it right now."""
    for _ in range(2):
        order = books.order("job_active", books.learner(), books.course(), books.lately() - timedelta(days=1))
        job = worker_failed(books, order, books.random.choice(DOWN), attempts=2)
        take(books, job, at=books.ago(minutes=2))
