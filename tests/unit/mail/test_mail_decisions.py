"""What an answer of a mail server means for the mail."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcile.domain.mail_status import MailStatus
from reconcile.mail.rules import MAX_TRIES, Accepted, Bounced, Later, MailAnswer, Unclear, conclude
from tests.fakes.audit_samples import NOON

answers = st.one_of(
    st.builds(Accepted, code=st.integers(200, 299)),
    st.builds(Bounced, error=st.text(), code=st.none() | st.integers(500, 599)),
    st.builds(Later, error=st.text(), code=st.none() | st.integers(400, 499), broken=st.booleans()),
    st.builds(Unclear, error=st.text()),
)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (Accepted(code=250), MailStatus.SENT),
        (Bounced(error="550 no", code=550), MailStatus.BOUNCED),
        (Later(error="451 wait", code=451), MailStatus.PENDING),
        (Unclear(error="silence"), MailStatus.UNKNOWN),
    ],
)
def test_the_first_answer(answer: MailAnswer, status: MailStatus) -> None:
    end = conclude(answer, enrollment_id="e1", tries=1, now=NOON)

    assert end.status is status
    assert end.code == getattr(answer, "code", None)
    assert end.error == getattr(answer, "error", None)


@pytest.mark.parametrize(
    ("tries", "minutes"), [(1, 2), (2, 4), (3, 8), (4, 16), (8, 256), (9, 360), (11, 360)]
)
def test_the_backoff_doubles_up_to_six_hours(tries: int, minutes: int) -> None:
    end = conclude(Later(error="wait"), enrollment_id="e1", tries=tries, now=NOON)

    assert end.next_try_at is not None
    waited = (end.next_try_at - NOON) / timedelta(minutes=1)
    assert minutes * 0.9 <= waited <= minutes * 1.1


def test_the_last_try_is_the_last() -> None:
    assert conclude(Later(error="x"), enrollment_id="e", tries=MAX_TRIES - 1, now=NOON).next_try_at
    assert (
        conclude(Later(error="x"), enrollment_id="e", tries=MAX_TRIES, now=NOON).status is MailStatus.FAILED
    )


@given(answers, st.text(), st.integers(1, 1000))
def test_only_what_certainly_was_not_taken_is_tried_again(
    answer: MailAnswer, enrollment_id: str, tries: int
) -> None:
    end = conclude(answer, enrollment_id=enrollment_id, tries=tries, now=NOON)

    assert (end.status is MailStatus.PENDING) == (end.next_try_at is not None)
    assert (end.status is MailStatus.PENDING) == (isinstance(answer, Later) and tries < MAX_TRIES)
    assert end.next_try_at is None or end.next_try_at > NOON


@pytest.mark.parametrize("status", MailStatus)
def test_only_what_ended_badly_may_be_sent_again(status: MailStatus) -> None:
    again = status.may_be_sent_again

    assert again is (status in {MailStatus.BOUNCED, MailStatus.FAILED, MailStatus.UNKNOWN})
