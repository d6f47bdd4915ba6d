"""Whose fault is it? A run-level breaker over the writes of one run. Pure.

A failure that hits one enrollment while others go through is that enrollment's own; failures that
hit several enrollments in a row are the LMS's and cost nobody anything (ADR 6).
"""

from __future__ import annotations

from typing import Generic, TypeVar

from reconcile.domain.model import History

#: Distinct enrollments in a row that must fail before the LMS is to blame.
THRESHOLD = 5

#: How often one enrollment may be excused although the LMS took others' writes afterwards: from then on it is
#: the enrollment that is bad, and its attempts count.
MAX_DISPROVED = 20
#: ... and how often where nobody's write was taken: a day of five-minute runs. Poison among poison looks like
#: an outage, and must not be written for ever.
MAX_EXCUSED = 300

T = TypeVar("T")


def may_be_excused(history: History) -> bool:
    """False for an enrollment on whose account the LMS was blamed too often."""
    return history.disproved < MAX_DISPROVED and history.excused < MAX_EXCUSED


class Breaker(Generic[T]):
    """Keeps the faults in a row, by enrollment, until it is known whose they are."""

    def __init__(self, threshold: int = THRESHOLD) -> None:
        self.threshold = threshold
        self.tripped = False
        self._streak: dict[str, list[T]] = {}

    def fault(self, enrollment_id: str, evidence: T) -> bool:
        """Count one failed write; True when the breaker trips by it (or has tripped before)."""
        self._streak.setdefault(enrollment_id, []).append(evidence)
        self.tripped = self.tripped or len(self._streak) >= self.threshold
        return self.tripped

    def passed(self) -> list[T]:
        """A write went through: the faults so far were the enrollments' own; hands them back.

        After the breaker has tripped nothing clears the LMS any more in this run.
        """
        return [] if self.tripped else self.drain()

    @property
    def undecided(self) -> frozenset[str]:
        """The enrollments with a fault whose blame is still open."""
        return frozenset(self._streak)

    def drain(self) -> list[T]:
        """Hand back everything that is still undecided and forget it."""
        pending = [evidence for faults in self._streak.values() for evidence in faults]
        self._streak.clear()
        return pending
