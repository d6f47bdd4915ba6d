"""What an alert says: what happened, to how many, how much money, since when, what to do next. Pure.

The remedies are those of docs/operations.md, section "Alerts"; a test compares both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from reconcile.alerts.decision import AlertState, Cause, Kind, News, Step
from reconcile.story.shop_texts import UNMARKED_REMEDY, WORKER_REMEDY, minute, money

#: Longer titles are cut by the services themselves, at worse places.
_MAX_TITLE = 150

#: What a person does about each kind.
REMEDIES: dict[Kind, str] = {
    Kind.ABORTED: "Read the error; docs/operations.md has a row for each reason.",
    Kind.SILENCE: "See that the scheduler or cron runs, and what its log says.",
    Kind.OLDEST_WAITING: "See why they are not enrolled; the report names the reason of each.",
    Kind.FAILED: "Correct what the reason names, then run once more with --include-failed.",
    Kind.COURSE_MISSING: "Correct courseId in the orders, or create or rename the course; access follows.",
    Kind.COURSE_UNPUBLISHED: "Publish the course in the LMS; access follows by itself.",
    Kind.MEMBER_MISSING_LONG: "Ask the learners to sign up with the address they paid with, "
    "or correct email in the order; access follows.",
    Kind.MEMBER_DISABLED_LONG: "Enable the accounts in the LMS; access follows by itself.",
    Kind.DRIFT: "Look at the differences before anything is repaired.",
    Kind.SCAN_EMPTY: "See that MONGODB_URI and MONGODB_COLLECTION name the shop's live orders.",
    Kind.SHOP_WORKER: WORKER_REMEDY,
    Kind.UNMARKED: UNMARKED_REMEDY,
}

#: What to type next; `{subject}` is the course or the reason.
COMMANDS: dict[Kind, str] = {
    Kind.ABORTED: "reconcile run",
    Kind.SILENCE: "reconcile status",
    Kind.OLDEST_WAITING: "reconcile plan",
    Kind.FAILED: "reconcile report --view enrollments --outcome failed",
    Kind.COURSE_MISSING: "reconcile report --view enrollments --reason course_missing --course {subject}",
    Kind.COURSE_UNPUBLISHED: (
        "reconcile report --view enrollments --reason course_unpublished --course {subject}"
    ),
    Kind.MEMBER_MISSING_LONG: "reconcile report --view enrollments --reason member_missing --with-emails",
    Kind.MEMBER_DISABLED_LONG: "reconcile report --view enrollments --reason member_disabled --with-emails",
    Kind.DRIFT: "reconcile drift",
    Kind.SCAN_EMPTY: "reconcile status",
    Kind.SHOP_WORKER: "reconcile status",
    Kind.UNMARKED: "reconcile diagnose",
}

_HEADLINES: dict[Kind, str] = {
    Kind.ABORTED: "runs are aborted, {subject}",
    Kind.SILENCE: "no run has succeeded for too long",
    Kind.OLDEST_WAITING: "{orders} without access for more than {age}",
    Kind.FAILED: "{orders} failed, {where}",
    Kind.COURSE_MISSING: "{orders} for course {subject}, which the LMS does not have",
    Kind.COURSE_UNPUBLISHED: "{orders} for course {subject}, which is not published",
    Kind.MEMBER_MISSING_LONG: "{orders} without an LMS account for more than a day",
    Kind.MEMBER_DISABLED_LONG: "{orders} with a disabled LMS account for more than a day",
    Kind.DRIFT: "drift, {number} between shop and LMS",
    Kind.SCAN_EMPTY: "scans find no order any more",
    Kind.SHOP_WORKER: "the shop's own worker does not run, {jobs} overdue",
    Kind.UNMARKED: "{checkouts} paid at Stripe and never marked as paid in the shop",
}

_OPENINGS = {
    News.RAISED: "",
    News.AGAIN: "again: ",
    News.GROWN: "grown tenfold: ",
    News.REMINDER: "still: ",
    News.CLEARED: "all clear: ",
}


@dataclass(frozen=True, kw_only=True)
class Message:
    """What is sent: plain text."""

    title: str
    body: str


def write_message(step: Step, *, now: datetime, alert_age: timedelta) -> Message:
    """The message for a step that has news. Raises ValueError for one without."""
    if step.news is None:
        raise ValueError(f"nothing to tell of {step.key}")
    opening = f"reconcile: {_OPENINGS[step.news]}"
    if step.cause is None:
        return Message(
            title=_title(opening + what_was(step.key)),
            body=_all_clear(step.key, step.before or AlertState(first_seen_at=now), now),
        )
    sums = money(step.cause.amounts)
    headline = f"{what_is(step.cause, alert_age)}{f', {sums}' if sums else ''}"
    return Message(title=_title(opening + headline), body=_body(step.cause, headline, step.after, now))


def bundle(messages: Sequence[Message]) -> Message:
    """Several messages as one: much that breaks at once should not ring as often."""
    title = f"reconcile: {len(messages)} messages at once"
    parts = [f"{message.title.removeprefix('reconcile: ')}\n\n{message.body}" for message in messages]
    return Message(title=title, body="\n\n----\n\n".join(parts))


def what_is(cause: Cause, alert_age: timedelta) -> str:
    """The cause in a line, with its count."""
    plural = "" if cause.count == 1 else "s"
    course = cause.subject.removeprefix("course:")
    return _HEADLINES[cause.kind].format(
        orders=f"{cause.count} paid order{plural}",
        checkouts=f"{cause.count} order{plural}",
        jobs=f"{cause.count} job{plural}",
        number=f"{cause.count} difference{plural}",
        subject=cause.subject,
        where=f"for course {course}" if course != cause.subject else cause.subject,
        age=span(alert_age),
    )


def what_was(key: str) -> str:
    """A cause that is gone, by its key alone."""
    kind, _, subject = key.partition(":")
    words = {
        Kind.ABORTED: f"runs succeed again ({subject})",
        Kind.SILENCE: "runs succeed again",
        Kind.OLDEST_WAITING: "nobody waits too long any more",
        Kind.FAILED: f"nothing is failed any more ({subject.removeprefix('course:')})",
        Kind.COURSE_MISSING: f"nobody waits for course {subject} any more",
        Kind.COURSE_UNPUBLISHED: f"nobody waits for course {subject} any more",
        Kind.MEMBER_MISSING_LONG: "nobody is without an LMS account any more",
        Kind.MEMBER_DISABLED_LONG: "nobody waits with a disabled account any more",
        Kind.DRIFT: "shop and LMS agree",
        Kind.SCAN_EMPTY: "scans find orders again, or new ones are sold",
        Kind.SHOP_WORKER: "the shop's own worker runs again, or nothing is due",
        Kind.UNMARKED: "every order that was paid at Stripe is marked as paid",
    }
    return words[Kind(kind)] if kind in words else key


def span(length: timedelta) -> str:
    """`3 days`, `5 hours`, `12 minutes`: one unit, which is enough to be alarmed by."""
    seconds = max(length.total_seconds(), 0.0)
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= size:
            number = int(seconds // size)
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return f"{seconds:.0f} seconds"


def _body(cause: Cause, headline: str, state: AlertState | None, now: datetime) -> str:
    lines = [f"{headline[:1].upper()}{headline[1:]}."]
    if cause.note:
        lines.append(cause.note)
    lines.append(_since(cause, state, now))
    if cause.samples:
        more = cause.count - len(cause.samples)
        lines += ["", "The oldest:" if more > 0 else "Which:"]
        lines += [f"  {sample}" for sample in cause.samples]
        if more > 0:
            lines.append(f"  … and {more} more")
    lines += ["", f"What to do: {cause.remedy or REMEDIES[cause.kind]}"]
    lines.append(f"Next: {COMMANDS[cause.kind].format(subject=cause.subject)}")
    return "\n".join(lines)


def _since(cause: Cause, state: AlertState | None, now: datetime) -> str:
    seen = state.first_seen_at if state is not None else now
    text = f"Since {minute(seen)}"
    if now - seen >= timedelta(minutes=1):
        text += f" ({span(now - seen)})"
    if cause.oldest_paid_at is not None:
        text += f"; the oldest order was {cause.oldest_word} {minute(cause.oldest_paid_at)}"
    return f"{text}."


def _all_clear(key: str, before: AlertState, now: datetime) -> str:
    words = what_was(key)
    end = before.gone_since or now
    lasted = span(end - before.first_seen_at)
    return (
        f"{words[:1].upper()}{words[1:]}.\n"
        f"It lasted from {minute(before.first_seen_at)} to {minute(end)} ({lasted}).\n"
        "\n"
        "What to do: nothing."
    )


def _title(text: str) -> str:
    return text if len(text) <= _MAX_TITLE else f"{text[: _MAX_TITLE - 1]}…"
