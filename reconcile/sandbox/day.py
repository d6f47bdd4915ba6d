"""A day of the sandbox's shop: what is bought, what the shop makes of it, when the LMS is down. No I/O.

`script` says what will happen; `day_shop.LivingShop` lets it happen to a database and an LMS.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from reconcile.sandbox.shop.documents import milliseconds
from reconcile.sandbox.shop.people import Course, Person
from reconcile.sandbox.shop.seed_books import Books

#: Orders in an hour, by the hour of the day.
_BUSY = (1, 1, 0, 0, 1, 1, 2, 3, 5, 6, 6, 5, 6, 7, 6, 6, 6, 7, 8, 8, 7, 6, 4, 2)
_OUTAGE = (13, 14)
# What becomes of an order, besides the outage.
WEBHOOK = "paid, and the webhook calls the LMS"
PAGE = "paid, and the success page is first, hours after the checkout was opened"
GRANT = "given for nothing: the checkout itself calls the LMS"
LOST = "paid, and the webhook dies before it calls the LMS"
GIVEN_UP = "paid the day before, and given up by the shop after five tries"
NO_ACCOUNT = "paid by somebody without an LMS account"
MALFORMED = "paid, and broken by hand"
PLACEHOLDER = "paid without an address: the checkout has made one up"
UNMARKED = "paid, and the webhook dies before it marks the order"
CANCELLED = "not paid: the checkout was cancelled, and the order deleted"

#: Where the shop's own call gives the access, if the LMS is up.
_SHOPS_OWN = (WEBHOOK, PAGE, GRANT)
#: What nobody can give access to before a person has looked at it.
NEEDS_A_PERSON = (MALFORMED, PLACEHOLDER)
_NEVER = (*NEEDS_A_PERSON, UNMARKED, CANCELLED)


@dataclass(frozen=True, kw_only=True)
class Sale:
    """One order of the day, and what becomes of it."""

    opened_at: datetime
    at: datetime  #: paid, or cancelled
    person: Person
    course: Course
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

    def by_shop(self, sale: Sale) -> bool:
        """Whether the shop's own call has given this learner access."""
        return sale.fate in _SHOPS_OWN and not self.is_down(sale.at)

    @property
    def left_to_us(self) -> list[Sale]:
        """The orders that nobody but reconcile can give their access, by the end of the day."""
        return [
            sale
            for sale in self.sales
            if sale.fate not in _NEVER
            and not self.by_shop(sale)
            and (sale.fate != NO_ACCOUNT or sale.signs_up_at is not None)
        ]


def script(start: datetime, *, hours: range = range(24), seed: int = 11) -> Script:
    """A day that begins at `start` (aware, midnight), or some hours of it; the same for the same seed."""
    books = Books(start, seed)
    begin, end = start + timedelta(hours=hours.start), start + timedelta(hours=hours.stop)
    sales: list[Sale] = []
    for hour in hours:
        for _ in range(_BUSY[hour]):
            at = start + timedelta(hours=hour, seconds=books.random.randrange(3000))
            sales.append(_sale(books, at, number=len(sales)))
    sales += [_given_up(books, begin - timedelta(hours=hours_ago)) for hours_ago in (20, 16, 12)]
    outage = (start + timedelta(hours=_OUTAGE[0]), start + timedelta(hours=_OUTAGE[1]))
    return Script(start=begin, end=end, outage=outage, sales=sorted(sales, key=lambda sale: sale.at))


def _sale(books: Books, at: datetime, *, number: int) -> Sale:
    fate, signs_up_at = _fate(number), None
    opened_at = at - timedelta(seconds=books.random.randint(25, 200))
    if fate == PAGE:
        opened_at -= timedelta(minutes=books.random.randrange(300))
    if fate == GRANT:
        opened_at = at
    if fate == NO_ACCOUNT and number < 60:
        signs_up_at = at + timedelta(minutes=100)
    person = books.learner(account=False)
    if fate == PLACEHOLDER:
        person = Person(full_name="", email=f"temp_{milliseconds(opened_at)}@placeholder.com")
    return Sale(
        opened_at=opened_at,
        at=at,
        person=person,
        course=books.course(),
        fate=fate,
        signs_up_at=signs_up_at,
    )


def _fate(number: int) -> str:
    """Of the day's n-th order."""
    once = {9: PLACEHOLDER, 12: UNMARKED}
    regular = ((8, 3, LOST), (30, 5, NO_ACCOUNT), (40, 20, MALFORMED), (25, 14, CANCELLED), (16, 2, GRANT))
    if number in once:
        return once[number]
    for every, first, fate in regular:
        if number % every == first:
            return fate
    return PAGE if number % 3 == 1 else WEBHOOK


def _given_up(books: Books, at: datetime) -> Sale:
    opened_at = at - timedelta(minutes=2)
    person, course = books.learner(account=False), books.course()
    return Sale(opened_at=opened_at, at=at, person=person, course=course, fate=GIVEN_UP)
