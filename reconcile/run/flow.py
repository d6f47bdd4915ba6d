"""Stages joined by queues, all of them at work at once. Knows nothing of what flows.

A stage takes what waits for it, a portion at a time, and puts what comes of it to others. What bounds the
queues is each stage's own `at_once`: it says how many it would take now, and 0 where those behind it have
enough to do (back-pressure). A stage may put work to one before it; whatever flows is counted, and when
nothing waits and nobody works any more, the flow is over.

`run` gives every stage threads of its own. A test may step through a flow in one thread instead, in any
order that it likes (`ready`, `step`): stages share nothing but what they put to each other.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")


class Stage(Generic[T]):
    """One step of a flow and what waits for it. Made by `Flow.stage`."""

    def __init__(
        self,
        name: str,
        work: Callable[[list[T]], None],
        *,
        at_once: Callable[[], int],
        workers: int,
        lock: threading.Lock,
    ) -> None:
        self.name = name
        self.work = work
        self.workers = workers
        self.waiting: deque[T] = deque()
        self.busy = 0  #: portions that are being worked on
        self._at_once = at_once
        self.idle = threading.Condition(lock)  #: where its threads wait for work
        self.threads: list[threading.Thread] = []
        self.sleepers = 0

    @property
    def load(self) -> int:
        """How much waits and is being worked on: items that wait, and portions in work."""
        return len(self.waiting) + self.busy

    def can_take(self) -> int:
        """How many items it would take now."""
        if not self.waiting or self.busy >= self.workers:
            return 0
        return min(len(self.waiting), self._at_once())


class AnyStage(Protocol):
    """A stage, whatever flows through it."""

    name: str


class Flow:
    """Stages and what flows through them."""

    def __init__(self, *, on_bug: Callable[[], None], when_idle: Callable[[], None]) -> None:
        """`on_bug` is called when a stage raises; what it raised comes out of `run`.

        `when_idle` is called when nothing flows any more, and may put something that was kept back.
        """
        self._on_bug = on_bug
        self._when_idle = when_idle
        self._lock = threading.Lock()
        self._quiet = threading.Condition(self._lock)
        self._stages: list[Stage[Any]] = []
        self._flowing = 0
        self._over = False
        self._in_threads = False
        self._without_thread: list[Stage[Any]] = []  #: the machine gives no thread for these
        self.bug: BaseException | None = None

    def stage(
        self,
        name: str,
        work: Callable[[list[T]], None],
        *,
        at_once: Callable[[], int],
        workers: int = 1,
    ) -> Stage[T]:
        """A new stage. `at_once` is asked often and while nothing else moves: it only counts."""
        made = Stage(name, work, at_once=at_once, workers=workers, lock=self._lock)
        self._stages.append(made)
        return made

    def put(self, stage: Stage[T], items: Iterable[T]) -> None:
        """Hand these on. Thread-safe; never waits."""
        with self._lock:
            before = len(stage.waiting)
            stage.waiting.extend(items)
            self._flowing += len(stage.waiting) - before
            self._wake()

    def put_first(self, stage: Stage[T], items: Sequence[T]) -> None:
        """Hand these on before whatever waits there: they have waited before."""
        with self._lock:
            stage.waiting.extendleft(reversed(items))
            self._flowing += len(items)
            self._wake()

    @property
    def is_flowing(self) -> bool:
        """Whether anything waits or is being worked on."""
        with self._lock:
            return self._flowing > 0

    # --- one step --------------------------------------------------------------------------------

    @property
    def ready(self) -> Sequence[AnyStage]:
        """The stages that would work now."""
        with self._lock:
            return [stage for stage in self._stages if stage.can_take()]

    def step(self, stage: Any) -> None:
        """Let a stage work on one portion, in this thread. What it raises is kept in `bug`."""
        with self._lock:
            portion = self._portion(stage)
        self._work(stage, portion)

    def rest(self) -> bool:
        """Call when nothing is ready: whether the flow is over. What was kept back is put first."""
        self._when_idle()
        with self._lock:
            return self._flowing == 0

    def _portion(self, stage: Stage[T]) -> list[T]:
        portion = [stage.waiting.popleft() for _ in range(stage.can_take())]
        stage.busy += bool(portion)
        return portion

    def _work(self, stage: Stage[T], portion: list[T]) -> None:
        try:
            stage.work(portion)
        except BaseException as bug:  # noqa: BLE001  raised again by `run`, when all the others have come to rest
            with self._lock:
                self.bug = self.bug or bug
            self._on_bug()
        finally:
            with self._lock:
                stage.busy -= 1
                self._flowing -= len(portion)
                self._wake()

    # --- in threads ------------------------------------------------------------------------------

    def run(self) -> None:
        """Work until nothing flows any more; raises what a stage has raised, when all have come to rest."""
        self._in_threads = True
        try:
            while True:
                with self._lock:
                    self._wake()
                    while self._flowing:
                        if not self._stand_in():
                            self._refuse_to_stall()
                            self._quiet.wait()
                if self.rest():
                    break
        except BaseException:
            self._on_bug()
            raise
        finally:
            with self._lock:
                self._over = True
                for stage in self._stages:
                    stage.idle.notify_all()
            for stage in self._stages:
                for thread in stage.threads:
                    thread.join()
        if self.bug is not None:
            raise self.bug

    def _wake(self) -> None:
        """Let whoever can do something now know of it. The lock is held."""
        ready = [stage for stage in self._stages if stage.can_take()]
        if self._flowing == 0 or not (ready or any(stage.busy for stage in self._stages)):
            self._quiet.notify_all()
            return
        for stage in ready:
            if stage.sleepers:
                stage.idle.notify()
            elif self._in_threads and len(stage.threads) < stage.workers:
                self._hire(stage)

    def _hire(self, stage: Stage[Any]) -> None:
        thread = threading.Thread(target=self._serve, args=[stage], name=stage.name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # A limit of processes. Those that there are go on; where there is none, `run` works itself.
            if not stage.threads and stage not in self._without_thread:
                self._without_thread.append(stage)
            self._quiet.notify_all()
        else:
            stage.threads.append(thread)

    def _refuse_to_stall(self) -> None:
        """Raise, rather than wait for ever, where work waits and no stage takes it. The lock is held."""
        if not any(stage.busy or stage.can_take() for stage in self._stages):
            waiting = {stage.name: len(stage.waiting) for stage in self._stages if stage.waiting}
            raise RuntimeError(f"work waits, and no stage takes it: {waiting}")

    def _stand_in(self) -> bool:
        """Work on a portion for a stage that has got no thread; False where none waits. The lock is held."""
        stage = next((each for each in self._without_thread if each.can_take()), None)
        if stage is None:
            return False
        portion = self._portion(stage)
        self._lock.release()
        try:
            self._work(stage, portion)
        finally:
            self._lock.acquire()
        return True

    def _serve(self, stage: Stage[Any]) -> None:
        while True:
            with self._lock:
                while not (portion := self._portion(stage)):
                    if self._over:
                        return
                    stage.sleepers += 1
                    stage.idle.wait()
                    stage.sleepers -= 1
                # There may be enough for another of this stage's threads.
                self._wake()
            self._work(stage, portion)
