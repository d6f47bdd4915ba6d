"""What the LMS shows for one effect key: exactly one of these. Part of the model, which exports them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Enrolled:
    """The LMS has it. `copies` > 1: it has it several times, which only the LMS's operator can mend."""

    lms_id: str
    copies: int = 1


@dataclass(frozen=True)
class NotEnrolled:
    """Learner and course are there (as far as the key may look) and nothing joins them."""


@dataclass(frozen=True)
class MemberMissing:
    """No LMS account with this e-mail."""


@dataclass(frozen=True)
class MemberDisabled:
    """The account exists and is disabled."""


@dataclass(frozen=True)
class CourseMissing:
    """No course with this name."""


@dataclass(frozen=True)
class CourseUnpublished:
    """The course exists and is not published."""


@dataclass(frozen=True)
class Unknown:
    """Could not be looked up: there is no key. `error` says why."""

    error: str


Observation = (
    Enrolled | NotEnrolled | MemberMissing | MemberDisabled | CourseMissing | CourseUnpublished | Unknown
)
