"""What has once broken a promise: stalls, lost acknowledgements, slow systems, keys that are refused."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest

from reconcile.base.errors import (
    AmbiguousWrite,
    AuditUnavailable,
    AuthenticationFailed,
    RateLimited,
)
from reconcile.domain.model import EffectKey, Observation
from reconcile.run.dry_run import without_writes
from reconcile.run.flow import Flow
from reconcile.run.options import RunOptions
from reconcile.run.ports import Intent, Origin
from reconcile.run.reconciler import Reconciler
from reconcile.run.summary import RunStatus
from tests.fakes.harness import ORIGIN, World
from tests.fakes.stepping import step
from tests.fakes.world import NOON, fail, order, outcomes, refuse

OLD = EffectKey("old@example.com", "python-basics")
GONE = Origin(host=ORIGIN.host, pid=1, process_started="never")


def key(name: str) -> EffectKey:
    return EffectKey(f"{name}@example.com", "python-basics")


def world_of(count: int, **lms: Any) -> World:
    world = World([order(f"e{number:04d}") for number in range(count)])
    world.lms.add(OLD)
    for name, value in lms.items():
        setattr(world.lms, name, value)
    return world


class Killed(BaseException):
    """The process is gone."""


def killed(world: World, options: RunOptions) -> None:
    """A run that dies at `Killed`; nothing of it is closed."""

    class Dying(Flow):
        pass

    def drive(flow: Flow) -> None:
        while ready := flow.ready:
            flow.step(ready[-1])
            if isinstance(flow.bug, Killed):
                raise flow.bug

    reconciler = Reconciler(world.ports, drive=drive)
    reconciler._record_end = lambda summary: None  # type: ignore[method-assign]  # it is dead
    with pytest.raises(Killed):
        reconciler.run(options)
    for run in world.audit.runs.values():
        if run.status is RunStatus.RUNNING:
            run.origin = GONE


# --- a run that never ends --------------------------------------------------------------------


def test_leases_of_undecided_batches_do_not_stall_the_run() -> None:
    """Four batches of 25 time out, the sizes shrink, and the leases in doubt fill what may be leased."""
    world = world_of(200, batches=True)
    for number in range(100):
        world.lms.answers[key(f"e{number:04d}")] = fail(AmbiguousWrite("no answer"))

    def strictly(flow: Flow) -> None:
        """As `Flow.run`: what was kept back is decided when nothing flows any more, and not before."""
        while True:
            while ready := flow.ready:
                flow.step(ready[-1])
            assert not flow._flowing, "work waits, and no stage takes it"
            if flow.rest():
                return

    result = Reconciler(world.ports, drive=strictly).run(
        RunOptions(page_size=100, concurrency=None, batch=None)
    )

    assert result.summary.scanned == 200


def test_a_stop_ends_a_run_also_where_nothing_moves() -> None:
    world = world_of(200, batches=True)
    for number in range(100):
        world.lms.answers[key(f"e{number:04d}")] = fail(AmbiguousWrite("no answer"))
    scan, written = world.source.scan, threading.Event()
    unanswered = 0
    many = world.lms.enroll_many

    def together(items: Any) -> Any:
        nonlocal unanswered
        unanswered += 1
        time.sleep(0.2)
        if unanswered >= 4:
            written.set()
        return many(items)

    def slow_second_page(selection: Any) -> Any:
        for number, item in enumerate(scan(selection)):
            if number == 100:
                written.wait(5)
                time.sleep(0.5)
            yield item

    world.lms.enroll_many = together  # type: ignore[method-assign, assignment]  # slower
    world.source.scan = slow_second_page  # type: ignore[method-assign]  # slower
    stop = threading.Event()
    done = threading.Event()

    def run() -> None:
        Reconciler(world.ports).run(RunOptions(page_size=100, concurrency=None), stop=stop)
        done.set()

    threading.Thread(target=run, daemon=True).start()
    ended = done.wait(10)
    stop.set()
    stopped = done.wait(5)
    assert ended, f"it hangs; a stop ended it: {stopped}"


def test_a_thread_that_cannot_be_started_does_not_hang_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's limit of processes."""
    world = world_of(3)
    start = threading.Thread.start

    def refuses(self: threading.Thread) -> None:
        if self.name == "write":
            raise RuntimeError("can't start new thread")
        start(self)

    monkeypatch.setattr(threading.Thread, "start", refuses)
    done = threading.Event()

    def run() -> None:
        with contextlib.suppress(RuntimeError):
            Reconciler(world.ports).run(RunOptions())
        done.set()

    runner = threading.Thread(target=run, daemon=True, name="runner")
    start(runner)
    assert done.wait(10), "it hangs"


# --- the proof that an intent was never sent ---------------------------------------------------


def test_intents_whose_commit_was_not_acknowledged_keep_their_lease_as_proof() -> None:
    world = world_of(1)
    begin_all = world.audit.begin_all

    def unacknowledged(intents: Sequence[Intent], **since: Any) -> Any:
        world.audit.begin_all = begin_all  # type: ignore[method-assign]  # once
        begin_all(intents, **since)
        raise AuditUnavailable("the connection was lost during the commit")

    world.audit.begin_all = unacknowledged  # type: ignore[method-assign]  # once
    assert world.run().summary.reason == "audit_unavailable"
    assert world.lms.enroll_calls == []
    world.clock.advance(125)  # the lease has lapsed, the hold would not have

    world.run()
    world.run()

    assert world.lms.enroll_calls == [key("e0000")], "never sent, and on hold all the same"


def test_an_intent_whose_end_was_not_acknowledged_keeps_its_lease_as_proof() -> None:
    """Too old, to be closed as never sent: that fails, and the lease is given back with the row open."""
    world = world_of(3)
    finish_all = world.audit.finish_all
    world.lms.answers[key("e0000")] = fail(RateLimited("slow down", retry_after=12, http_status=429))

    def broken(ends: Any, **run: Any) -> None:
        if any(end.never_sent for end in ends):
            world.audit.finish_all = finish_all  # type: ignore[method-assign]  # once
            raise AuditUnavailable("the disk is full")
        finish_all(ends, **run)

    world.audit.finish_all = broken  # type: ignore[method-assign]  # once
    for name in ("e0001", "e0002"):
        world.lms.answers[key(name)] = world.lms.answers[key("e0000")]
    world.run(concurrency=4)
    open_rows = [row for row in world.audit.attempts.values() if row.finished_at is None]
    assert open_rows, "something is left open in this order of steps"
    for row in open_rows:
        lease = world.leases.rows.get(row.key)  # type: ignore[arg-type]  # all have keys
        assert lease is not None, "given back with a row open under it"
        assert lease["token"] == row.lease_token


def test_an_intent_that_was_never_sent_does_not_leave_its_order_without_a_verdict() -> None:
    """Killed between intent and fence: the next run proves it, and has nothing to say of the order."""
    world = world_of(1)

    def dies(*_: Any, **__: Any) -> Any:
        raise Killed

    look, world.source.last_look = world.source.last_look, dies  # type: ignore[method-assign]
    killed(world, RunOptions())
    world.source.last_look = look  # type: ignore[method-assign]

    result = world.run()

    assert sum(result.summary.outcomes.values()) == result.summary.scanned == 1
    assert outcomes(result.summary.outcomes) == {"enrolled": 1}


# --- what ends a run, and should not -----------------------------------------------------------


def test_a_rate_limit_on_the_look_under_the_lease_is_waited_out_too() -> None:
    world = world_of(1)
    observe, looks = world.lms.observe, []

    def limited(keys: Sequence[EffectKey]) -> Mapping[EffectKey, Observation]:
        looks.append(keys)
        if len(looks) == 2:
            raise RateLimited("slow down", retry_after=1, http_status=429)
        return observe(keys)

    world.lms.observe = limited  # type: ignore[method-assign]  # once
    assert world.outcomes() == {"enrolled": 1}


# --- a key that is refused while it is looked after a write -------------------------------------


@pytest.mark.parametrize("proven", [True, False])
def test_a_key_that_is_refused_between_write_and_look_leaves_no_row_open(proven: bool) -> None:
    world = world_of(4, batches=True)
    if not proven:
        world.lms.rows.clear()
    else:
        world.lms.answers[key("e0001")] = refuse()
    observe, looks = world.lms.observe, []

    def revoked(keys: Sequence[EffectKey]) -> Mapping[EffectKey, Observation]:
        looks.append(keys)
        if len(looks) > 2:
            raise AuthenticationFailed("401", reason="unauthorized")
        return observe(keys)

    world.lms.observe = revoked  # type: ignore[method-assign]  # from the third on
    result = world.run()

    assert result.summary.status is RunStatus.ABORTED
    left = {row.key for row in world.audit.attempts.values() if row.finished_at is None}
    kept = {
        which
        for which, row in world.leases.rows.items()
        if row["expires_at"] > world.clock.now() and row["token"] not in world.leases.left
    }
    assert (left, kept) == (set(), set()), "open rows; leases that a follow-up run prolongs for ever"


def test_a_bug_leaves_its_leases_to_lapse() -> None:
    """The scheduler's next run in the same process prolongs all that was neither given back nor left."""
    world = world_of(2)
    world.lms.answers[key("e0000")] = fail(RuntimeError("a bug behind the socket"))
    with pytest.raises(RuntimeError):
        world.run(concurrency=1)

    kept = [
        row
        for row in world.leases.rows.values()
        if row["expires_at"] > world.clock.now() and row["token"] not in world.leases.left
    ]
    assert not kept


# --- pace ---------------------------------------------------------------------------------------


class Fast:
    """The machine's clock, so many times as fast."""

    def __init__(self, times: float) -> None:
        self._times, self._began = times, time.monotonic()

    def now(self) -> Any:
        return NOON + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        return (time.monotonic() - self._began) * self._times

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds) / self._times)


def fast(world: World, times: float) -> Fast:
    world.clock = Fast(times)  # type: ignore[assignment]  # faster than the machine's
    world.leases._clock = world.clock
    return world.clock  # type: ignore[return-value]  # just set


def test_a_slow_rate_is_kept_from_write_to_write() -> None:
    world = world_of(12)
    clock = fast(world, 20.0)
    at: list[float] = []
    enroll = world.lms.enroll

    def noted(item: Any) -> Any:
        at.append(clock.monotonic())
        return enroll(item)

    world.lms.enroll = noted  # type: ignore[method-assign, assignment]  # watched
    Reconciler(world.ports).run(RunOptions(rate=0.2, concurrency=4, lease_ttl=100000))
    gaps = [round(later - sooner, 1) for sooner, later in itertools.pairwise(at)]
    assert min(gaps) > 2.5, gaps  # 5 s between two writes
    assert max(gaps) < 12, gaps


def test_a_slow_lms_costs_no_row_for_each_check_that_became_too_old() -> None:
    world = world_of(60)
    clock = fast(world, 20.0)
    enroll, look = world.lms.enroll, world.lms.observe
    looks: list[int] = []

    def slow(item: Any) -> Any:
        clock.sleep(6)
        return enroll(item)

    def noted(keys: Sequence[EffectKey]) -> Any:
        looks.append(len(keys))
        return look(keys)

    world.lms.enroll, world.lms.observe = slow, noted  # type: ignore[method-assign, assignment]  # slower
    Reconciler(world.ports).run(RunOptions(concurrency=4, lease_ttl=100000))
    unsent = sum(row.never_sent for row in world.audit.attempts.values())
    assert unsent <= 6, f"{unsent} rows of intents that were not sent for 60 writes; looks: {looks}"


def test_a_run_that_is_over_does_not_wait_for_its_turns_to_write() -> None:
    """The breaker has tripped: a pause that the LMS asked for is nobody's any more."""
    world = world_of(60)
    limited = RateLimited("slow down", retry_after=60, http_status=429)
    world.lms.answers = {key(f"e{number:04d}"): fail(limited) for number in range(60)}
    clock = fast(world, 20.0)
    enroll, at = world.lms.enroll, []

    def noted(item: Any) -> Any:
        at.append(clock.monotonic())
        return enroll(item)

    world.lms.enroll = noted  # type: ignore[method-assign, assignment]  # watched
    result = Reconciler(world.ports).run(RunOptions(concurrency=8, lease_ttl=100000))

    assert result.summary.reason == "rate_limited"
    assert clock.monotonic() - at[-1] < 20, "the run was over long before"


# --- a dry run says what a run would ---------------------------------------------------------------


def test_a_dry_run_says_recovered_where_a_run_would() -> None:
    def dead() -> World:
        world = world_of(1)

        def done_and_dies(which: EffectKey) -> Any:
            world.lms.add(which)
            raise Killed

        world.lms.answers[key("e0000")] = done_and_dies
        killed(world, RunOptions())
        world.audit.close_dead_runs(origin=ORIGIN, stale_before=NOON, at=NOON)
        world.clock.advance(400)
        world.lms.answers.clear()
        return world

    real = dead()
    dry = dead()
    said = Reconciler(without_writes(dry.ports), drive=step()).run(RunOptions(mode="dry-run"))
    assert outcomes(said.summary.outcomes) == real.outcomes() == {"recovered": 1}


# --- what a write is counted from ------------------------------------------------------------------


def test_a_write_leaves_at_most_twelve_seconds_after_its_row_began() -> None:
    """The audit's lock ends ten seconds after the hold, counted from there; a commit may wait its turn."""
    world = world_of(1)
    begin_all, waits = world.audit.begin_all, [15.0]

    def waits_its_turn(intents: Sequence[Intent], **since: Any) -> Any:
        world.clock.advance(waits.pop() if waits else 0.0)
        return begin_all(intents, **since)

    enroll, ages = world.lms.enroll, []

    def noted(item: Any) -> Any:
        rows = [row for row in world.audit.attempts.values() if row.finished_at is None]
        ages.append(max((world.clock.now() - row.started_at).total_seconds() for row in rows))
        return enroll(item)

    world.audit.begin_all = waits_its_turn  # type: ignore[method-assign]  # slower, once
    world.lms.enroll = noted  # type: ignore[method-assign, assignment]  # watched
    world.run()

    assert ages
    assert max(ages) <= 12
