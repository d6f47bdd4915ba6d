"""Orders of the sandbox shop that need nothing, or that one run puts right. No I/O.

Each order is listed under its own kind, and under `enrollable` (the run must give access),
`confirmable` (the LMS has it already) or `covered` (a second payment for what the run gives).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from reconcile.sandbox.shop_orders import Books, Document, iso
from reconcile.sandbox.shop_people import OPEN_COURSES, Person, price

ENROLLABLE = "enrollable"
CONFIRMABLE = "confirmable"
COVERED = "covered"

_DOWN = (
    "Request failed with status code 503",
    "Request failed with status code 502",
    "connect ECONNREFUSED 203.0.113.20:443",
    "timeout of 10000ms exceeded",
)


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
    _job_stuck(books)
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
            changes = _grant(books, price(course, currency), share=1.0)
        elif number % 11 == 7:
            changes = {
                "enrollmentType": "lms_redirect",
                "lmsContext": {"frappeUsername": person.email.partition("@")[0], "redirectSource": "lms"},
            }
        order = books.order("synced", person, course, when, currency=currency, **changes)
        books.synced(order, attempts=books.random.choices((0, 1, 2), weights=(12, 2, 1))[0])
        if len(free) > 5:  # nobody buys everything
            known.append(person)


def _lost_pending(books: Books) -> None:
    """The function died after the payment: pending for ever, no retry job."""
    for number in range(14):
        when = books.lately() if number % 4 == 0 else books.some_day()
        order = books.order("lost_pending", books.learner(), books.course(), when)
        books.expect(ENROLLABLE, order)


def _late_answer(books: Books) -> None:
    """The LMS answered after the shop's time-out: enrolled, and the order does not know."""
    for number in range(8):
        order = books.order("late_answer", books.learner(), books.course(), books.some_day())
        books.failed(order, "timeout of 10000ms exceeded", attempts=3)
        books.job(order, "pending" if number % 2 else "failed")
        books.access(order)
        books.expect(CONFIRMABLE, order)


def _outage(books: Books) -> None:
    """The LMS was down for one afternoon, longer than the retries last."""
    start = (books.now - timedelta(days=4)).replace(hour=13, minute=5, second=0)
    for number in range(30):
        when = start + timedelta(milliseconds=books.random.randrange(110 * 60_000))
        order = books.order("outage", books.learner(), books.course(), when)
        status = "retrying" if number % 3 == 0 else "failed"
        books.failed(order, books.random.choice(_DOWN), attempts=books.random.randint(2, 4), status=status)
        if status == "retrying" or number % 5 == 1:
            books.job(order, "pending")
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
        books.synced(books.order("duplicate_payment", person, course, when))
        second = books.order("duplicate_payment", person, course, when + timedelta(minutes=9))
        books.expect(CONFIRMABLE, second)


def _full_grant(books: Books) -> None:
    """A coupon of 100 %: nothing paid, and as good as paid."""
    for _ in range(5):
        course = books.course()
        grant = _grant(books, price(course), share=1.0)
        order = books.order("full_grant", books.learner(), course, books.some_day(), **grant)
        books.expect(ENROLLABLE, order)


def _partial_grant(books: Books) -> None:
    """A coupon for part of the price, the rest paid by card."""
    for share in (0.25, 0.5, 0.5, 0.75):
        course = books.course()
        grant = _grant(books, price(course), share=share)
        grant["amount"] = price(course, share=1 - share)
        grant["grantData"]["finalAmount"] = grant["amount"]
        order = books.order("partial_grant", books.learner(), course, books.some_day(), **grant)
        books.expect(ENROLLABLE, order)


def _affiliate(books: Books) -> None:
    """Sent by a partner, whose address is the LMS's referral code."""
    for number in range(4):
        affiliate = {
            "affiliateId": books.token("aff_", 10),
            "affiliateEmail": f"partner{number + 1}@example.org",
            "commissionRate": 0.2,
        }
        order = books.order(
            "affiliate",
            books.learner(),
            books.course(),
            books.some_day(),
            enrollmentType="affiliate_referral",
            affiliateData=affiliate,
        )
        if number % 2:
            books.failed(order, "Request failed with status code 504", attempts=1)
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
            lmsContext={
                "frappeEmail": member,
                "frappeUsername": f"{local}-{number}",
                "redirectSource": "lms",
            },
        )
        books.expect(ENROLLABLE, order)


def _other_currency(books: Books) -> None:
    """Not every price is in dollars."""
    for currency in ("eur", "inr", "gbp") * 2:
        person, course, when = books.learner(), books.course(), books.some_day()
        order = books.order("other_currency", person, course, when, currency=currency)
        books.expect(ENROLLABLE, order)


def _job_stuck(books: Books) -> None:
    """The storefront's worker took it 40 minutes ago and died: nobody's any more."""
    for _ in range(3):
        started = books.ago(minutes=40)
        order = books.order("job_stuck", books.learner(), books.course(), books.lately() - timedelta(days=1))
        books.failed(
            order, "Request failed with status code 500", attempts=2, status="retrying", last=started
        )
        books.job(order, "processing", started=started)
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
            books.access(order)
        books.expect(ENROLLABLE if number % 3 else CONFIRMABLE, order)


def _grant(books: Books, full_price: float, *, share: float) -> dict[str, Any]:
    """The fields of an order with a coupon; for a full one there is no payment at all."""
    grant: dict[str, Any] = {
        "enrollmentType": "free_grant" if share == 1 else "partial_grant",
        "grantData": {
            "couponCode": books.token("GRANT", 6).upper(),
            "discountPercentage": round(100 * share),
            "originalAmount": full_price,
            "finalAmount": 0,
            "grantVerified": True,
        },
    }
    if share == 1:
        grant |= {"amount": 0, "paymentId": books.token("free_", 16), "stripeEvents": []}
    return grant
