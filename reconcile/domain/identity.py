"""One spelling for each learner and course: normalised here and nowhere else, so that look-ups meet. Pure.

Trimmed and lower-cased, as the storefront does and as the LMS compares them.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

#: Frappe names are varchar(140): anything longer cannot be a user or a course there.
MAX_NAME = 140

#: Addresses that the storefront makes up where a checkout had none (STOREFRONT): they are nobody's.
PLACEHOLDERS = ("temp_*@placeholder.com",)


def normalise_email(value: str) -> str:
    """The storefront's rule: trimmed, lower case."""
    return value.strip().lower()


def normalise_course(value: str) -> str:
    """Trimmed, lower case: the LMS compares course names without regard to case."""
    return value.strip().lower()


def is_placeholder(email: str, patterns: Sequence[str] = PLACEHOLDERS) -> bool:
    """Whether the shop made this address up: it matches one of the patterns (`*` and `?`)."""
    address = normalise_email(email)
    return any(fnmatchcase(address, pattern) for pattern in patterns)
