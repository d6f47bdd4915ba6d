"""The outbox: owed with the outcome, once; claimed by one; ended as what became of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from reconcile.audit.log import SqlAuditLog
from reconcile.base.errors import AuditUnavailable
from reconcile.domain.mail_status import MailStatus
from reconcile.domain.model import UNNAMED_LMS_ID, Outcome, Reason, Verdict
from reconcile.mail.outbox import Claim, SqlOutbox, post
from reconcile.mail.rules import Accepted, Bounced, Later, MailEnd, conclude
from reconcile.run.ports import Origin, Record
from tests.fakes.attempts import begin, finish
from tests.fakes.audit_file import new_audit
from tests.fakes.audit_samples import ELSEWHERE, ENROLLED, HERE, NOON, REFUSED, enrollment, intent, summary

RECOVERED = Verdict(outcome=Outcome.RECOVERED, lms_id="lms-1")
BUYER, LEARNER = "buyer@example.com", "learner@example.com"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqlAuditLog]:
    with new_audit(tmp_path) as log:
        log.on_outcomes = post
        log.open_run(summary(), HERE)
        yield log


@pytest.fixture
def outbox(log: SqlAuditLog) -> SqlOutbox:
    return SqlOutbox(log.store)


def enrolled(log: SqlAuditLog, name: str = "order-1", verdict: Verdict | None = None) -> None:
    found = verdict or replace(ENROLLED, lms_id=f"lms of {name}")
    finish(log, begin(log, intent(name)), found, run_id="run-1", at=NOON)


def recorded(log: SqlAuditLog, verdict: Verdict, name: str = "order-1") -> None:
    log.record(
        [Record(run_id="run-1", enrollment=enrollment(name), action="confirm", verdict=verdict, at=NOON)]
    )


def claimed(outbox: SqlOutbox, name: str = "order-1", *, origin: Origin = HERE) -> Claim:
    claim = outbox.claim(name, origin=origin, at=NOON)
    assert claim is not None
    return claim


# --- owing ---------------------------------------------------------------------------------


def test_who_was_enrolled_is_owed_a_mail(log: SqlAuditLog, outbox: SqlOutbox) -> None:
    enrolled(log)

    assert outbox.counts() == {MailStatus.PENDING: 1}
    claim = claimed(outbox)
    assert (claim.email, claim.account, claim.course) == (BUYER, LEARNER, "clinical-ai")
    assert (claim.payment_id, claim.tries) == ("cs_order-1", 1)


@pytest.mark.parametrize(
    "verdict",
    [
        Verdict(outcome=Outcome.ALREADY_ENROLLED, lms_id="lms-1"),
        REFUSED,
        Verdict(outcome=Outcome.WAITING, reason=Reason.MEMBER_MISSING),
        Verdict(outcome=Outcome.FAILED, reason=Reason.EXHAUSTED),
        Verdict(outcome=Outcome.SKIPPED, reason=Reason.BACKOFF),
    ],
)
def test_nobody_else_is(log: SqlAuditLog, outbox: SqlOutbox, verdict: Verdict) -> None:
    enrolled(log, verdict=verdict)
    recorded(log, verdict)

    assert outbox.counts() == {}


def test_what_is_found_to_be_done_is_owed_a_mail_as_well(log: SqlAuditLog, outbox: SqlOutbox) -> None:
    enrolled(log, verdict=RECOVERED)
    recorded(log, replace(RECOVERED, lms_id="lms-2"), "order-2")

    assert outbox.counts() == {MailStatus.PENDING: 2}


def test_one_mail_for_an_order_ever(log: SqlAuditLog, outbox: SqlOutbox) -> None:
    enrolled(log)
    outbox.settle(claimed(outbox), MailEnd(status=MailStatus.SENT), at=NOON)

    enrolled(log, verdict=replace(ENROLLED, lms_id="another"))
    recorded(log, replace(RECOVERED, lms_id="a third"))

    assert outbox.counts() == {MailStatus.SENT: 1}


def test_an_attempt_that_has_its_end_owes_nothing_more(log: SqlAuditLog, outbox: SqlOutbox) -> None:
    attempt = begin(log, intent())
    finish(log, attempt, REFUSED, run_id="run-1", at=NOON)

    finish(log, attempt, ENROLLED, run_id="run-1", at=NOON)

    assert outbox.counts() == {}


def test_two_orders_that_led_to_one_lms_enrollment_are_one_mail(log: SqlAuditLog, outbox: SqlOutbox) -> None:
    enrolled(log, "order-1", RECOVERED)
    recorded(log, RECOVERED, "order-2")

    assert outbox.counts() == {MailStatus.PENDING: 1}


def test_what_has_no_name_in_the_lms_is_told_apart_by_the_order(log: SqlAuditLog, outbox: SqlOutbox) -> None:
    for name in ("order-1", "order-2"):
        recorded(log, replace(RECOVERED, lms_id=UNNAMED_LMS_ID), name)

    assert outbox.counts() == {MailStatus.PENDING: 2}


def test_off_means_that_nothing_is_owed(log: SqlAuditLog, outbox: SqlOutbox) -> None:
    log.on_outcomes = None
    enrolled(log)
    recorded(log, RECOVERED, "order-2")

    assert outbox.counts() == {}


def test_the_outcome_and_the_mail_are_one_transaction(log: SqlAuditLog, outbox: SqlOutbox) -> None:
    attempt = begin(log, intent())
    with log.store.writing() as connection:
        connection.execute(text("ALTER TABLE outbox RENAME TO elsewhere"))

    with pytest.raises(AuditUnavailable):
        finish(log, attempt, ENROLLED, run_id="run-1", at=NOON)

    with log.store.writing() as connection:
        connection.execute(text("ALTER TABLE elsewhere RENAME TO outbox"))
        row = connection.execute(text("SELECT outcome, finished_at FROM attempts")).one()
    assert tuple(row) == (None, None)
    assert outbox.counts() == {}


# --- sending -------------------------------------------------------------------------------


def test_a_mail_is_claimed_once(log: SqlAuditLog, outbox: SqlOutbox) -> None:
    enrolled(log)
    other = SqlOutbox(log.store)

    assert outbox.due(NOON, limit=10) == other.due(NOON, limit=10)
    first, second = claimed(outbox), other.claim("order-1", origin=ELSEWHERE, at=NOON)

    assert (first.enrollment_id, second) == ("order-1", None)
    assert outbox.due(NOON, limit=10) == []


def test_a_mail_that_was_put_off_is_not_claimed_by_an_old_list(log: SqlAuditLog, outbox: SqlOutbox) -> None:
    enrolled(log)
    end = conclude(Later(error="451 wait", code=451), enrollment_id="order-1", tries=1, now=NOON)
    outbox.settle(claimed(outbox), end, at=NOON)

    assert outbox.claim("order-1", origin=ELSEWHERE, at=NOON) is None
    assert outbox.due(NOON, limit=10) == []
    later = NOON + timedelta(minutes=3)
    assert [due.enrollment_id for due in outbox.due(later, limit=10)] == ["order-1"]
    again = outbox.claim("order-1", origin=HERE, at=later)
    assert again is not None
    assert again.tries == 2


def test_an_end_that_comes_too_late_changes_nothing(log: SqlAuditLog, outbox: SqlOutbox) -> None:
    enrolled(log)
    lost = claimed(outbox, origin=ELSEWHERE)
    outbox.give_up_lost(origin=HERE, stale_before=NOON + timedelta(days=1), at=NOON)

    outbox.settle(lost, MailEnd(status=MailStatus.SENT), at=NOON)

    assert outbox.counts() == {MailStatus.UNKNOWN: 1}


def test_what_a_dead_process_was_sending_is_unknown(log: SqlAuditLog, outbox: SqlOutbox) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    enrolled(log)
    claimed(outbox, origin=replace(HERE, pid=process.pid, process_started="1"))

    lost = outbox.give_up_lost(origin=HERE, stale_before=NOON - timedelta(days=1), at=NOON)

    assert list(lost) == ["order-1"]
    assert outbox.counts() == {MailStatus.UNKNOWN: 1}
    assert outbox.due(NOON + timedelta(days=9), limit=10) == []
    assert outbox.claim("order-1", origin=HERE, at=NOON + timedelta(days=9)) is None


def test_what_a_living_process_is_sending_is_left_to_it(log: SqlAuditLog, outbox: SqlOutbox) -> None:
    enrolled(log)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        claimed(outbox, origin=replace(HERE, pid=other.pid, process_started=""))

        lost = outbox.give_up_lost(origin=HERE, stale_before=NOON + timedelta(days=1), at=NOON)

        other.communicate(b"\n")
    assert list(lost) == []


@pytest.mark.parametrize("origin", [ELSEWHERE, HERE], ids=["another host", "this very process"])
def test_what_cannot_be_looked_up_is_unknown_once_it_is_stale(
    log: SqlAuditLog, outbox: SqlOutbox, origin: Origin
) -> None:
    enrolled(log)
    claimed(outbox, origin=origin)

    assert list(outbox.give_up_lost(origin=HERE, stale_before=NOON, at=NOON)) == []
    lost = outbox.give_up_lost(origin=HERE, stale_before=NOON + timedelta(seconds=1), at=NOON)
    assert list(lost) == ["order-1"]


def test_a_person_may_have_it_sent_once_more(log: SqlAuditLog, outbox: SqlOutbox) -> None:
    for name in ("order-1", "order-2", "order-3"):
        enrolled(log, name)
    outbox.settle(claimed(outbox, "order-1"), MailEnd(status=MailStatus.BOUNCED, code=550), at=NOON)
    outbox.settle(claimed(outbox, "order-2"), MailEnd(status=MailStatus.SENT, code=250), at=NOON)

    taken = outbox.send_again(["order-1", "order-2", "order-3", "nobody"], at=NOON)

    assert list(taken) == ["order-1"]
    assert claimed(outbox, "order-1").tries == 1


# --- people --------------------------------------------------------------------------------


def forget(log: SqlAuditLog, address: str) -> None:
    with log.store.writing() as connection:
        key = log.person_key(address)
        connection.execute(text("DELETE FROM people WHERE person_key = :key"), {"key": key})


def test_who_was_forgotten_is_not_mailed(log: SqlAuditLog, outbox: SqlOutbox) -> None:
    enrolled(log)
    forget(log, BUYER)

    assert outbox.claim("order-1", origin=HERE, at=NOON) is None
    assert outbox.counts() == {MailStatus.FORGOTTEN: 1}


def test_a_forgotten_account_is_only_not_mentioned(log: SqlAuditLog, outbox: SqlOutbox) -> None:
    enrolled(log)
    forget(log, LEARNER)

    claim = claimed(outbox)

    assert (claim.email, claim.account) == (BUYER, None)


def test_no_row_holds_an_address(log: SqlAuditLog, outbox: SqlOutbox) -> None:
    enrolled(log)
    end = conclude(
        Bounced(error=f"550 {BUYER} is no user", code=550), enrollment_id="order-1", tries=1, now=NOON
    )
    outbox.settle(claimed(outbox), end, at=NOON)

    with log.reading() as connection:
        rows = str(connection.execute(text("SELECT * FROM outbox")).all())
    assert BUYER not in rows
    assert LEARNER not in rows


def test_a_message_has_the_same_name_always_and_in_no_other_database(
    log: SqlAuditLog, outbox: SqlOutbox, tmp_path: Path
) -> None:
    names = {outbox.message_name("order-1"), SqlOutbox(log.store).message_name("order-1")}
    with log.store.writing() as connection:
        connection.execute(text("UPDATE meta SET value = 'ab'"))

    assert len(names) == 1
    assert outbox.message_name("order-2") not in names
    assert SqlOutbox(log.store).message_name("order-1") not in names


def test_what_was_not_sent_is_listed(log: SqlAuditLog, outbox: SqlOutbox) -> None:
    for name in ("order-1", "order-2", "order-3"):
        enrolled(log, name)
    outbox.settle(claimed(outbox, "order-1"), MailEnd(status=MailStatus.SENT, code=250), at=NOON)
    bounced = MailEnd(status=MailStatus.BOUNCED, code=550, error="550 no")
    outbox.settle(claimed(outbox, "order-2"), bounced, at=NOON)

    found = {mail.enrollment_id: mail for mail in outbox.unsent()}

    assert found.keys() == {"order-2", "order-3"}
    assert (found["order-2"].status, found["order-2"].smtp_code, found["order-2"].next_try_at) == (
        "bounced",
        550,
        None,
    )
    assert found["order-3"].next_try_at == NOON
    assert conclude(Accepted(code=250), enrollment_id="x", tries=1, now=NOON).error is None
