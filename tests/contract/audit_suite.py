"""What every AuditLog does; run against the real one and the one in memory."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from reconcile.base.errors import AuditUnavailable
from reconcile.domain.model import (
    DUPLICATE_PAYMENT,
    EffectKey,
    MalformedEnrollment,
    Outcome,
    Reason,
    Verdict,
)
from reconcile.run.ports import AuditLog, Origin, Record
from reconcile.run.summary import RunStatus
from tests.fakes.attempts import begin, finish
from tests.fakes.audit_samples import (
    ELSEWHERE,
    ENROLLED,
    EXCUSED,
    HERE,
    NOON,
    REFUSED,
    WAITING,
    intent,
    record,
    summary,
)


def crash(log: AuditLog, run_id: str = "run-1") -> None:
    """Let the run end without saying so; it was elsewhere, and is silent since."""
    closed = log.close_dead_runs(origin=HERE, stale_before=NOON + timedelta(days=1), at=NOON)
    assert run_id in closed


@pytest.fixture(scope="session")
def dead_process() -> Origin:
    """A process of this host that was there and is gone."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return replace(HERE, pid=process.pid, process_started="1")


class AuditLogContract:
    """Subclasses give the fixture `log`."""

    @pytest.fixture
    def log(self) -> Iterator[AuditLog]:
        raise NotImplementedError

    @pytest.fixture
    def running(self, log: AuditLog) -> AuditLog:
        """With a run of another host that is under way."""
        log.open_run(summary(), ELSEWHERE)
        return log

    # --- runs ------------------------------------------------------------------------------

    def test_a_run_id_is_used_once(self, running: AuditLog) -> None:
        with pytest.raises(AuditUnavailable):
            running.open_run(summary(), HERE)

    def test_an_unknown_run_cannot_be_closed_nor_give_a_sign(self, log: AuditLog) -> None:
        with pytest.raises(AuditUnavailable):
            log.heartbeat("nobody", NOON)
        with pytest.raises(AuditUnavailable):
            log.close_run(summary("nobody"))

    def test_a_closed_run_is_not_dead(self, running: AuditLog) -> None:
        over = summary()
        over.add(ENROLLED)
        over.close(RunStatus.COMPLETED, at=NOON + timedelta(minutes=1))

        running.close_run(over)

        assert running.close_dead_runs(origin=HERE, stale_before=NOON + timedelta(days=1), at=NOON) == []

    def test_a_silent_run_of_another_host_is_dead_once_stale(self, running: AuditLog) -> None:
        running.heartbeat("run-1", NOON + timedelta(minutes=5))

        early = running.close_dead_runs(origin=HERE, stale_before=NOON + timedelta(minutes=5), at=NOON)
        late = running.close_dead_runs(origin=HERE, stale_before=NOON + timedelta(minutes=6), at=NOON)
        again = running.close_dead_runs(origin=HERE, stale_before=NOON + timedelta(minutes=6), at=NOON)

        assert (list(early), list(late), list(again)) == ([], ["run-1"], [])

    def test_a_run_of_this_host_is_dead_with_its_process(self, log: AuditLog, dead_process: Origin) -> None:
        log.open_run(summary("gone"), dead_process)

        # A heartbeat of just now does not help: the process is not there.
        assert list(log.close_dead_runs(origin=HERE, stale_before=NOON, at=NOON)) == ["gone"]

    def test_a_pid_in_use_again_is_another_process(self, log: AuditLog) -> None:
        log.open_run(summary("before"), replace(HERE, pid=os.getppid(), process_started="1"))

        assert list(log.close_dead_runs(origin=HERE, stale_before=NOON, at=NOON)) == ["before"]

    def test_runs_of_living_processes_stay_open(self, log: AuditLog) -> None:
        # Also when silent: it may have been stopped for a while, and will go on.
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
            log.open_run(summary("other"), replace(HERE, pid=other.pid, process_started=""))

            closed = log.close_dead_runs(origin=HERE, stale_before=NOON + timedelta(days=1), at=NOON)

            other.communicate(b"\n")
        assert list(closed) == []

    def test_an_earlier_run_of_this_process_is_dead_when_it_is_silent(self, log: AuditLog) -> None:
        # A scheduler lives on after a run whose end could not be recorded.
        log.open_run(summary("earlier"), HERE)

        early = log.close_dead_runs(origin=HERE, stale_before=NOON, at=NOON)
        late = log.close_dead_runs(origin=HERE, stale_before=NOON + timedelta(days=1), at=NOON)

        assert (list(early), list(late)) == ([], ["earlier"])

    def test_a_run_that_is_over_gives_no_sign_any_more(self, running: AuditLog) -> None:
        crash(running)

        running.heartbeat("run-1", NOON + timedelta(days=9))

    def test_each_end_has_a_seal_of_its_own(self, log: AuditLog) -> None:
        seals = []
        for number in range(3):
            log.open_run(summary(f"run-{number}"), HERE)
            over = summary(f"run-{number}")
            over.close(RunStatus.COMPLETED, at=NOON)
            seals.append(log.close_run(over))

        numbers = [int(str(seal).partition(":")[0]) for seal in seals]
        assert numbers == sorted(set(numbers))
        assert all(re.fullmatch(r"\d+:[0-9a-f]{64}", str(seal)) for seal in seals)
        assert log.close_run(summary("run-0")) is None

    # --- attempts and history --------------------------------------------------------------

    def test_access_was_given_where_we_have_enrolled(self, running: AuditLog) -> None:
        finish(running, begin(running, intent("given")), ENROLLED, run_id="run-1", at=NOON)
        finish(running, begin(running, intent("refused")), REFUSED, run_id="run-1", at=NOON)
        begin(running, intent("open"))

        assert running.given_access(["given", "refused", "open", "stranger"]) == {"given"}
        assert running.given_access([]) == frozenset()

    def test_nothing_is_remembered_of_a_stranger(self, running: AuditLog) -> None:
        assert running.history(["nobody"]) == {}
        assert running.history([]) == {}

    def test_an_intent_needs_its_run(self, log: AuditLog) -> None:
        with pytest.raises(AuditUnavailable):
            begin(log, intent())

    def test_attempts_are_numbered_upwards(self, running: AuditLog) -> None:
        ids = [begin(running, intent(f"order-{n}")) for n in range(3)]

        assert ids == sorted(set(ids))

    def test_a_visit_is_a_run_whatever_it_wrote(self, running: AuditLog) -> None:
        for number, verdict in enumerate((REFUSED, EXCUSED, REFUSED)):
            started = replace(intent(), number=number + 1, started_at=NOON + number * timedelta(seconds=2))
            finish(running, begin(running, started), verdict, run_id="run-1", at=NOON)
        running.record([replace(record(), at=NOON + timedelta(minutes=1))])

        history = running.history(["order-1"])["order-1"]

        assert (history.visits, history.added, history.writes, history.excused) == (1, 1, 3, 1)
        assert (history.last_outcome, history.last_reason) == (Outcome.WAITING, Reason.MEMBER_MISSING)
        assert history.last_write_at == NOON + timedelta(seconds=4)
        assert history.last_said_at == NOON + timedelta(minutes=1)

        running.open_run(summary("run-2"), HERE)
        finish(running, begin(running, intent(run_id="run-2")), REFUSED, run_id="run-2", at=NOON)
        assert running.history(["order-1"])["order-1"].visits == 2

    def test_a_visit_that_the_lms_is_to_blame_for_does_not_count(self, running: AuditLog) -> None:
        finish(running, begin(running, intent()), EXCUSED, run_id="run-1", at=NOON)

        history = running.history(["order-1"])["order-1"]

        assert (history.visits, history.writes) == (0, 1)

    def test_what_is_skipped_leaves_no_mark_in_the_order(self, running: AuditLog) -> None:
        skipped = Verdict(outcome=Outcome.SKIPPED, reason=Reason.TOO_NEW)
        finish(running, begin(running, intent()), REFUSED, run_id="run-1", at=NOON)
        finish(running, begin(running, intent()), skipped, run_id="run-1", at=NOON + timedelta(hours=1))

        assert running.history(["order-1"])["order-1"].last_said_at == NOON

    def test_that_visits_are_used_up_leaves_no_mark_in_the_order_either(self, running: AuditLog) -> None:
        exhausted = Verdict(outcome=Outcome.FAILED, reason=Reason.EXHAUSTED)
        finish(running, begin(running, intent()), REFUSED, run_id="run-1", at=NOON)
        running.record([replace(record(exhausted), at=NOON + timedelta(hours=1))])

        assert running.history(["order-1"])["order-1"].last_said_at == NOON

    @pytest.mark.parametrize(
        ("verdict", "excused"),
        [
            (EXCUSED, 1),
            (replace(EXCUSED, reason=Reason.LMS_TIMEOUT), 1),
            (replace(EXCUSED, reason=Reason.LMS_TIMEOUT, attempts=1), 0),
            (replace(EXCUSED, reason=Reason.RATE_LIMITED), 0),
            (WAITING, 0),
            (Verdict(outcome=Outcome.SKIPPED, reason=Reason.LEASE_HELD), 0),
        ],
    )
    def test_writes_blamed_on_the_lms_are_counted_apart(
        self, running: AuditLog, verdict: Verdict, excused: int
    ) -> None:
        finish(running, begin(running, intent()), verdict, run_id="run-1", at=NOON)

        assert running.history(["order-1"])["order-1"].excused == excused

    def test_an_excuse_is_disproved_when_somebody_is_enrolled_after_it(self, running: AuditLog) -> None:
        finish(running, begin(running, intent("other")), ENROLLED, run_id="run-1", at=NOON)
        for _ in range(2):
            finish(running, begin(running, intent()), EXCUSED, run_id="run-1", at=NOON)
        history = running.history(["order-1"])["order-1"]
        assert (history.excused, history.disproved) == (2, 0)

        finish(running, begin(running, intent("other")), REFUSED, run_id="run-1", at=NOON)
        assert running.history(["order-1"])["order-1"].disproved == 0
        finish(running, begin(running, intent("other")), ENROLLED, run_id="run-1", at=NOON)
        finish(running, begin(running, intent()), EXCUSED, run_id="run-1", at=NOON)

        history = running.history(["order-1"])["order-1"]
        assert (history.excused, history.disproved) == (3, 2)

    def test_what_was_not_written_is_not_excused(self, running: AuditLog) -> None:
        running.record([record(EXCUSED)])

        assert running.history(["order-1"])["order-1"].excused == 0

    def test_an_attempt_keeps_its_first_end(self, running: AuditLog) -> None:
        attempt_id = begin(running, intent())
        finish(running, attempt_id, ENROLLED, run_id="run-1", at=NOON)

        finish(running, attempt_id, REFUSED, run_id="run-1", at=NOON + timedelta(hours=1))

        assert running.history(["order-1"])["order-1"].last_outcome is Outcome.ENROLLED

    def test_an_unknown_attempt_cannot_be_finished(self, running: AuditLog) -> None:
        with pytest.raises(AuditUnavailable):
            finish(running, 4711, ENROLLED, run_id="run-1", at=NOON)

    def test_an_unknown_run_finishes_nothing(self, running: AuditLog) -> None:
        attempt_id = begin(running, intent())

        with pytest.raises(AuditUnavailable):
            finish(running, attempt_id, ENROLLED, run_id="nobody", at=NOON)

        assert running.history(["order-1"])["order-1"].last_outcome is None

    def test_another_run_finishes_what_a_dead_one_has_left(self, running: AuditLog) -> None:
        attempt_id = begin(running, intent())
        crash(running)
        running.open_run(summary("run-2"), HERE)

        finish(running, attempt_id, ENROLLED, run_id="run-2", at=NOON)

        assert list(running.open_attempts()) == []

    def test_an_attempt_under_way_is_not_left_open(self, running: AuditLog) -> None:
        begin(running, intent())

        assert running.history(["order-1"])["order-1"].open_attempt is None
        assert list(running.open_attempts()) == []

    def test_an_attempt_of_a_dead_run_is_left_open_until_finished(self, running: AuditLog) -> None:
        finish(running, begin(running, intent()), REFUSED, run_id="run-1", at=NOON)
        attempt_id = begin(running, intent(number=2))
        crash(running)

        history = running.history(["order-1"])["order-1"]
        (left,) = running.open_attempts()

        assert (history.visits, history.open_attempt) == (1, attempt_id)
        assert (history.last_outcome, history.last_reason) == (REFUSED.outcome, REFUSED.reason)
        assert (left.attempt_id, left.enrollment_id, left.started_at) == (attempt_id, "order-1", NOON)
        assert left.key == EffectKey("learner@example.com", "clinical-ai")

        finish(running, attempt_id, ENROLLED, run_id="run-1", at=NOON)

        history = running.history(["order-1"])["order-1"]
        assert (history.visits, history.open_attempt, history.last_outcome) == (1, None, Outcome.ENROLLED)
        assert list(running.open_attempts()) == []

    def test_a_visit_left_open_counts(self, running: AuditLog) -> None:
        """Its write may have been made."""
        begin(running, intent())
        assert running.history(["order-1"])["order-1"].visits == 0
        crash(running)

        history = running.history(["order-1"])["order-1"]
        assert (history.visits, history.added) == (1, 0)

    def test_of_several_open_attempts_the_newest_is_named(self, running: AuditLog) -> None:
        begin(running, intent())
        newest = begin(running, intent(number=2))
        crash(running)

        assert running.history(["order-1"])["order-1"].open_attempt == newest
        assert len(running.open_attempts()) == 2

    def test_many_histories_at_once(self, running: AuditLog) -> None:
        ids = [f"order-{n}" for n in range(1203)]
        running.record([record(id=order) for order in ids])

        histories = running.history([*ids, *ids, "nobody"])

        assert set(histories) == set(ids)
        assert {history.last_outcome for history in histories.values()} == {Outcome.WAITING}

    def test_records_are_written_all_or_none(self, running: AuditLog) -> None:
        with pytest.raises(AuditUnavailable):
            running.record([record(id="order-1"), record(id="order-2", run_id="nobody")])

        assert running.history(["order-1", "order-2"]) == {}
        running.record([])

    def test_a_malformed_order_can_be_recorded(self, running: AuditLog) -> None:
        broken = MalformedEnrollment(id="order-9", problems=("no e-mail",), reason=Reason.MALFORMED)
        verdict = Verdict(
            outcome=Outcome.FAILED, reason=Reason.MALFORMED, flags=frozenset({DUPLICATE_PAYMENT})
        )

        running.record(
            [Record(run_id="run-1", enrollment=broken, action="give_up", verdict=verdict, at=NOON)]
        )

        assert running.history(["order-9"])["order-9"].last_reason is Reason.MALFORMED

    def test_worker_threads_may_begin_and_finish_at_once(self, running: AuditLog) -> None:
        problems: list[Exception] = []
        numbers: list[int] = []

        def work(worker: int) -> None:
            try:
                for turn in range(5):
                    attempt_id = begin(running, intent(f"order-{worker}-{turn}"))
                    numbers.append(attempt_id)
                    finish(running, attempt_id, ENROLLED, run_id="run-1", at=NOON)
            except Exception as error:  # noqa: BLE001  # shown below
                problems.append(error)

        threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert problems == []
        assert len(set(numbers)) == 40
        histories = running.history([f"order-{worker}-{turn}" for worker in range(8) for turn in range(5)])
        assert {history.visits for history in histories.values()} == {1}
