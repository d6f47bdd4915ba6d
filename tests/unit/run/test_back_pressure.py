"""An LMS that stalls: what is under way stays bounded, whatever the backlog, and a stop ends it all."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from reconcile.domain.model import AnyEnrollment, EffectKey
from reconcile.run.options import RunOptions
from reconcile.run.reconciler import Reconciler
from reconcile.run.source import Selection
from reconcile.run.summary import RunStatus
from tests.fakes.harness import World
from tests.fakes.world import order

BACKLOG = 100_000


class Stream:
    """So many orders, each made when it is asked for."""

    def __init__(self, world: World) -> None:
        self.read = 0
        self._world = world
        world.source.scan = self.scan  # type: ignore[method-assign]  # made as they are asked for
        world.source._paid_orders = lambda _: {}  # type: ignore[method-assign]  # nobody has paid twice

    def scan(self, _: Selection) -> Iterator[AnyEnrollment]:
        for number in range(BACKLOG):
            self.read += 1
            document = order(f"e{number:06}")
            self._world.source.documents[document["_id"]] = document
            yield self._world.source._parse(document)


@pytest.mark.parametrize("stage", ["write", "record", "look"])
def test_a_stage_that_stalls_stalls_those_before_it(stage: str) -> None:
    world = World()
    stream = Stream(world)
    world.lms.add(EffectKey("old@example.com", "python-basics"))
    stalled, on = threading.Event(), threading.Event()

    def stall(port: Any, name: str) -> None:
        real = getattr(port, name)

        def slow(*args: Any, **kwargs: Any) -> Any:
            stalled.set()
            on.wait(30)
            return real(*args, **kwargs)

        setattr(port, name, slow)

    ports = {
        "write": (world.lms, "enroll"),
        "record": (world.audit, "finish_all"),
        "look": (world.lms, "observe"),
    }
    stall(*ports[stage])
    runner = threading.Thread(
        target=lambda: results.append(
            Reconciler(world.ports).run(RunOptions(concurrency=8, max_enrolls=10**6), stop=world.stop)
        )
    )
    results: list[Any] = []
    runner.start()
    assert stalled.wait(30)
    before = -1
    while before != stream.read:
        before = stream.read
        time.sleep(0.3)
    world.stop.set()
    on.set()
    runner.join(60)

    assert stream.read < 4000, "pages looked at ahead, leased learners, and what waits to be recorded"
    (result,) = results
    assert result.summary.status is RunStatus.INTERRUPTED
    assert all(row.finished_at is not None for row in world.audit.attempts.values())
    assert world.leases.rows == {}
