"""Where each decision goes: to a write, to another order's fate, or straight to what is recorded.

Two orders for the same learner and course are one enrollment in the LMS: the first that is to be enrolled
leads, the others wait for it and share its fate.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from reconcile.base.clock import Clock
from reconcile.base.errors import TooManyEnrolls
from reconcile.domain.model import DUPLICATE_PAYMENT, EffectKey, Enroll, SyncStatus, Verdict
from reconcile.run.options import Halt
from reconcile.run.page import Page, Surveyed, Told
from reconcile.run.verdicts import shared_verdict, turn, verdict_without_write


class Onward(Protocol):
    """Where orders go from here."""

    def claim(self, entries: Sequence[Surveyed]) -> None:
        """To be leased and enrolled."""
        ...

    def tell(self, told: Sequence[Told]) -> None:
        """To be recorded and told."""
        ...


def had_failed(entry: Surveyed) -> bool:
    """Given up on before: by the storefront, or by us under another count."""
    return entry.enrollment.sync.status == SyncStatus.FAILED


class Routing:
    """Who is at which learner and course in this run, and how many may be enrolled. Thread-safe."""

    def __init__(
        self, onward: Onward, *, halt: Halt, clock: Clock, max_enrolls: int | None, surge_limit: int | None
    ) -> None:
        self._onward = onward
        self._halt = halt
        self._clock = clock
        self._max_enrolls = max_enrolls
        self._surge_limit = surge_limit if max_enrolls is None else None
        self._enrolls = 0
        self._had_failed = 0  #: of those that the run wanted to try
        #: Orders that should be enrolled and were left alone because of `max_enrolls`.
        self.left_over = 0
        self._lock = threading.Lock()
        self._at_work: dict[EffectKey, list[Surveyed]] = {}  #: and who waits for it
        self._fates: dict[EffectKey, Verdict] = {}  #: of learners who have paid more than once

    def route(self, pages: Sequence[Page]) -> None:
        """Send every order of these pages on its way; nothing once the run is ending.

        Raises TooManyEnrolls where the run has become implausible.
        """
        for page in pages:
            if self._halt.is_set:
                return
            leads: list[Surveyed] = []
            told: list[Told] = []
            for entry in self._in_turn(page):
                self._send(entry, leads, told)
            self._onward.claim(leads)
            self._onward.tell(told)

    def settle(self, entry: Surveyed, fate: Verdict | None) -> list[Told]:
        """Its learner's task is over, `fate` is what came of it: what that means for those who have waited.

        None: nothing came of it, and they stay as they are.
        """
        key = entry.key
        if key is None:
            return []
        with self._lock:
            waited = self._at_work.pop(key, [])
            if fate is not None and DUPLICATE_PAYMENT in entry.flags:
                self._fates[key] = fate
        told = [] if fate is None else [self._shared(each, fate) for each in waited]
        return [each for each in told if each is not None]

    def _in_turn(self, page: Page) -> Iterator[Surveyed]:
        """Who is to be enrolled first, the least tried before others; then the rest, in its order."""
        enrolls = [entry for entry in page.entries if wants_lease(entry)]
        yield from sorted(enrolls, key=turn)
        yield from (entry for entry in page.entries if not wants_lease(entry))

    def _send(self, entry: Surveyed, leads: list[Surveyed], told: list[Told]) -> None:
        key = entry.key
        with self._lock:
            if key is not None and key in self._at_work:
                self._at_work[key].append(entry)
                return
            fate = self._fates.get(key) if key is not None else None
            leading = fate is None and key is not None and wants_lease(entry) and self._has_room(entry)
            if leading and key is not None:
                self._at_work[key] = []
        if leading:
            leads.append(entry)
            return
        shared = self._shared(entry, fate) if fate is not None else self._alone(entry)
        if shared is not None:
            told.append(shared)

    def _has_room(self, entry: Surveyed) -> bool:
        if not isinstance(entry.decision, Enroll):
            return True  # only what an earlier run has left open is looked into
        if self._max_enrolls is not None and self._enrolls >= self._max_enrolls:
            self.left_over += 1
            return False
        if self._surge_limit is not None and self._enrolls >= self._surge_limit:
            raise TooManyEnrolls(
                f"this run wants to enroll more than {self._surge_limit} learners, far more than recent "
                f"runs did; {self._had_failed} of them had been given up on before (status failed)",
                hint="Look at `reconcile plan`: is it the right LMS, was it emptied? If it is right, say how "
                "many: reconcile run --max-enrolls N",
            )
        self._enrolls += 1
        self._had_failed += had_failed(entry)
        return True

    def _alone(self, entry: Surveyed) -> Told | None:
        verdict = verdict_without_write(entry)
        return None if verdict is None else Told(entry=entry, verdict=verdict, at=self._clock.now())

    def _shared(self, entry: Surveyed, fate: Verdict) -> Told | None:
        # What was open for any order of theirs was closed when the learner was leased.
        entry = replace(entry, history=replace(entry.history, open_attempts=()))
        verdict = shared_verdict(entry, fate)
        return None if verdict is None else Told(entry=entry, verdict=verdict, at=self._clock.now())


def wants_lease(entry: Surveyed) -> bool:
    """True where its learner is to be enrolled, or an earlier run's write for it has no end yet."""
    is_open = bool(entry.history.open_attempts) and entry.seen is not None
    return entry.key is not None and (isinstance(entry.decision, Enroll) or is_open)
