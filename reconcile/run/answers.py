"""What the LMS may answer to an enroll, and what follows from it. Pure.

The table that `conclude` implements stands in docs/operations.md in words. It never decides by the
English text of an answer, only by its kind and by a second look (FRAPPE, points 4 and 5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from reconcile.domain.model import (
    UNNAMED_LMS_ID,
    WAITS,
    Enrolled,
    Observation,
    Outcome,
    Reason,
    Verdict,
)
from reconcile.run.retry import RetryPolicy


@dataclass(frozen=True, kw_only=True)
class Created:
    """Created now, under this name."""

    lms_id: str
    http_status: int


@dataclass(frozen=True, kw_only=True)
class AlreadyThere:
    """The LMS said, without naming a document, that the learner is in the course. Only without a key."""

    http_status: int


@dataclass(frozen=True, kw_only=True)
class Refused:
    """The LMS answered no. `reason` is what its answer alone tells; a second look knows better."""

    reason: Reason
    error: str
    http_status: int


EnrollAnswer = Created | AlreadyThere | Refused

#: The LMS takes no more enrollments in one request (FRAPPE, point 12).
LARGEST_BATCH = 200


@dataclass(frozen=True, kw_only=True)
class CreatedMany:
    """All created now, under these names, in the order asked for."""

    lms_ids: Sequence[str]
    http_status: int


@dataclass(frozen=True, kw_only=True)
class RefusedMany:
    """The LMS answered no to all together, and not because of whom: nobody's fault. Nobody was enrolled."""

    reason: Reason
    error: str
    http_status: int


ManyAnswer = CreatedMany | RefusedMany


@dataclass(frozen=True, kw_only=True)
class Unserved:
    """Answered, or never sent, and not done. `certain`: the answer itself blames the whole LMS."""

    reason: Reason
    error: str
    certain: bool
    http_status: int | None = None
    retry_after: float | None = None  #: seconds


@dataclass(frozen=True, kw_only=True)
class Unanswered:
    """Sent and not answered: done now, later or never."""

    error: str
    http_status: int | None = None


@dataclass(frozen=True, kw_only=True)
class Garbled:
    """Answered with something that the contract does not know; whether it was done is unknown."""

    error: str
    http_status: int | None = None


WriteResult = EnrollAnswer | Unserved | Unanswered | Garbled


@dataclass(frozen=True, kw_only=True)
class Conclusion:
    """What one write came to."""

    verdict: Verdict
    fault: bool = False  #: the LMS may be at fault: the run's breaker counts it
    again: bool = False  #: a second try may follow at once (after the retry delay)
    hold: bool = False  #: it may still be done: nobody writes for this key for a while


_WAITABLE = frozenset(WAITS.values())


def conclude(
    result: WriteResult,
    seen: Observation | None,
    *,
    can_look: bool,
    unanswered_before: bool = False,
) -> Conclusion:
    """What a write's result means, given a second look.

    `seen` is what the LMS showed afterwards; None where nobody looked (not needed, no key) or where
    the look itself failed, which `can_look` tells apart. `unanswered_before`: an earlier write for
    this key was never answered, so "already there" is most likely that one.
    """
    if isinstance(result, Created):
        return Conclusion(verdict=Verdict(outcome=Outcome.ENROLLED, lms_id=result.lms_id, attempts=1))
    if isinstance(seen, Enrolled):
        answered_no = isinstance(result, (Refused, AlreadyThere)) and not unanswered_before
        outcome = Outcome.ALREADY_ENROLLED if answered_no else Outcome.RECOVERED
        return Conclusion(verdict=Verdict(outcome=outcome, lms_id=seen.lms_id, attempts=1))
    if isinstance(result, AlreadyThere):
        outcome = Outcome.RECOVERED if unanswered_before else Outcome.ALREADY_ENROLLED
        return Conclusion(verdict=Verdict(outcome=outcome, lms_id=UNNAMED_LMS_ID, attempts=1))
    if isinstance(result, Unanswered):
        return _held(Reason.LMS_TIMEOUT, result.error)
    if isinstance(result, Garbled):
        return _held(Reason.PROTOCOL, result.error)
    if isinstance(result, Unserved) and result.certain:
        verdict = Verdict(outcome=Outcome.RETRYING, reason=result.reason, error=result.error)
        return Conclusion(verdict=verdict, fault=True, again=True)
    return _refused(result, seen, can_look=can_look)


def _refused(result: Refused | Unserved, seen: Observation | None, *, can_look: bool) -> Conclusion:
    """Answered no, or a 500 that hit this one: the second look tells whose fault it is."""
    if seen is None and can_look:
        # The LMS stopped answering between the write and the look: that is its own fault.
        verdict = Verdict(outcome=Outcome.RETRYING, reason=Reason.LMS_UNAVAILABLE, error=result.error)
        return Conclusion(verdict=verdict, fault=True)
    waits = WAITS.get(type(seen)) if seen is not None else None
    if waits is None and result.reason in _WAITABLE:
        waits = result.reason
    if waits is not None:
        return Conclusion(verdict=Verdict(outcome=Outcome.WAITING, reason=waits, error=result.error))
    verdict = Verdict(outcome=Outcome.RETRYING, reason=Reason.LMS_REJECTED, error=result.error, attempts=1)
    return Conclusion(verdict=verdict, fault=isinstance(result, Unserved), again=True)


def _held(reason: Reason, error: str) -> Conclusion:
    verdict = Verdict(outcome=Outcome.RETRYING, reason=reason, error=error, attempts=1)
    return Conclusion(verdict=verdict, fault=True, hold=True)


def not_counted(conclusion: Conclusion) -> Conclusion:
    """The same for one of several in a request: only a write of one's own uses up an attempt."""
    if conclusion.verdict.outcome is not Outcome.RETRYING:
        return conclusion
    return replace(conclusion, verdict=replace(conclusion.verdict, attempts=0))


def excuse(verdict: Verdict) -> Verdict:
    """The same verdict, blamed on the LMS: uses up no attempt, fails nobody."""
    kept = verdict.reason in (Reason.LMS_TIMEOUT, Reason.RATE_LIMITED)
    reason = verdict.reason if kept else Reason.LMS_UNAVAILABLE
    return replace(verdict, outcome=Outcome.RETRYING, reason=reason, attempts=0)


def give_up_if_used_up(verdict: Verdict, *, visits_before: int, policy: RetryPolicy) -> Verdict:
    """`retrying` becomes `failed` where this visit, after so many before it, was the last one."""
    if verdict.outcome is not Outcome.RETRYING or not verdict.attempts:
        return verdict
    if not policy.is_used_up(visits_before + 1):
        return verdict
    return replace(verdict, outcome=Outcome.FAILED)
