"""Several threads of which one moves at a time, in an order that a seed decides: the same each time."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence

Work = Callable[[Callable[[], None]], None]


class _Worker:
    def __init__(self, work: Work, done: threading.Semaphore) -> None:
        self._go, self._done = threading.Semaphore(0), done
        self.over = False
        self.error: BaseException | None = None
        threading.Thread(target=self._serve, args=[work], daemon=True).start()

    def _serve(self, work: Work) -> None:
        self._go.acquire()
        try:
            work(self._pause)
        except BaseException as error:  # noqa: BLE001  shown by the test
            self.error = error
        self.over = True
        self._done.release()

    def _pause(self) -> None:
        """Called by the work wherever another may come between."""
        self._done.release()
        self._go.acquire()

    def move(self) -> None:
        self._go.release()
        self._done.acquire()


def take_turns(
    works: Sequence[Work], chance: random.Random, *, between: Callable[[], None], kill: float
) -> int:
    """Let them move until all are over; how many were killed (each move is the last with this probability).

    The last that is left is never killed. Raises what one of them has raised.
    """
    done = threading.Semaphore(0)
    alive = [_Worker(work, done) for work in works]
    killed = 0
    while alive:
        worker = chance.choice(alive)
        worker.move()
        between()
        if worker.error is not None:
            raise worker.error
        if worker.over:
            alive.remove(worker)
        elif len(alive) > 1 and chance.random() < kill:
            alive.remove(worker)
            killed += 1
    return killed
