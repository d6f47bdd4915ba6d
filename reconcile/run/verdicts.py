"""What a decision, or another order's fate, means for an order; and what of it is worth writing. Pure."""

from __future__ import annotations

from dataclasses import replace

from reconcile.domain.messages import sentence
from reconcile.domain.model import (
    SYNC_STATUS,
    Confirm,
    Enroll,
    GiveUp,
    MalformedEnrollment,
    Outcome,
    Reason,
    Verdict,
    Wait,
)
from reconcile.run.decision import shop_tried_at
from reconcile.run.page import Surveyed
from reconcile.run.retry import spread


def turn(entry: Surveyed) -> tuple[int, float]:
    """Whose turn comes first: the least tried, then scattered, so that poison does not stand in a row."""
    return entry.history.visits + entry.history.excused, spread(entry.enrollment.id, 0)


def verdict_without_write(entry: Surveyed) -> Verdict | None:
    """The verdict that a decision is by itself; None for an Enroll that was not carried out."""
    match entry.decision:
        case Enroll():
            return None
        case Confirm(lms_id):
            recovered = entry.history.open_attempt is not None or (
                entry.history.last_reason is Reason.LMS_TIMEOUT
            )
            outcome = Outcome.RECOVERED if recovered else Outcome.ALREADY_ENROLLED
            return Verdict(outcome=outcome, lms_id=lms_id, flags=entry.flags)
        case Wait(reason):
            return Verdict(outcome=Outcome.WAITING, reason=reason, flags=entry.flags)
        case GiveUp(reason):
            problems = None
            if isinstance(entry.enrollment, MalformedEnrollment):
                problems = "; ".join(entry.enrollment.problems)
            return Verdict(outcome=Outcome.FAILED, reason=reason, error=problems, flags=entry.flags)
    return Verdict(outcome=Outcome.SKIPPED, reason=entry.decision.reason, flags=entry.flags)


def shared_verdict(entry: Surveyed, fate: Verdict) -> Verdict | None:
    """What the verdict on another order of the same learner and course means for this one."""
    if fate.outcome.has_access:
        return Verdict(outcome=Outcome.ALREADY_ENROLLED, lms_id=fate.lms_id, flags=entry.flags)
    if not isinstance(entry.decision, Enroll):
        return verdict_without_write(entry)
    # Its own attempts are untouched; its turn comes in a later run.
    outcome = Outcome.RETRYING if fate.outcome is Outcome.FAILED else fate.outcome
    return replace(fate, outcome=outcome, attempts=0, flags=entry.flags)


def is_news(entry: Surveyed, verdict: Verdict) -> bool:
    """False for what the audit knows already: skips, and the same verdict as last time."""
    if verdict.outcome is Outcome.SKIPPED:
        return False
    if verdict.outcome.has_access:
        # An open attempt's row has just got this end. A success said before is no news either: its
        # write-back did not get through then, and does now.
        return entry.history.open_attempt is None and entry.history.last_outcome is not verdict.outcome
    history = entry.history
    if (verdict.outcome, verdict.reason) != (history.last_outcome, history.last_reason):
        return True
    # The storefront has tried since: what we write over its words must be known as ours again.
    tried, said = shop_tried_at(entry.enrollment, history), history.last_said_at
    return tried is not None and said is not None and tried > said and changes_order(entry, verdict)


def changes_order(entry: Surveyed, verdict: Verdict) -> bool:
    """False where the order's document says the same already."""
    if verdict.outcome is Outcome.SKIPPED:
        return False
    if verdict.outcome.has_access or verdict.attempts:
        return True
    sync = entry.enrollment.sync
    if verdict.reason is Reason.EXHAUSTED and sync.status == SYNC_STATUS[verdict.outcome]:
        return False  # the last refusal's own words say more
    return (sync.status, sync.error) != (
        SYNC_STATUS[verdict.outcome],
        sentence(verdict.reason, verdict.error),
    )


def would_write(entry: Surveyed) -> bool:
    """True where carrying out this decision writes something somewhere."""
    verdict = verdict_without_write(entry)
    return verdict is None or changes_order(entry, verdict)
