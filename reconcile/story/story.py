"""The whole story of one order, put together from what all three systems say. Pure.

`explain` shows it: what happened, what the LMS says now, what happens next, what a person should do.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from reconcile.domain.messages import SENTENCES, sentence
from reconcile.domain.model import (
    AnyEnrollment,
    Confirm,
    CourseMissing,
    CourseUnpublished,
    Decision,
    Defer,
    Enroll,
    Enrolled,
    GiveUp,
    MalformedEnrollment,
    MemberDisabled,
    MemberMissing,
    NotEnrolled,
    Observation,
    Reason,
    Skip,
    Unknown,
    Wait,
    action_of,
)
from reconcile.story.remedies import NOTHING, REMEDIES
from reconcile.story.shop_texts import UNMARKED_REMEDY, minute


@dataclass(frozen=True, order=True, kw_only=True)
class Event:
    """One line of the timeline."""

    at: datetime
    who: str  #: shop, reconcile, or a person's account
    what: str


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What would become of the order now."""

    action: str  #: a decision's name; `none` where the order is synced or could not be looked at
    reason: Reason | None
    until: datetime | None  #: not before then
    next_step: str  #: what happens next by itself
    to_do: str  #: what a person should do; `nothing` where that is so


_OBSERVED: dict[type[Observation], str] = {
    NotEnrolled: "is not enrolled; account and course are there",
    MemberMissing: "has no LMS account with this address",
    MemberDisabled: "has a disabled LMS account",
    CourseMissing: "is not enrolled; the LMS has no course of this name",
    CourseUnpublished: "is not enrolled; the course is not published",
    Unknown: "cannot be looked up without an API key",
}


def observed(observation: Observation | None, *, failure: str | None = None) -> str:
    """What the LMS says now, as the end of a sentence about the learner."""
    if isinstance(observation, Enrolled):
        copies = f", {observation.copies} times" if observation.copies > 1 else ""
        return f"is enrolled{copies} ({observation.lms_id})"
    if observation is None:
        return f"could not be looked up: {failure}" if failure else "was not looked up"
    return _OBSERVED[type(observation)]


def concluded(
    item: AnyEnrollment,
    decision: Decision | None,
    observation: Observation | None,
    *,
    failure: str | None = None,
    unmarked: bool = False,
) -> Outlook:
    """What happens next. `decision` is None for a synced order, or where the look failed (`failure`).

    `unmarked`: somebody has paid at Stripe, and the order does not say so.
    """
    if unmarked:
        step = "nothing by itself: somebody has paid at Stripe, and the shop never marked the order as paid"
        return _outlook(Skip(Reason.NOT_PAID), step, UNMARKED_REMEDY.removesuffix("."))
    if not item.paid:
        inside = isinstance(observation, Enrolled)
        todo = "refunded? then remove the learner in the LMS (`reconcile drift`)" if inside else NOTHING
        return _outlook(Skip(Reason.NOT_PAID), "nothing: only paid orders are enrolled", todo)
    if failure is not None:
        return _outlook(None, "the next run looks again", "see to the failure; `reconcile diagnose` helps")
    return _synced(observation) if decision is None else _decided(item, decision)


def _decided(item: AnyEnrollment, decision: Decision) -> Outlook:
    match decision:
        case Confirm():
            return _outlook(decision, "the next run writes the LMS's word into the order", NOTHING)
        case Enroll():
            return _outlook(
                decision, "the next run gives access", "nothing, or `reconcile retry ID` to do it now"
            )
        case Wait(reason):
            return _outlook(decision, "every run looks again; access follows by itself", REMEDIES[reason])
        case Defer(until, Reason.LEASE_HELD):
            return _outlook(
                decision,
                f"on hold after an unanswered write, the shop's or ours, until {minute(until)}",
                NOTHING,
            )
        case Defer(until, _):
            return _outlook(
                decision, f"tried again at {minute(until)}", "nothing, or `reconcile retry ID` to do it now"
            )
        case GiveUp(reason):
            return _outlook(decision, f"nothing: {_why(item, reason)}", REMEDIES[reason])
    return _outlook(decision, f"left alone for now: {SENTENCES[decision.reason]}", REMEDIES[decision.reason])


def _synced(observation: Observation | None) -> Outlook:
    if observation is None or isinstance(observation, (Enrolled, Unknown)):
        return _outlook(None, "nothing: the order is synced", NOTHING)
    return _outlook(
        None,
        "nothing: the order says synced, but the LMS has no such enrollment, and that is left to people",
        "removed on purpose? else `reconcile drift --fix`",
    )


def _outlook(decision: Decision | None, next_step: str, to_do: str) -> Outlook:
    return Outlook(
        action=action_of(decision) if decision is not None else "none",
        reason=getattr(decision, "reason", None),
        until=getattr(decision, "until", None),
        next_step=next_step,
        to_do=to_do,
    )


def _why(item: AnyEnrollment, reason: Reason) -> str:
    problems = "; ".join(item.problems) if isinstance(item, MalformedEnrollment) else item.sync.error
    return sentence(reason, problems)
