"""The sandbox shop's learners and courses: invented names, reserved domains, believable prices. No I/O."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

#: RFC 2606: nobody can ever receive mail there.
DOMAINS = ("example.com", "example.org", "example.net")

_FIRST = (
    "Aaliyah", "Adam", "Agnieszka", "Aisha", "Amara", "Anjali", "Antoine", "Arjun", "Astrid", "Beatriz",
    "Bram", "Camille", "Carlos", "Chiara", "Dalia", "Daniel", "Deepika", "Diego", "Elif", "Emeka",
    "Emily", "Esther", "Farid", "Fatima", "Felix", "Freya", "Gabriela", "Grace", "Hana", "Hassan",
    "Ines", "Ivan", "Jakub", "Jasmine", "João", "Jonas", "Kavya", "Kenji", "Lars", "Leila",
    "Lena", "Lucía", "Mateo", "Megan", "Mei", "Nadia", "Noah", "Nikhil", "Olena", "Omar",
    "Pedro", "Priya", "Rania", "Renée", "Rohan", "Samuel", "Sofía", "Tariq", "Yuki", "Zoë",
)  # fmt: skip
_LAST = (
    "Abara", "Almeida", "Andersson", "Bailey", "Banerjee", "Barros", "Bauer", "Bellini", "Bergström", "Blom",
    "Castillo", "Chaudhary", "Cohen", "Dahl", "Demir", "Desai", "Dubois", "Eriksen", "Farouk", "Fischer",
    "Fontaine", "García", "Haddad", "Hoffmann", "Horvat", "Ibrahim", "Iyer", "Jansen", "Kaminski", "Kapoor",
    "Kowalczyk", "Kumar", "Lindqvist", "Maalouf", "Mahlangu", "Marques", "Menon", "Moreau", "Müller", "Mori",
    "Ndiaye", "Nowak", "Ochieng", "Okafor", "Petrov", "Quinn", "Rahman", "Reddy", "Romano", "Santos",
    "Sharma", "Silva", "Suzuki", "Takahashi", "Torres", "Vasquez", "Verma", "Walsh", "Weber", "Yilmaz",
)  # fmt: skip


@dataclass(frozen=True)
class Person:
    """A learner as the shop and the LMS know them."""

    full_name: str
    email: str


@dataclass(frozen=True, kw_only=True)
class Course:
    """A course of the storefront, and how the LMS has it."""

    slug: str
    title: str
    price: float  #: in US dollars
    lms_name: str | None = None  #: where it was renamed in the LMS
    published: bool = True
    paid_in_lms: bool = False


_SOLD = (
    Course(slug="python-basics", title="Python Basics", price=49),
    Course(slug="data-analysis-with-pandas", title="Data Analysis with pandas", price=129),
    Course(slug="sql-for-reporting", title="SQL for Reporting", price=89.5),
    Course(slug="machine-learning-foundations", title="Machine Learning Foundations", price=249.5),
    Course(slug="react-from-scratch", title="React from Scratch", price=149, paid_in_lms=True),
    Course(
        slug="docker-and-kubernetes", title="Docker and Kubernetes in Practice", price=199, paid_in_lms=True
    ),
    Course(slug="ui-design-essentials", title="UI Design Essentials", price=79),
    Course(slug="cloud-security-101", title="Cloud Security 101", price=179, paid_in_lms=True),
)
RENAMED = Course(
    slug="prompt-engineering",
    title="Prompt Engineering",
    price=99,
    lms_name="prompt-engineering-for-teams",
)
UNLISTED = Course(slug="blockchain-fundamentals", title="Blockchain Fundamentals", price=159, published=False)

#: Courses that the shop sells and the LMS offers without trouble.
OPEN_COURSES = _SOLD
COURSES = (*_SOLD, RENAMED, UNLISTED)

#: How a price in dollars reads elsewhere: a factor, and the step that prices are rounded to.
_CURRENCIES = {"usd": (1.0, 0.5), "eur": (0.92, 0.5), "gbp": (0.79, 0.5), "inr": (83.0, 100.0)}


def price(course: Course, currency: str = "usd", *, share: float = 1.0) -> float:
    """What `share` of a course costs, in major units; whole numbers as ints, as JavaScript writes them."""
    factor, step = _CURRENCIES[currency]
    amount = round(course.price * factor * share / step) * step
    return int(amount) if amount == int(amount) else amount


def offered(course: Course) -> dict[str, Any]:
    """A course as the LMS has it."""
    return {
        "name": course.lms_name or course.slug,
        "title": course.title,
        "published": int(course.published),
        "paid_course": int(course.paid_in_lms),
        "disable_self_learning": 0,
        "upcoming": 0,
        "status": "Approved" if course.published else "In Progress",
    }


def people(random: Random) -> Iterator[Person]:
    """Different people with different addresses, in an order of `random`'s; 3600 of them."""
    names = [(first, last) for first in _FIRST for last in _LAST]
    random.shuffle(names)
    taken: set[str] = set()
    for first, last in names:
        plain_first, plain_last = _plain(first), _plain(last)
        local = random.choice(
            (
                f"{plain_first}.{plain_last}",
                f"{plain_first}.{plain_last}",
                f"{plain_first}{plain_last}{random.randint(71, 99)}",
                f"{plain_first[0]}.{plain_last}",
                f"{plain_last}.{plain_first}",
                f"{plain_first}.{plain_last}+courses",
            )
        )
        domain = random.choices(DOMAINS, weights=(6, 2, 2))[0]
        email = f"{local}@{domain}"
        if email in taken:
            email = f"{plain_first}.{plain_last}@{domain}"
        taken.add(email)
        yield Person(full_name=f"{first} {last}", email=email)


def _plain(name: str) -> str:
    decomposed = unicodedata.normalize("NFKD", name.lower())
    return "".join(letter for letter in decomposed if letter.isascii() and letter.isalpha())
