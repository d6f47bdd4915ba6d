"""Orders of the sandbox shop that need nothing, or that one run puts right. No I/O.

Each order is listed under its own kind, and under `enrollable` (the run must give access),
`confirmable` (the LMS has it already) or `covered` (a second payment for what the run gives).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from reconcile.sandbox.shop.documents import Document, iso, milliseconds
from reconcile.sandbox.shop.lms_errors import DOWN, ENROLLED, TIMEOUT
from reconcile.sandbox.shop.people import OPEN_COURSES, Person, price
from reconcile.sandbox.shop.seed_books import CONFIRMABLE, COVERED, ENROLLABLE, Books, coupon
from reconcile.sandbox.shop.seed_calls import first_call_failed, synced, worker_failed


def add_repairs(books: Books) -> None:
    """Enter everything of this module."""
    _synced(books)
    _lost_pending(books)
    _late_answer(books)
    _outage(books)
    _duplicate_payment(books)
    _full_grant(books)
    _partial_grant(books)
    _affiliate(books)
    _lms_context(books)
    _other_currency(books)
    _imported(books)


def _synced(books: Books) -> None:
    """What all went well: the most, of every type that the shop sells."""
    known: list[Person] = []
    for number in range(112):
        again = known and books.random.random() < 0.25
        person = known.pop(books.random.randrange(len(known))) if again else books.learner()
        free = [course for course in OPEN_COURSES if (person.email, course.slug) not in books.lms_enrollments]
        course = books.random.choice(free)
        when = books.lately() if number % 16 == 0 else books.some_day()
        currency = books.random.choices(("usd", "eur", "gbp", "inr"), weights=(7, 1, 1, 1))[0]
        changes: Document = {}
        if number % 11 == 3:
            changes = _grant(books, price(course, currency), when=when)
        elif number % 11 == 7:
            changes = {
                "enrollmentType": "lms_redirect",
                "lmsContext": {"frappeUsername": person.email.partition("@")[0]},
            }
        order = books.order("synced", person, course, when, currency=currency, **changes)
        synced(books, order, attempts=books.random.choices((0, 1, 2), weights=(12, 2, 1))[0])
        if len(free) > 5:  # nobody buys everything
            known.append(person)


def _lost_pending(books: Books) -> None:
    """The function died after the payment: pending for ever, no retry job."""
    for number in range(14):
        when = books.lately() if number % 4 == 0 else books.some_day()
        order = books.order("lost_pending", books.learner(), books.course(), when)
        books.expect(ENROLLABLE, order)


def _late_answer(books: Books) -> None:
    """The LMS answered after the shop's time-out: enrolled, and the order does not know.

    Where the worker ran it was told so, and took it for one more error.
    """
    for number in range(8):
        order = books.order("late_answer", books.learner(), books.course(), books.some_day())
        if number % 2:
            first_call_failed(books, order, TIMEOUT, tries=number % 3)
        else:
            worker_failed(books, order, ENROLLED, attempts=5)
        books.access(order["email"], order["courseId"])
        books.expect(CONFIRMABLE, order)


def _outage(books: Books) -> None:
    """The LMS was down for one afternoon, longer than the retries last."""
    start = (books.now - timedelta(days=4)).replace(hour=13, minute=5, second=0)
    for number in range(30):
        when = start + timedelta(milliseconds=books.random.randrange(110 * 60_000))
        page = number % 3 == 2
        order = books.order(
            "outage", books.learner(), books.course(), when, page=page, paid=when + timedelta(seconds=45)
        )
        error = books.random.choice(DOWN)
        if number % 3 == 0:
            worker_failed(books, order, error, attempts=5 if number % 2 else books.random.randint(1, 4))
        else:
            first_call_failed(books, order, error, tries=1 + number % 2)
        books.expect(ENROLLABLE, order)


def _duplicate_payment(books: Books) -> None:
    """Paid twice for one course: one enrollment, one refund due."""
    for _ in range(2):
        person, course, when = books.learner(), books.course(), books.some_day()
        first = books.order("duplicate_payment", person, course, when)
        books.expect(ENROLLABLE, first)
        second = books.order("duplicate_payment", person, course, when + timedelta(minutes=4))
        books.expect(COVERED, second)
    for _ in range(2):
        person, course, when = books.learner(), books.course(), books.some_day()
        synced(books, books.order("duplicate_payment", person, course, when))
        second = books.order("duplicate_payment", person, course, when + timedelta(minutes=9))
        books.expect(CONFIRMABLE, second)


def _full_grant(books: Books) -> None:
    """A coupon of 100 %: nothing paid, and as good as paid. The checkout itself calls the LMS."""
    for number in range(5):
        course, when = books.course(), books.some_day()
        grant = _grant(books, price(course), when=when)
        order = books.order("full_grant", books.learner(), course, when, **grant)
        if number % 2:
            first_call_failed(books, order, books.random.choice(DOWN), tries=1)
        books.expect(ENROLLABLE, order)


def _partial_grant(books: Books) -> None:
    """A coupon for part of the price, the rest paid by card."""
    for share in (0.25, 0.5, 0.5, 0.75):
        course = books.course()
        grant = coupon(books, price(course), left=price(course, share=1 - share), share=share)
        order = books.order("partial_grant", books.learner(), course, books.some_day(), **grant)
        books.expect(ENROLLABLE, order)


def _affiliate(books: Books) -> None:
    """Sent by a partner, whose address is the LMS's referral code."""
    for number in range(4):
        affiliate = {"affiliateEmail": f"partner{number + 1}@example.org"}
        order = books.order(
            "affiliate",
            books.learner(),
            books.course(),
            books.some_day(),
            enrollmentType="affiliate_referral",
            affiliateData=affiliate,
        )
        if number % 2:
            first_call_failed(books, order, books.random.choice(DOWN), tries=2)
        books.expect(ENROLLABLE, order)


def _lms_context(books: Books) -> None:
    """Bought with one address, learning with another: only the latter has an LMS account."""
    for number in range(4):
        buyer = books.learner(account=False)
        local, _, domain = buyer.email.partition("@")
        member = f"{local}.learns@{domain}"
        books.account(member, buyer.full_name)
        order = books.order(
            "lms_context",
            buyer,
            books.course(),
            books.some_day(),
            enrollmentType="lms_redirect" if number % 2 else "paid_stripe",
            lmsContext={"frappeEmail": member, "frappeUsername": f"{local}-{number}"},
        )
        books.expect(ENROLLABLE, order)


def _other_currency(books: Books) -> None:
    """Not every price is in dollars."""
    for currency in ("eur", "inr", "gbp") * 2:
        person, course, when = books.learner(), books.course(), books.some_day()
        order = books.order("other_currency", person, course, when, currency=currency)
        books.expect(ENROLLABLE, order)


def _imported(books: Books) -> None:
    """From the shop before this one: no Mongoose dates, no currency, strings for numbers."""
    for number in range(12):
        person, course = books.learner(), books.course()
        when = books.some_day() - timedelta(days=200)
        order = books.order("imported", person, course, when)
        for name in ("createdAt", "updatedAt", "currency", "stripeEvents", "verification", "metadata", "__v"):
            del order[name]
        order["paymentId"] = f"pi_import_{number + 1:05d}"
        order["timestamp"] = when if number % 2 else iso(when)
        order["amount"] = f"{course.price:.2f}" if number % 3 else str(price(course))
        if number % 4 == 3:
            order["email"] = f" {person.email.title()}"
        if number % 2:
            order["frappeSync"] = None
        else:
            del order["frappeSync"]
        if number % 3 == 0:
            books.access(order["email"], order["courseId"])
        books.expect(ENROLLABLE if number % 3 else CONFIRMABLE, order)


def _grant(books: Books, full_price: float, *, when: datetime) -> Document:
    """A coupon for all of it: there is no payment, and the order is `paid` at once."""
    random = books.token("", 9).lower()
    return coupon(books, full_price, left=0, share=1.0) | {
        "paymentId": f"free_{milliseconds(when)}_{random}",
        "stripeEvents": [],
        "verification": {"paymentVerified": True, "verifiedAt": when, "source": "grant"},
        "updatedAt": when,
    }
