"""Stages joined by queues: everything arrives, nothing piles up, and a bug is not swallowed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from reconcile.run.flow import Flow
from tests.fakes.stepping import at_random, step

Drive = Callable[[Flow], None]
DRIVES = [
    pytest.param(Flow.run, id="threads"),
    pytest.param(step(), id="downstream-first"),
    *(pytest.param(step(at_random(seed)), id=f"seed-{seed}") for seed in range(5)),
]


def nothing() -> None:
    """No hook."""


def plenty() -> int:
    return 1000


@pytest.mark.parametrize("drive", DRIVES)
def test_everything_arrives_also_what_goes_round_once_more(drive: Drive) -> None:
    flow = Flow(on_bug=nothing, when_idle=nothing)
    arrived: list[int] = []

    def double(items: list[int]) -> None:
        flow.put(last, items)
        flow.put(first, [item + 100 for item in items if item < 100])

    first = flow.stage("first", double, at_once=lambda: 3, workers=4)
    last = flow.stage("last", arrived.extend, at_once=plenty)
    flow.put(first, range(50))

    drive(flow)

    assert sorted(arrived) == [*range(50), *range(100, 150)]


@pytest.mark.parametrize("drive", DRIVES)
def test_a_slow_stage_slows_those_before_it(drive: Drive) -> None:
    flow = Flow(on_bug=nothing, when_idle=nothing)
    most: list[int] = []
    left = iter(range(200))

    def produce(_: list[None]) -> None:
        if (item := next(left, None)) is not None:
            flow.put(slow, [item])
            flow.put(source, [None])

    def consume(_: list[int]) -> None:
        most.append(len(slow.waiting))

    source = flow.stage("source", produce, at_once=lambda: 1 if len(slow.waiting) < 5 else 0)
    slow = flow.stage("slow", consume, at_once=lambda: 1)
    flow.put(source, [None])

    drive(flow)

    assert len(most) == 200
    assert max(most) <= 5


@pytest.mark.parametrize("drive", DRIVES)
def test_what_was_kept_back_is_put_when_nothing_flows_any_more(drive: Drive) -> None:
    kept = [3, 2, 1]
    arrived: list[int] = []

    def when_idle() -> None:
        if kept:
            flow.put(only, [kept.pop()])

    flow = Flow(on_bug=nothing, when_idle=when_idle)
    only = flow.stage("only", arrived.extend, at_once=plenty)

    drive(flow)

    assert arrived == [1, 2, 3]


@pytest.mark.parametrize("drive", DRIVES)
def test_a_bug_comes_out_when_all_others_have_come_to_rest(drive: Drive) -> None:
    told = threading.Event()
    arrived: list[int] = []

    def fails(items: list[int]) -> None:
        flow.put(last, items)
        if 7 in items:
            raise RuntimeError("a bug")

    flow = Flow(on_bug=told.set, when_idle=nothing)
    first = flow.stage("first", fails, at_once=lambda: 1, workers=3)
    last = flow.stage("last", arrived.extend, at_once=plenty)
    flow.put(first, range(20))

    with pytest.raises(RuntimeError, match="a bug"):
        drive(flow)

    assert told.is_set()
    assert sorted(arrived) == list(range(20))


def test_no_more_threads_work_on_a_stage_than_it_has_workers() -> None:
    flow = Flow(on_bug=nothing, when_idle=nothing)
    lock, at_work, most = threading.Lock(), 0, 0
    pause = threading.Event()

    def work(_: list[int]) -> None:
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        pause.wait(0.002)
        with lock:
            at_work -= 1

    only = flow.stage("only", work, at_once=lambda: 1, workers=6)
    flow.put(only, range(200))

    flow.run()

    assert 1 < most <= 6
    assert not any(thread.is_alive() for thread in only.threads)


def test_who_interrupts_the_wait_stops_the_others_first() -> None:
    """A second Ctrl-C in a program that has not taken signals into its own hands."""
    stopped = threading.Event()
    flow = Flow(on_bug=stopped.set, when_idle=nothing)

    def work(items: list[int]) -> None:
        if not stopped.is_set():
            flow.put(only, items)

    def interrupted(*_: Any) -> bool:
        raise KeyboardInterrupt

    only = flow.stage("only", work, at_once=lambda: 1)
    flow.put(only, [1])
    flow._quiet.wait = interrupted  # type: ignore[method-assign]  # no other way to be asleep at that moment

    with pytest.raises(KeyboardInterrupt):
        flow.run()

    assert stopped.is_set()
