"""The failure table in code: each kind of answer, with and without a second look."""

from __future__ import annotations

from typing import Any

import pytest

from reconcile.domain.messages import SENTENCES, sentence
from reconcile.domain.model import (
    UNNAMED_LMS_ID,
    CourseMissing,
    Enrolled,
    History,
    MemberMissing,
    NotEnrolled,
    Outcome,
    Reason,
    Verdict,
)
from reconcile.run.answers import (
    AlreadyThere,
    Conclusion,
    Created,
    Garbled,
    Refused,
    Unanswered,
    Unserved,
    conclude,
    excuse,
    give_up_if_used_up,
)
from reconcile.run.breaker import Breaker, may_be_excused
from reconcile.run.retry import RetryPolicy

CREATED = Created(lms_id="n1", http_status=200)
REFUSED = Refused(reason=Reason.LMS_REJECTED, error="no", http_status=417)
THERE = AlreadyThere(http_status=200)
DOWN = Unserved(reason=Reason.LMS_UNAVAILABLE, error="503", certain=True, http_status=503)
LIMITED = Unserved(reason=Reason.RATE_LIMITED, error="429", certain=True, http_status=429)
ERROR_500 = Unserved(reason=Reason.LMS_UNAVAILABLE, error="500", certain=False, http_status=500)
TIMEOUT = Unanswered(error="no answer")
GARBLED = Garbled(error="HTML", http_status=200)
IN = Enrolled("n2")

#: result, second look -> outcome, reason, attempts, fault, again, hold
TABLE = [
    (CREATED, None, "enrolled", None, 1, False, False, False),
    (REFUSED, IN, "already_enrolled", None, 1, False, False, False),
    (REFUSED, NotEnrolled(), "retrying", "lms_rejected", 1, False, True, False),
    (REFUSED, MemberMissing(), "waiting", "member_missing", 0, False, False, False),
    (REFUSED, CourseMissing(), "waiting", "course_missing", 0, False, False, False),
    (REFUSED, None, "retrying", "lms_unavailable", 0, True, False, False),
    (ERROR_500, IN, "recovered", None, 1, False, False, False),
    (ERROR_500, NotEnrolled(), "retrying", "lms_rejected", 1, True, True, False),
    (ERROR_500, MemberMissing(), "waiting", "member_missing", 0, False, False, False),
    (ERROR_500, None, "retrying", "lms_unavailable", 0, True, False, False),
    (DOWN, None, "retrying", "lms_unavailable", 0, True, True, False),
    (LIMITED, None, "retrying", "rate_limited", 0, True, True, False),
    (TIMEOUT, IN, "recovered", None, 1, False, False, False),
    (TIMEOUT, NotEnrolled(), "retrying", "lms_timeout", 1, True, False, True),
    (TIMEOUT, MemberMissing(), "retrying", "lms_timeout", 1, True, False, True),
    (TIMEOUT, None, "retrying", "lms_timeout", 1, True, False, True),
    (GARBLED, IN, "recovered", None, 1, False, False, False),
    (GARBLED, NotEnrolled(), "retrying", "protocol", 1, True, False, True),
]


def as_row(conclusion: Conclusion) -> tuple[Any, ...]:
    verdict = conclusion.verdict
    return (
        str(verdict.outcome),
        str(verdict.reason) if verdict.reason else None,
        verdict.attempts,
        conclusion.fault,
        conclusion.again,
        conclusion.hold,
    )


@pytest.mark.parametrize("row", TABLE)
def test_what_follows_from_an_answer_and_a_second_look(row: tuple[Any, ...]) -> None:
    result, seen, *expected = row

    assert as_row(conclude(result, seen, can_look=True)) == tuple(expected)


def test_an_unanswered_write_is_never_sent_again_at_once() -> None:
    for result, _, *_, again, hold in TABLE:
        if isinstance(result, (type(TIMEOUT), type(GARBLED))):
            assert not again
        assert not (again and hold)


def test_the_name_is_the_one_that_the_lms_gave() -> None:
    assert conclude(CREATED, None, can_look=True).verdict.lms_id == "n1"
    assert conclude(REFUSED, IN, can_look=True).verdict.lms_id == "n2"


@pytest.mark.parametrize(
    ("result", "before", "outcome", "reason"),
    [
        (THERE, False, Outcome.ALREADY_ENROLLED, None),
        (THERE, True, Outcome.RECOVERED, None),
        (REFUSED, False, Outcome.RETRYING, Reason.LMS_REJECTED),
        (
            Refused(reason=Reason.MEMBER_MISSING, error="User not found", http_status=200),
            False,
            Outcome.WAITING,
            Reason.MEMBER_MISSING,
        ),
        (ERROR_500, False, Outcome.RETRYING, Reason.LMS_REJECTED),
    ],
)
def test_without_a_key_the_answer_alone_must_do(
    result: Any, before: bool, outcome: Outcome, reason: Reason | None
) -> None:
    verdict = conclude(result, None, can_look=False, unanswered_before=before).verdict

    assert (verdict.outcome, verdict.reason) == (outcome, reason)
    if outcome.has_access:
        assert verdict.lms_id == UNNAMED_LMS_ID


def test_there_after_an_unanswered_write_is_that_write() -> None:
    verdict = conclude(REFUSED, IN, can_look=True, unanswered_before=True).verdict

    assert verdict.outcome is Outcome.RECOVERED


@pytest.mark.parametrize(
    ("reason", "excused"),
    [
        (Reason.LMS_REJECTED, Reason.LMS_UNAVAILABLE),
        (Reason.PROTOCOL, Reason.LMS_UNAVAILABLE),
        (Reason.LMS_TIMEOUT, Reason.LMS_TIMEOUT),
        (Reason.RATE_LIMITED, Reason.RATE_LIMITED),
    ],
)
def test_an_excused_verdict_costs_nothing(reason: Reason, excused: Reason) -> None:
    verdict = excuse(Verdict(outcome=Outcome.FAILED, reason=reason, attempts=1))

    assert (verdict.outcome, verdict.reason, verdict.attempts) == (Outcome.RETRYING, excused, 0)


@pytest.mark.parametrize(
    ("outcome", "attempts", "visits", "expected"),
    [
        (Outcome.RETRYING, 1, 0, Outcome.RETRYING),
        (Outcome.RETRYING, 1, 4, Outcome.RETRYING),
        (Outcome.RETRYING, 1, 5, Outcome.FAILED),
        (Outcome.RETRYING, 1, 9, Outcome.FAILED),
        (Outcome.RETRYING, 0, 9, Outcome.RETRYING),
        (Outcome.ENROLLED, 1, 9, Outcome.ENROLLED),
    ],
)
def test_the_last_visit_makes_it_failed(
    outcome: Outcome, attempts: int, visits: int, expected: Outcome
) -> None:
    verdict = Verdict(outcome=outcome, attempts=attempts)

    assert give_up_if_used_up(verdict, visits_before=visits, policy=RetryPolicy()).outcome is expected


def test_the_breaker_counts_distinct_enrollments_in_a_row() -> None:
    breaker: Breaker[str] = Breaker(threshold=3)

    assert not breaker.fault("a", "a1")
    assert not breaker.fault("a", "a2")
    assert not breaker.fault("b", "b1")
    assert breaker.undecided == {"a", "b"}
    assert breaker.passed() == ["a1", "a2", "b1"]
    assert breaker.passed() == []
    assert not breaker.fault("c", "c1")
    assert not breaker.fault("d", "d1")
    assert breaker.fault("e", "e1")
    assert breaker.tripped


@pytest.mark.parametrize(
    ("history", "excused"),
    [
        (History(), True),
        # An outage: nobody gets through.
        (History(excused=299), True),
        (History(excused=300), False),
        # Others do.
        (History(excused=150, disproved=19), True),
        (History(excused=20, disproved=20), False),
    ],
)
def test_an_enrollment_is_excused_until_it_is_known_to_be_the_bad_one(
    history: History, excused: bool
) -> None:
    assert may_be_excused(history) is excused


def test_a_late_success_does_not_clear_a_tripped_breaker() -> None:
    breaker: Breaker[str] = Breaker(threshold=1)
    breaker.fault("a", "a1")

    assert breaker.passed() == []
    assert breaker.drain() == ["a1"]
    assert breaker.drain() == []
    assert breaker.fault("b", "b1")


def test_every_reason_has_a_sentence() -> None:
    assert set(SENTENCES) == set(Reason)
    assert all(text.endswith(".") for text in SENTENCES.values())


@pytest.mark.parametrize(
    ("reason", "error", "text"),
    [
        (Reason.LMS_REJECTED, None, "The LMS refused this enrollment."),
        (Reason.LMS_REJECTED, " no\n way ", "The LMS refused this enrollment. (no way)"),
        (None, "said", "said"),
        (None, None, ""),
    ],
)
def test_a_sentence_carries_what_the_lms_said(reason: Reason | None, error: str | None, text: str) -> None:
    assert sentence(reason, error) == text
    assert len(sentence(Reason.LMS_REJECTED, "x" * 10_000)) == 500
