"""Something that is done every so often."""

from __future__ import annotations

import threading

from reconcile.base.repeating import Repeating


def test_it_is_done_again_and_again_until_the_block_ends() -> None:
    times: list[str] = []
    enough = threading.Event()

    def action() -> None:
        times.append(threading.current_thread().name)
        if len(times) == 3:
            enough.set()

    with Repeating(action, every=0.01, name="often"):
        assert enough.wait(10)
    after = len(times)

    assert set(times) == {"often"}
    assert not [thread for thread in threading.enumerate() if thread.name == "often"]
    assert len(times) == after


def test_a_short_block_does_not_wait_for_the_first_time() -> None:
    times: list[int] = []
    with Repeating(lambda: times.append(1), every=3600, name="seldom"):
        pass

    assert times == []
