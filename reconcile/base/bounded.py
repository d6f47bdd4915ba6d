"""Do something in bounded time, whatever the library below does with its own time-outs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

T = TypeVar("T")


class TookTooLong(Exception):
    """It was not done in time; it may still be done."""


def within(seconds: float, action: Callable[[], T], *, name: str) -> T:
    """What `action` returns. Raises what it raises, and TookTooLong.

    A time-out between two bytes bounds nothing where the other side sends one byte at a time, and
    looking up a name has none at all. So it runs in a thread that is left behind and dies with the process.
    """
    done: Future[T] = Future()

    def work() -> None:
        try:
            done.set_result(action())
        except BaseException as error:  # noqa: BLE001  handed over to the caller
            done.set_exception(error)

    threading.Thread(target=work, name=name, daemon=True).start()
    wait([done], timeout=seconds)
    if not done.done():
        raise TookTooLong(f"not done within {seconds:g} s")
    return done.result()
