"""Each promise of a run by itself, at the one step that keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from reconcile.base.errors import AmbiguousWrite, AuditUnavailable, StoreUnavailable
from reconcile.domain.model import EffectKey, Enroll, Enrollment, Outcome, Verdict
from reconcile.run.flow import Flow
from reconcile.run.options import Halt, RunOptions
from reconcile.run.page import Surveyed, Told
from reconcile.run.ports import End, Origin
from reconcile.run.reconciler import Reconciler
from reconcile.run.recording import Recording
from reconcile.run.source import Selection
from reconcile.run.summary import RunStatus
from tests.fakes.audit import InMemoryAuditLog
from tests.fakes.harness import ORIGIN, World
from tests.fakes.world import NOON, fail, order, refuse


def key(name: str) -> EffectKey:
    return EffectKey(f"{name}@example.com", "python-basics")


class Killed(BaseException):
    """The process is gone."""


def dies(*_: Any, **__: Any) -> Any:
    raise Killed


def killed(world: World, **options: Any) -> None:
    """A run that dies at `Killed`: nothing of it is closed, and the next one finds its process gone."""

    def drive(flow: Flow) -> None:
        while flow.bug is None and (ready := flow.ready):
            flow.step(ready[-1])
        if flow.bug is not None:
            raise flow.bug

    run = Reconciler(world.ports, drive=drive)
    run._record_end = lambda summary: None  # type: ignore[method-assign]  # it is dead
    with pytest.raises(Killed):
        run.run(RunOptions(**options))
    for each in world.audit.runs.values():
        if each.status is RunStatus.RUNNING:
            each.origin = Origin(host=ORIGIN.host, pid=1, process_started="never")


def test_who_was_enrolled_between_the_look_and_the_lease_is_not_written() -> None:
    """By hand, or by the shop: nothing in the orders or in the audit tells of it."""
    world = World([order("e1")])
    take = world.leases.take

    def and_somebody_is_there(keys: Sequence[EffectKey], run_id: str) -> Any:
        world.lms.add(key("e1"))
        return take(keys, run_id)

    world.leases.take = and_somebody_is_there  # type: ignore[method-assign]  # at the worst point

    assert world.outcomes() == {"already_enrolled": 1}
    assert world.lms.enroll_calls == []
    assert world.sync("e1")["enrollmentId"] == "lms0001"


def test_what_has_waited_longer_than_its_check_counts_is_read_again() -> None:
    """The LMS takes three seconds for the first; the order of the second is refunded meanwhile."""
    world = World([order("e1"), order("e2")])
    world.lms.add(key("old"))
    enroll = world.lms.enroll

    def slowly(item: Enrollment) -> Any:
        other = next(name for name in world.source.documents if name != item.id)
        world.source.documents[other]["status"] = "refunded"
        world.clock.advance(3)
        return enroll(item)

    world.lms.enroll = slowly  # type: ignore[method-assign, assignment]  # slower

    assert world.outcomes(concurrency=1) == {"enrolled": 1, "skipped": 1}
    assert len(world.lms.enroll_calls) == 1


def test_the_audit_keeps_a_learner_on_hold_where_the_leases_were_dropped() -> None:
    world = World([order("e1")])
    world.lms.answers[key("e1")] = fail(AmbiguousWrite("no answer within 10 s"))
    assert world.outcomes() == {"retrying": 1}
    world.lms.answers.clear()
    world.leases.rows.clear()
    world.clock.advance(150)  # its backoff is over, the hold is not

    assert world.outcomes() == {"skipped": 1}
    assert world.lms.enroll_calls == [key("e1")]

    world.lms.add(key("e1"))  # done late
    assert world.outcomes() == {"recovered": 1}
    assert world.copies() == {key("e1"): 1}


def test_the_lease_keeps_a_learner_on_hold_where_the_audit_is_another() -> None:
    world = World([order("e1")])
    world.lms.answers[key("e1")] = fail(AmbiguousWrite("no answer within 10 s"))
    assert world.outcomes() == {"retrying": 1}
    world.lms.answers.clear()
    world.source.documents["e1"] = order("e1")  # as the storefront has it, which has tried nothing
    world.audit = InMemoryAuditLog()
    world.clock.advance(150)

    assert world.outcomes() == {"skipped": 1}
    assert world.lms.enroll_calls == [key("e1")]
    world.clock.advance(31)
    assert world.outcomes() == {"enrolled": 1}


def test_what_may_have_been_sent_stays_open_for_its_hold_where_the_leases_were_dropped() -> None:
    world = World([order("e1")])
    world.lms.answers[key("e1")] = dies
    killed(world)
    world.lms.answers.clear()
    world.leases.rows.clear()
    world.clock.advance(185)

    assert world.outcomes() == {"skipped": 1}
    (row,) = world.audit.attempts.values()
    assert row.finished_at is None
    world.clock.advance(6)

    # The visit counts, and its backoff is over.
    assert world.outcomes() == {"enrolled": 1}


def test_what_may_have_been_sent_is_on_hold_although_its_lease_stands() -> None:
    world = World([order("e1")])
    world.lms.answers[key("e1")] = dies
    killed(world)
    world.lms.answers.clear()
    world.clock.advance(185)

    assert world.outcomes() == {"skipped": 1}
    world.lms.add(key("e1"))  # done late
    assert world.outcomes() == {"recovered": 1}
    assert world.lms.enroll_calls == [key("e1")]


def test_what_was_never_sent_is_told_from_it_also_after_a_run_that_could_not_close_it() -> None:
    """The next run proves it and is refused by the LMS's look: who was before it is not forgotten."""
    world = World([order("e1")])
    look = world.source.last_look
    world.source.last_look = dies  # type: ignore[method-assign]  # between intent and fence
    killed(world)
    world.source.last_look = look  # type: ignore[method-assign]
    finish_all, world.audit.finish_all = world.audit.finish_all, unwell  # type: ignore[method-assign]
    assert world.run().summary.reason == "audit_unavailable"
    world.audit.finish_all = finish_all  # type: ignore[method-assign]

    world.run()

    (row, *_) = world.audit.attempts.values()
    assert row.never_sent


def unwell(*_: Any, **__: Any) -> Any:
    raise AuditUnavailable("the disk is full")


def test_parts_of_a_refused_batch_are_not_called_never_sent() -> None:
    """Halved, and refunded before its part's turn comes: a request with this learner has left before."""
    world = World([order(f"e{number}") for number in range(4)])
    world.lms.add(key("old"))
    world.lms.batches = True
    world.lms.answers = {key(f"e{number}"): refuse() for number in range(4)}
    together = world.lms.enroll_many

    def and_refunded(items: Sequence[Enrollment]) -> Any:
        for document in world.source.documents.values():
            document["status"] = "refunded"
        return together(items)

    world.lms.enroll_many = and_refunded  # type: ignore[method-assign, assignment]  # at the worst point

    assert world.outcomes() == {"skipped": 4}
    rows = world.audit.attempts.values()
    assert len(rows) == 4
    assert not any(row.never_sent for row in rows)


def test_in_an_lms_without_enrollments_no_batch_is_the_first_write() -> None:
    world = World([order(f"e{number}") for number in range(5)])
    world.lms.batches = True

    assert world.outcomes() == {"enrolled": 5}
    assert len(world.lms.enroll_calls) >= 1
    assert all(len(batch) <= 4 for batch in world.lms.batch_calls)


def test_a_key_that_does_not_see_its_first_write_makes_no_second() -> None:
    world = World([order(f"e{number}") for number in range(5)])
    world.lms.blind = True

    result = Reconciler(world.ports).run(RunOptions(concurrency=4))

    assert result.summary.reason == "blind"
    assert len(world.lms.enroll_calls) == 1


def slow_first_write(world: World, seconds: float, *, enrolls: bool = False) -> None:
    """The LMS takes so long for the first, and somebody enrolls the other by hand meanwhile."""
    enroll = world.lms.enroll

    def slowly(item: Enrollment) -> Any:
        world.lms.enroll = enroll  # type: ignore[method-assign]  # once
        if enrolls:
            other = next(name for name in world.source.documents if name != item.id)
            world.lms.add(key(other))
        world.clock.advance(seconds)
        return enroll(item)

    world.lms.add(key("old"))
    world.lms.enroll = slowly  # type: ignore[method-assign, assignment]  # slower


def test_a_look_under_the_lease_that_is_old_is_repeated() -> None:
    world = World([order("e1"), order("e2")])
    slow_first_write(world, 31, enrolls=True)

    assert world.outcomes(concurrency=1) == {"enrolled": 1, "skipped": 1}
    assert world.copies() == {key("old"): 1, key("e1"): 1, key("e2"): 1}


def test_an_intent_that_is_old_is_closed_and_made_anew() -> None:
    world = World([order("e1"), order("e2")])
    slow_first_write(world, 11)

    assert world.outcomes(concurrency=1) == {"enrolled": 2}
    assert sorted(row.never_sent for row in world.audit.attempts.values()) == [False, False, True]


def test_whose_hold_could_not_be_noted_has_its_lease_left_to_lapse() -> None:
    world = World([order("e1")])
    world.lms.answers[key("e1")] = fail(AmbiguousWrite("no answer within 10 s"))

    def away(_: Any) -> Any:
        raise StoreUnavailable("no primary")

    world.leases.hold_all = away  # type: ignore[method-assign, assignment]  # away

    assert world.run().summary.reason == "mongodb_unavailable"
    assert world.leases.rows[key("e1")]["token"] in world.leases.left


def test_whose_outcome_could_not_be_committed_has_its_lease_left_to_lapse() -> None:
    world = World([order("e1")])
    world.audit.finish_all = unwell  # type: ignore[method-assign]  # away

    assert world.run().summary.reason == "audit_unavailable"
    assert world.leases.rows[key("e1")]["token"] in world.leases.left
    assert world.source.writes == []


def test_nobody_is_told_of_an_order_after_its_end_could_not_be_committed() -> None:
    """The audit is away for one transaction: the end is in that one, the order's verdict in the next."""
    world = World([order("e1")])
    (item,) = world.source.scan(Selection())
    recording = Recording(ports=world.ports, run_id="r", halt=Halt())
    entry = Surveyed(enrollment=item, decision=Enroll())
    end = End(attempt_id=1, verdict=Verdict(outcome=Outcome.ENROLLED, lms_id="x", attempts=1), at=NOON)

    first = Told(entry=entry, at=NOON, ends=(end,))  # there is no such attempt
    second = Told(entry=entry, at=NOON, verdict=end.verdict, written=True)

    assert recording.record([first]).lost == [first]
    assert recording.record([second]).told == []


def test_leftovers_that_could_not_be_closed_keep_who_was_before() -> None:
    """Refunded since, so that the order is no candidate any more."""
    world = World([order("e1")])
    look = world.source.last_look
    world.source.last_look = dies  # type: ignore[method-assign]  # between intent and fence
    killed(world)
    world.source.last_look = look  # type: ignore[method-assign]
    world.source.documents["e1"]["status"] = "refunded"
    finish_all, world.audit.finish_all = world.audit.finish_all, unwell  # type: ignore[method-assign]
    assert world.run().summary.reason == "audit_unavailable"
    world.audit.finish_all = finish_all  # type: ignore[method-assign]

    world.run()

    (row,) = world.audit.attempts.values()
    assert row.never_sent
