"""What a run, an order and a verdict look like as rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from reconcile import __version__
from reconcile.audit import rows
from reconcile.domain.model import AnyEnrollment, MalformedEnrollment, Outcome, Reason, Verdict
from reconcile.run.ports import Origin
from reconcile.run.summary import RunStatus
from tests.fakes.audit_samples import NOON, REFUSED, enrollment, intent, record, summary

SECRET = b"secret"
ORIGIN = Origin(host="here", pid=7, process_started="1")


def test_a_person_has_one_key_for_every_spelling_and_another_in_another_database() -> None:
    key = rows.person_key(SECRET, "Sam@Example.com ")

    assert key == rows.person_key(SECRET, "sam@example.com")
    assert len(key) == 32
    assert key != rows.person_key(b"other", "sam@example.com")
    assert key != rows.person_key(SECRET, "tom@example.com")


def test_a_run_that_begins_and_one_that_is_over() -> None:
    run = summary()
    begun = rows.run_row(run, ORIGIN)
    assert (begun["run_id"], begun["host"], begun["pid"], begun["process_started"]) == (
        "run-1",
        "here",
        7,
        "1",
    )
    assert (begun["started_at"], begun["heartbeat_at"], begun["version"]) == (NOON, NOON, __version__)
    assert (begun["status"], begun["exit_code"], begun["outcomes"], begun["reasons"]) == (
        "running",
        None,
        "{}",
        "{}",
    )

    run.add(REFUSED)
    run.close(RunStatus.COMPLETED, at=NOON + timedelta(minutes=1))
    over = rows.run_progress(run)
    assert (over["status"], over["finished_at"], over["exit_code"]) == (
        "completed",
        NOON + timedelta(minutes=1),
        1,
    )
    assert (over["outcomes"], over["reasons"]) == ('{"retrying": 1}', '{"lms_rejected": 1}')


def test_an_attempt_that_begins_holds_no_whole_address() -> None:
    row = rows.intent_row(replace(intent(), flags=frozenset({"b", "a"}), shop_tries=3), SECRET)

    assert row["email_masked"] == "b***@example.com"
    assert row["email_key"] == rows.person_key(SECRET, "buyer@example.com")
    assert row["member_key"] == rows.person_key(SECRET, "learner@example.com")
    assert not any("buyer@" in str(value) or "learner@" in str(value) for value in row.values())
    assert (row["number"], row["action"], row["started_at"], row["counted"]) == (1, "enroll", NOON, 0)
    assert (row["flags"], row["shop_tries"], row["amount_e4"]) == ("a b", 3, 1_995_000)


def test_a_verdict_without_a_write_is_begun_and_finished_at_once() -> None:
    row = rows.record_row(record(), SECRET)

    assert (row["number"], row["action"], row["started_at"], row["finished_at"]) == (0, "wait", NOON, NOON)
    assert (row["outcome"], row["reason"], row["http_status"]) == ("waiting", "member_missing", None)


def test_the_verdict_s_columns() -> None:
    refused = rows.verdict_columns(replace(REFUSED, flags=frozenset({"odd_order"})), at=NOON)
    assert (refused["outcome"], refused["reason"], refused["error"]) == ("retrying", "lms_rejected", "no")
    assert (refused["flags"], refused["counted"], refused["finished_at"]) == ("odd_order", 1, NOON)

    told = rows.verdict_columns(Verdict(outcome=Outcome.RECOVERED, lms_id="x"), at=NOON)
    assert (told["lms_enrollment_id"], told["reason"], told["error"], told["counted"]) == ("x", None, None, 0)

    long = rows.verdict_columns(replace(REFUSED, error="sam@example.com " * 200), at=NOON)["error"]
    assert len(long) == rows.MAX_ERROR
    assert "sam@" not in long


def test_flags_are_words_in_one_column() -> None:
    assert rows.join_flags(frozenset()) == ""
    assert rows.split_flags("") == frozenset()
    assert rows.split_flags(rows.join_flags(frozenset({"b", "a"}))) == {"a", "b"}


def test_the_people_of_an_order() -> None:
    buyer, learner = (rows.person_key(SECRET, f"{who}@example.com") for who in ("buyer", "learner"))
    nobody = MalformedEnrollment(id="e1", problems=("email is missing",), reason=Reason.MALFORMED)

    def people(order: AnyEnrollment) -> object:
        return rows.people_of(order, rows.record_row(replace(record(), enrollment=order), SECRET))

    assert people(enrollment()) == {buyer: "buyer@example.com", learner: "learner@example.com"}
    assert people(enrollment(member="buyer@example.com")) == {buyer: "buyer@example.com"}
    assert people(nobody) == {}
    row = rows.record_row(replace(record(), enrollment=nobody), SECRET)
    assert (row["email_masked"], row["email_key"], row["member_key"], row["amount_e4"]) == (None,) * 4


@pytest.mark.parametrize(
    ("amount", "kept"),
    [("0", 0), ("19.99", 199_900), ("0.00005", 0), ("0.00015", 2), ("1000000000000", 10**16)],
)
def test_amounts_are_whole_ten_thousandths(amount: str, kept: int) -> None:
    row = rows.intent_row(replace(intent(), enrollment=enrollment(amount=Decimal(amount))), SECRET)

    assert row["amount_e4"] == kept
