"""One spelling for each learner and course: normalised here and nowhere else, so that look-ups meet. Pure.

Trimmed and lower-cased, as the storefront does and as the LMS compares them, letter by letter (FRAPPE 3.5):
`casefold` would make one of `ß` and `ss`, which are two people.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

#: Frappe names are varchar(140): anything longer cannot be a user or a course there.
MAX_NAME = 140

#: Addresses that the storefront makes up where a checkout had none (STOREFRONT): they are nobody's.
PLACEHOLDERS = ("temp_*@placeholder.com",)


def normalise_name(value: str) -> str:
    """How the LMS compares the names of its documents, users and courses among them."""
    return value.strip().lower()


def normalise_email(value: str) -> str:
    """The storefront's rule for an address, which is the LMS's for a user."""
    return normalise_name(value)


def normalise_course(value: str) -> str:
    """The LMS's rule for a course."""
    return normalise_name(value)


def is_placeholder(email: str, patterns: Sequence[str] = PLACEHOLDERS) -> bool:
    """Whether the shop made this address up: it matches one of the patterns (`*` and `?`)."""
    address = normalise_email(email)
    return any(fnmatchcase(address, pattern) for pattern in patterns)
