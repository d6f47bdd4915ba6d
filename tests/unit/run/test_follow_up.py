"""What follows a run: each step has its turn, none can fail the run."""

from __future__ import annotations

import pytest

from reconcile.run.follow_up import Finished, follow_up
from reconcile.run.options import RunOptions
from tests.fakes.harness import World
from tests.fakes.world import order


class Step:
    def __init__(self, name: str, *, breaks: bool = False) -> None:
        self.name, self.breaks = name, breaks
        self.seen: list[str] = []

    def after(self, finished: Finished) -> None:
        self.seen.append(finished.result.summary.status)
        if self.breaks:
            raise RuntimeError("the alert service is on fire")


def test_a_step_that_breaks_is_told_and_the_others_have_their_turn(caplog: pytest.LogCaptureFixture) -> None:
    steps = [Step("alerts", breaks=True), Step("mail")]
    result = World([order("e1")]).run()

    follow_up(steps, Finished(options=RunOptions(), result=result))

    assert [step.seen for step in steps] == [["completed"], ["completed"]]
    assert "alerts" in caplog.text
    assert "on fire" in caplog.text
