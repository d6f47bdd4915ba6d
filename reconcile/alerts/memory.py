"""What was told before: who remembers it, and how one process does without an audit database to ask."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from reconcile.alerts.decision import AlertState


class AlertBook(Protocol):
    """What was told before, over all processes. Each method is one transaction. Raises AuditUnavailable.

    Whoever wants to tell something claims it first: of several processes that decide alike, one tells.
    """

    def load(self) -> Mapping[str, AlertState]:
        """Every cause that is remembered, by key."""
        ...

    def claim(self, key: str, before: AlertState | None, *, now: datetime, until: datetime) -> str | None:
        """Take the right to tell of this cause until then; a token.

        None where it is not as it was (`before`) any more, or somebody else has the right.
        """
        ...

    def settle(self, key: str, token: str, after: AlertState) -> None:
        """It was told: keep what is remembered from now on, and give the right back."""
        ...

    def release(self, key: str, token: str) -> None:
        """It could not be told: give the right back, change nothing. May be repeated."""
        ...

    def change(self, key: str, before: AlertState, after: AlertState | None) -> None:
        """Without telling anybody: remember `after`, or forget it. Nothing, where it is not as it was."""
        ...


class MemoryAlertBook:
    """AlertBook in memory. Thread-safe; forgotten with the process."""

    def __init__(self) -> None:
        self._states: dict[str, AlertState] = {}
        self._claims: dict[str, tuple[str, datetime]] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def load(self) -> Mapping[str, AlertState]:
        """Every cause that is remembered, by key."""
        with self._lock:
            return dict(self._states)

    def claim(self, key: str, before: AlertState | None, *, now: datetime, until: datetime) -> str | None:
        """Take the right to tell of this cause."""
        with self._lock:
            _, claimed_until = self._claims.get(key, ("", now))
            if claimed_until > now or not self._is(key, before):
                return None
            self._states.setdefault(key, AlertState(first_seen_at=now))
            token = str(next(self._numbers))
            self._claims[key] = (token, until)
            return token

    def settle(self, key: str, token: str, after: AlertState) -> None:
        """It was told."""
        with self._lock:
            if self._owns(key, token):
                self._states[key] = after
                del self._claims[key]

    def release(self, key: str, token: str) -> None:
        """It could not be told."""
        with self._lock:
            if self._owns(key, token):
                del self._claims[key]

    def change(self, key: str, before: AlertState, after: AlertState | None) -> None:
        """Remember or forget without telling."""
        with self._lock:
            if key in self._claims or not self._is(key, before):
                return
            if after is None:
                del self._states[key]
            else:
                self._states[key] = after

    def _owns(self, key: str, token: str) -> bool:
        return self._claims.get(key, ("", None))[0] == token

    def _is(self, key: str, before: AlertState | None) -> bool:
        found = self._states.get(key)
        if before is None:
            return found is None or found.told_at is None
        return found is not None and told(found) == told(before)


def told(state: AlertState) -> tuple[datetime | None, int, datetime | None]:
    """What makes a state another one to those who decide: what was told, and when."""
    return state.told_at, state.told_count, state.cleared_at
