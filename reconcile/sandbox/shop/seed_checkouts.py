"""Orders of the sandbox shop whose fate is in the checkout: unpaid, hardly paid, oddly paid. No I/O."""

from __future__ import annotations

from datetime import datetime, timedelta

from reconcile.sandbox.shop.documents import PAYMENT_EVENT, Document, milliseconds
from reconcile.sandbox.shop.lms_errors import NO_USER
from reconcile.sandbox.shop.people import Course, Person, price
from reconcile.sandbox.shop.seed_books import ENROLLABLE, Books, coupon
from reconcile.sandbox.shop.seed_calls import first_call_failed


def add_checkouts(books: Books) -> None:
    """Enter everything of this module."""
    _unpaid(books)
    _unmarked(books)
    _odd_id(books)
    _too_new(books)
    _just_paid(books)
    _placeholders(books)


def checkout(books: Books, when: datetime, *, opened: bool = True, partial: bool = False) -> Document:
    """The fields in which an order that is not paid differs; `opened` where Stripe has made the session.

    The session's id is then its only join to Stripe.
    """
    part = "PARTIAL_" if partial else ""
    payment = books.token(f"STRIPE_{part}cs_test_", 58) if opened else f"{part}PENDING_{milliseconds(when)}"
    return {
        "status": "pending",
        "paymentId": payment,
        "stripeEvents": [],
        "verification": {"paymentVerified": False},
        "updatedAt": when + timedelta(seconds=1) if opened else when,
    }


def _unpaid(books: Books) -> None:
    """Abandoned check-outs and declined cards: never to be enrolled."""
    for number in range(15):
        course, when, partial = books.course(), books.some_day(), number % 5 == 4
        changes = checkout(books, when, opened=number % 3 != 1, partial=partial)
        if number % 3 == 0:
            changes["status"] = "failed"
        if partial:
            changes |= coupon(books, price(course), left=price(course, share=0.5), share=0.5)
        books.order("unpaid", books.learner(), course, when, **changes)


def _unmarked(books: Books) -> None:
    """Somebody paid, and the webhook died between noting the event and marking the order.

    Stripe's repetition is answered "already processing", so it stays `pending` for ever. In the last
    one (`being_marked`) the webhook may be at it still.
    """
    for kind, minutes in (
        ("unmarked", 130),
        ("unmarked", 2_900),
        ("unmarked", 18_000),
        ("being_marked", 5),
    ):
        when, paid = books.ago(minutes=minutes + 3), books.ago(minutes=minutes)
        order = books.order(kind, books.learner(), books.course(), when, **checkout(books, when))
        order["stripeEvents"] = [books.event(PAYMENT_EVENT, paid, "processing")]
        order["updatedAt"] = paid


def _odd_id(books: Books) -> None:
    """Marked `paid` by hand, so that the payment's id is still the checkout's."""
    for opened in (True, False):
        course, when = books.course(), books.some_day()
        changes = checkout(books, when, opened=opened) | {"status": "paid"}
        changes["updatedAt"] = when + timedelta(hours=3)
        order = books.order("odd_id", books.learner(), course, when, **changes)
        books.expect(ENROLLABLE, order)


def _too_new(books: Books) -> None:
    """The webhook may still be at it."""
    for minutes in (1, 2, 3):
        paid = books.ago(minutes=minutes)
        opened = paid - timedelta(seconds=40)
        books.order("too_new", books.learner(), books.course(), opened, paid=paid, page=False)


def _just_paid(books: Books) -> None:
    """An old checkout, paid a moment ago; the success page was first, so that only `updatedAt` tells."""
    for minutes in (1, 3):
        opened, paid = books.ago(minutes=300 + minutes), books.ago(minutes=minutes)
        books.order("just_paid", books.learner(), books.course(), opened, paid=paid, page=True)


def _placeholders(books: Books) -> None:
    """The checkout had no address, and made one up: nobody's, unless the order or its job knows better."""
    for _ in range(4):
        order = _without_address(books, "placeholder_email", books.course())
        first_call_failed(books, order, NO_USER, tries=2)
    for number in range(3):
        person = books.learner()
        order = _without_address(books, "placeholder_known", books.course())
        if number < 2:
            order["lmsContext"] = {"frappeEmail": person.email}
        else:
            first_call_failed(books, order, NO_USER, tries=2)
            books.retry_jobs[-1]["payload"]["user_email"] = person.email
        books.expect(ENROLLABLE, order)


def _without_address(books: Books, kind: str, course: Course) -> Document:
    when = books.some_day()
    made_up = Person(full_name="", email=f"temp_{milliseconds(when)}@placeholder.com")
    return books.order(kind, made_up, course, when)
