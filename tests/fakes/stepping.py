"""A flow's stages worked one portion at a time, in one thread, in an order of the test's own choosing."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from reconcile.run.flow import Flow

Choose = Callable[[Sequence[Any]], Any]


def downstream_first(ready: Sequence[Any]) -> Any:
    """What is furthest on its way goes on; what waits for a time to pass comes last."""
    return max(enumerate(ready), key=lambda each: (each[1].name != "again", each[0]))[1]


def at_random(seed: int) -> Choose:
    """Any stage that has something to do."""
    return random.Random(seed).choice


def step(choose: Choose = downstream_first, *, after_each: Callable[[], None] = lambda: None) -> Any:
    """A drive for a `Pipeline`: `after_each` is called after each portion."""

    def drive(flow: Flow) -> None:
        while True:
            ready = flow.ready
            if ready:
                flow.step(choose(ready))
                after_each()
            elif flow.is_flowing:
                raise AssertionError("work waits, and no stage takes it")
            elif flow.rest():
                break
        if flow.bug is not None:
            raise flow.bug

    return drive
