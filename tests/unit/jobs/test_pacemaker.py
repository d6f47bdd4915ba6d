"""The beat that does not depend on the wall clock."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from reconcile.jobs.pacemaker import NOTICED, Pacemaker


@dataclass
class Clocks:
    """A wall clock that people set, and one that only goes on."""

    wall: float = 1_000_000.0
    steady: float = 500.0
    told: list[timedelta] = field(default_factory=list)
    beats: int = 0

    def pass_by(self, seconds: float, *, changed_by: float = 0.0) -> None:
        self.steady += seconds
        self.wall += seconds + changed_by

    def beat(self) -> None:
        self.beats += 1

    def pacemaker(self, **changes: float) -> Pacemaker:
        return Pacemaker(
            beat=self.beat,
            set_back=self.told.append,
            wall=lambda: self.wall,
            steady=lambda: self.steady,
            **changes,
        )


def test_a_clock_that_is_set_back_is_told_once_and_by_how_much() -> None:
    clocks = Clocks()
    pacemaker = clocks.pacemaker()

    for change in (0, -3600, 0, 0):
        clocks.pass_by(15, changed_by=change)
        pacemaker.look()

    assert clocks.told == [timedelta(hours=1)]
    assert clocks.beats == 4


@pytest.mark.parametrize("change", [NOTICED * -0.9, 0.5, 3600.0, 12 * 3600.0])
def test_discipline_a_clock_set_forward_and_a_long_sleep_are_no_news(change: float) -> None:
    clocks = Clocks()
    pacemaker = clocks.pacemaker()

    clocks.pass_by(15, changed_by=change)
    pacemaker.look()

    assert clocks.told == []
    assert clocks.beats == 1


def test_a_slow_drift_is_never_taken_for_a_change() -> None:
    clocks = Clocks()
    pacemaker = clocks.pacemaker()

    for _ in range(1000):
        clocks.pass_by(15, changed_by=-1.0)
        pacemaker.look()

    assert clocks.told == []


def test_the_thread_goes_on_though_a_beat_fails() -> None:
    beats = threading.Semaphore(0)

    def beat() -> None:
        beats.release()
        raise RuntimeError("once")

    with Pacemaker(beat=beat, set_back=lambda _: None, every=0.001):
        assert all(beats.acquire(timeout=10) for _ in range(3))
