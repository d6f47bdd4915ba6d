"""Do something in bounded time, whatever the library below does with its own time-outs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class TookTooLong(Exception):
    """It was not done in time; it may still be done."""


class _Result(Generic[T]):
    value: T
    error: BaseException | None = None


def within(seconds: float, action: Callable[[], T], *, name: str) -> T:
    """What `action` returns. Raises what it raises, and TookTooLong.

    A time-out between two bytes bounds nothing where the other side sends one byte at a time, and
    looking up a name has none at all. So it runs in a thread that is left behind and dies with the process.
    """
    result: _Result[T] = _Result()

    def work() -> None:
        try:
            result.value = action()
        except BaseException as error:  # noqa: BLE001  handed over to the caller
            result.error = error

    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TookTooLong(f"not done within {seconds:g} s")
    if result.error is not None:
        raise result.error
    return result.value
