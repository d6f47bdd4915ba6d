"""Is this run plausible? Limits drawn from what recent runs did. Pure."""

from __future__ import annotations

from collections.abc import Sequence

#: A run may always enroll so many: a course launch or an outage makes hundreds, honestly.
ALWAYS_ALLOWED = 500
#: ... and so many times the most that any recent run has enrolled.
SURGE_FACTOR = 10
#: Fewer runs than this are no history to compare with.
ENOUGH_RUNS = 5

#: Where recent runs saw at least so many LMS enrollments, an LMS that shows none is not believed.
NOTEWORTHY_TOTAL = 100


def surge_limit(enrolled: Sequence[int]) -> int | None:
    """How many learners a run may enroll without being asked; None where there is no history to tell.

    `enrolled` is what each recent run has enrolled. A run that wants more has most likely been
    shown a wrong or emptied LMS, and every write of it would be a duplicate.
    """
    if len(enrolled) < ENOUGH_RUNS:
        return None
    return max(ALWAYS_ALLOWED, SURGE_FACTOR * max(enrolled))


def is_suddenly_empty(total: int | None, before: Sequence[int | None]) -> bool:
    """True where the LMS shows no enrollment at all and recent runs saw many."""
    return total == 0 and max((known for known in before if known is not None), default=0) >= NOTEWORTHY_TOTAL
