"""What every AuditLog does where several runs are at the same learners and orders at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from reconcile.domain.model import (
    Outcome,
    Reason,
    Verdict,
)
from reconcile.run.ports import AuditLog, Record
from tests.contract.audit_group_suite import (
    MINE,
    THEIRS,
    UNANSWERED,
    begun,
    bury,
    ended,
    leased,
    two_runs,
)
from tests.fakes.audit_samples import (
    ENROLLED,
    HERE,
    NOON,
    REFUSED,
    SKIPPED,
    WAITING,
    enrollment,
    record,
    summary,
)

THERE = Verdict(outcome=Outcome.ALREADY_ENROLLED, lms_id="lms-1")


def at_once(*works: Callable[[], object]) -> list[object]:
    """What each of these returns, done in threads that start together."""
    barrier = threading.Barrier(len(works))
    found: list[object] = [None] * len(works)

    def work(number: int) -> None:
        barrier.wait()
        try:
            found[number] = works[number]()
        except Exception as error:  # noqa: BLE001  # shown by whoever compares
            found[number] = error

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


class AuditRivalsContract:
    """Subclasses give the fixture `log`."""

    @pytest.fixture
    def log(self) -> Iterator[AuditLog]:
        raise NotImplementedError

    @pytest.fixture
    def two(self, log: AuditLog) -> AuditLog:
        return two_runs(log)

    # --- the audit's own lock ---------------------------------------------------------------------

    def test_a_pair_that_another_run_has_open_is_left_to_it(self, two: AuditLog) -> None:
        begun(two, leased())

        numbers = begun(
            two,
            leased("order-2", run_id=THEIRS),
            leased("order-3", run_id=THEIRS, course="another-course"),
            leased("order-4", run_id=THEIRS, member="other@example.com"),
        )

        assert [number is None for number in numbers] == [True, False, False]
        assert two.history(["order-2"]) == {}

    def test_so_it_is_when_that_run_is_over(self, two: AuditLog) -> None:
        begun(two, leased())
        bury(two)

        assert list(begun(two, leased(run_id=THEIRS))) == [None]

    def test_a_run_does_not_lock_itself_out(self, two: AuditLog) -> None:
        begun(two, leased())
        (second,) = begun(two, leased())
        two.finish_all([ended(second, UNANSWERED)], run_id=MINE)

        assert None not in begun(two, leased(), leased("order-2"))

    @pytest.mark.parametrize(
        "verdict", [ENROLLED, REFUSED, replace(UNANSWERED, reason=Reason.LMS_UNAVAILABLE)]
    )
    def test_an_answer_gives_the_pair_free(self, two: AuditLog, verdict: Verdict) -> None:
        (number,) = begun(two, leased())
        two.finish_all([ended(number, verdict)], run_id=MINE)

        assert None not in begun(two, leased(run_id=THEIRS))

    @pytest.mark.parametrize("reason", [Reason.LMS_TIMEOUT, Reason.PROTOCOL])
    def test_an_unanswered_write_keeps_the_pair_for_the_hold(self, two: AuditLog, reason: Reason) -> None:
        (number,) = begun(two, leased())
        two.finish_all([ended(number, replace(UNANSWERED, reason=reason))], run_id=MINE)
        theirs = [leased(run_id=THEIRS)]

        assert list(two.begin_all(theirs, held_since=NOON)) == [None]
        assert None not in two.begin_all(theirs, held_since=NOON + timedelta(microseconds=1))

    def test_what_was_not_written_locks_nothing(self, two: AuditLog) -> None:
        two.record([record(UNANSWERED)])

        assert None not in begun(two, leased(run_id=THEIRS))

    def test_what_was_never_sent_locks_nothing(self, two: AuditLog) -> None:
        (number,) = begun(two, leased())
        two.finish_all(
            [ended(number, replace(SKIPPED, reason=Reason.LMS_TIMEOUT), never_sent=True)], run_id=MINE
        )

        assert None not in begun(two, leased(run_id=THEIRS))

    def test_runs_of_one_call_lock_one_another(self, two: AuditLog) -> None:
        numbers = begun(two, leased(), leased("order-2", run_id=THEIRS))

        assert [number is None for number in numbers] == [False, True]

    def test_many_pairs_are_told_apart_at_once(self, two: AuditLog) -> None:
        people = [f"{number}@example.com" for number in range(1203)]
        begun(two, *(leased(person, member=person) for person in people[::2]))
        others = [enrollment(f"other of {person}", member=person) for person in people]

        left_out = two.record([replace(record(THERE, run_id=THEIRS), enrollment=order) for order in others])
        numbers = begun(two, *(leased(person, run_id=THEIRS, member=person) for person in people))

        assert left_out == {order.id for order in others[::2]}
        assert [number is None for number in numbers] == [True, False] * 601 + [True]

    def test_of_two_runs_at_once_exactly_one_gets_the_pair(self, two: AuditLog) -> None:
        def take(run_id: str, turn: int) -> Callable[[], object]:
            person = f"{turn}@example.com"
            return lambda: list(begun(two, leased(f"order-{turn}", run_id=run_id, member=person)))

        for turn in range(10):
            found = at_once(*(take(run_id, turn) for run_id in (MINE, THEIRS)))
            assert sorted(one == [None] for one in found) == [False, True], found

    # --- one row for an order and outcome -----------------------------------------------------------

    def test_what_another_run_has_said_since_is_left_out(self, two: AuditLog) -> None:
        theirs = [replace(record(), run_id=THEIRS), replace(record(id="order-2"), run_id=THEIRS)]

        assert two.record([record()]) == frozenset()
        assert two.record(theirs) == {"order-1"}

        known = two.history(["order-1"])["order-1"].newest
        assert two.record([replace(theirs[0], known=known)]) == frozenset()

    def test_another_reason_is_another_verdict(self, two: AuditLog) -> None:
        two.record([record()])
        disabled = record(replace(WAITING, reason=Reason.MEMBER_DISABLED), run_id=THEIRS)

        assert two.record([disabled]) == frozenset()

    def test_old_and_new_are_told_apart_order_by_order(self, two: AuditLog) -> None:
        two.record([record(), record(id="order-2")])
        found = two.history(["order-1", "order-2"])
        two.record([replace(record(), known=found["order-1"].newest)])

        left_out = two.record(
            [replace(record(id=order, run_id=THEIRS), known=past.newest) for order, past in found.items()]
        )

        assert left_out == {"order-1"}

    def test_access_is_said_once_in_whatever_words(self, two: AuditLog) -> None:
        (number,) = begun(two, leased())
        two.finish_all([ended(number)], run_id=MINE)

        assert two.record([record(THERE, run_id=THEIRS)]) == {"order-1"}
        assert two.record([replace(record(THERE, run_id=THEIRS), known=number)]) == frozenset()

    def test_access_of_another_order_does_not_hide_this_ones(self, two: AuditLog) -> None:
        (number,) = begun(two, leased())
        two.finish_all([ended(number)], run_id=MINE)

        assert (
            two.record([record(THERE, id="order-2"), record(THERE, id="order-3", run_id=THEIRS)])
            == frozenset()
        )

    def test_access_is_not_said_while_another_run_has_the_pair_open(self, two: AuditLog) -> None:
        (number,) = begun(two, leased())
        two.record([record(id="order-4")])

        left_out = two.record(
            [
                replace(record(THERE, run_id=THEIRS), known=number),
                record(THERE, id="order-2", run_id=THEIRS),
                replace(
                    record(THERE, run_id=THEIRS), enrollment=enrollment("order-3", member="x@example.com")
                ),
                replace(record(REFUSED, run_id=THEIRS), enrollment=enrollment("order-5")),
            ]
        )

        assert left_out == {"order-1", "order-2"}
        assert two.record([record(THERE, id="order-6")]) == frozenset()

    def test_what_the_dead_have_left_open_hides_its_own_order_only(self, two: AuditLog) -> None:
        begun(two, leased())
        bury(two)
        two.open_run(summary("run-3"), HERE)

        left_out = two.record([record(THERE, run_id="run-3"), record(THERE, id="order-2", run_id="run-3")])

        assert left_out == {"order-1"}

    def test_what_was_never_sent_hides_nothing(self, two: AuditLog) -> None:
        (number,) = begun(two, leased())
        two.finish_all([ended(number, SKIPPED, never_sent=True)], run_id=MINE)

        assert two.record([record(SKIPPED, run_id=THEIRS)]) == frozenset()

    def test_two_runs_that_say_the_same_at_once_make_one_row(self, two: AuditLog) -> None:
        def say(run_id: str, turn: int) -> Callable[[], object]:
            said: list[Record] = [record(id=f"order-{turn}-{n}", run_id=run_id) for n in range(5)]
            return lambda: two.record(said)

        for turn in range(10):
            orders = {f"order-{turn}-{n}" for n in range(5)}
            found = at_once(say(MINE, turn), say(THEIRS, turn))
            assert sorted(found, key=str) == sorted([frozenset(), orders], key=str)

    def test_many_are_compared_at_once(self, two: AuditLog) -> None:
        orders = [f"order-{number}" for number in range(1203)]
        two.record([record(id=order) for order in orders[::2]])
        known = two.history(orders)

        left_out = two.record(
            [
                replace(record(id=order, run_id=THEIRS), known=known[order].newest if n % 4 == 0 else None)
                for n, order in enumerate(orders)
            ]
        )

        assert left_out == set(orders[2::4])
