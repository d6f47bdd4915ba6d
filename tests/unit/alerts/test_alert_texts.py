"""What an alert says: what, how many, how much, since when, what to do, what to type."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from reconcile.alerts.decision import DAY, AlertState, Cause, Findings, Kind, Step, decide_alerts
from reconcile.alerts.texts import COMMANDS, REMEDIES, bundle, span, what_was, write_message

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)

UNPUBLISHED = Cause(
    kind=Kind.COURSE_UNPUBLISHED,
    subject="python-basics",
    count=412,
    amounts=(("eur", Decimal(0)), ("usd", Decimal(82388))),
    oldest_paid_at=NOON - 4 * DAY,
    samples=("6a01  s***@example.com  python-basics  paid 2026-11-20",),
)


def step(cause: Cause | None, before: AlertState | None = None, key: str = "") -> Step:
    judged = frozenset(Kind)
    causes = {cause.key: cause} if cause is not None else {}
    memory = {key or (cause.key if cause else ""): before} if before is not None else {}
    (found,) = decide_alerts(Findings(causes=causes, judged=judged), memory, NOON)
    return found


def told(ago: timedelta, count: int = 1) -> AlertState:
    return AlertState(first_seen_at=NOON - ago, told_at=NOON - ago, told_count=count)


def test_a_whole_alert() -> None:
    message = write_message(step(UNPUBLISHED), now=NOON, alert_age=HOUR)

    assert message.title == (
        "reconcile: 412 paid orders for course python-basics, which is not published, 82,388.00 USD"
    )
    assert message.body == (
        "412 paid orders for course python-basics, which is not published, 82,388.00 USD.\n"
        "Since 2026-11-24 12:00 UTC; the oldest order was paid 2026-11-20 12:00 UTC.\n"
        "\n"
        "The oldest:\n"
        "  6a01  s***@example.com  python-basics  paid 2026-11-20\n"
        "  … and 411 more\n"
        "\n"
        "What to do: Publish the course in the LMS; access follows by itself.\n"
        "Next: reconcile report --view enrollments --reason course_unpublished --course python-basics"
    )


@pytest.mark.parametrize(
    ("before", "opening"),
    [
        (told(DAY, 412), "reconcile: still: 412 paid orders"),
        (told(HOUR, 41), "reconcile: grown tenfold: 412 paid orders"),
        (
            AlertState(first_seen_at=NOON - DAY, told_at=NOON - DAY, told_count=9, cleared_at=NOON - HOUR),
            "reconcile: again: 412 paid orders",
        ),
    ],
)
def test_the_opening_says_why_it_is_told_now(before: AlertState, opening: str) -> None:
    message = write_message(step(UNPUBLISHED, before), now=NOON, alert_age=HOUR)

    assert message.title.startswith(opening)


def test_an_order_that_tells_no_payment_was_ordered() -> None:
    message = write_message(step(replace(UNPUBLISHED, oldest_word="ordered")), now=NOON, alert_age=HOUR)

    assert "; the oldest order was ordered 2026-11-20 12:00 UTC." in message.body


def test_a_reminder_says_since_when_it_lasts() -> None:
    message = write_message(step(UNPUBLISHED, told(3 * DAY)), now=NOON, alert_age=HOUR)

    assert "Since 2026-11-21 12:00 UTC (3 days)" in message.body


def test_an_all_clear_says_how_long_it_was() -> None:
    message = write_message(step(None, told(HOUR), "aborted:lms_unavailable"), now=NOON, alert_age=HOUR)

    assert message.title == "reconcile: all clear: runs succeed again (lms_unavailable)"
    assert "It lasted from 2026-11-24 11:00 UTC to 2026-11-24 12:00 UTC (1 hour)." in message.body


def test_an_abort_says_the_error_and_its_own_remedy() -> None:
    cause = Cause(
        kind=Kind.ABORTED, subject="blind", note="The key sees nothing.", remedy="Make it a Moderator."
    )

    message = write_message(step(cause), now=NOON, alert_age=HOUR)

    assert message.title == "reconcile: runs are aborted, blind"
    assert "The key sees nothing." in message.body
    assert "What to do: Make it a Moderator." in message.body


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("subject", ["", "old-course", "course:old-course", "malformed"])
def test_each_kind_has_words_for_its_beginning_and_its_end(kind: Kind, subject: str) -> None:
    cause = Cause(kind=kind, subject=subject, count=1, samples=("one",))

    message = write_message(step(cause), now=NOON, alert_age=timedelta(minutes=90))
    clear = write_message(step(None, told(HOUR), cause.key), now=NOON, alert_age=HOUR)

    assert REMEDIES[kind] in message.body
    assert COMMANDS[kind].format(subject=subject) in message.body
    assert "Which:\n  one" in message.body
    assert "{" not in message.title + message.body + clear.title + clear.body
    assert "1 paid orders" not in message.title
    assert what_was(cause.key) in clear.title


def test_a_cause_of_another_version_still_has_an_all_clear() -> None:
    assert what_was("unheard_of:thing") == "unheard_of:thing"


def test_titles_have_a_bounded_length() -> None:
    cause = Cause(kind=Kind.COURSE_MISSING, subject="x" * 140)

    assert len(write_message(step(cause), now=NOON, alert_age=HOUR).title) == 150


def test_several_messages_become_one() -> None:
    messages = [
        write_message(step(Cause(kind=Kind.COURSE_MISSING, subject=name)), now=NOON, alert_age=HOUR)
        for name in ("a", "b")
    ]

    message = bundle(messages)

    assert message.title == "reconcile: 2 messages at once"
    assert all(each.body in message.body for each in messages)


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (timedelta(seconds=20), "20 seconds"),
        (timedelta(minutes=1), "1 minute"),
        (timedelta(minutes=119), "1 hour"),
        (timedelta(hours=5), "5 hours"),
        (timedelta(days=3, hours=23), "3 days"),
        (timedelta(seconds=-5), "0 seconds"),
    ],
)
def test_spans(length: timedelta, words: str) -> None:
    assert span(length) == words


def test_a_step_without_news_has_no_message() -> None:
    with pytest.raises(ValueError, match="nothing to tell"):
        write_message(Step(key="drift", before=None, after=None), now=NOON, alert_age=HOUR)
