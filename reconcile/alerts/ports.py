"""What alerting needs from the world, as Protocols: adapters implement these, tests in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from reconcile.alerts.decision import AlertState


class Level(StrEnum):
    """How loud a message is, in the words of those who pass it on."""

    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"


class Notifier(Protocol):
    """Somebody who passes messages on to people."""

    def notify(self, *, title: str, body: str, level: Level = Level.INFO) -> None:
        """Send one message: plain text, fit to be shown. Bounded in time.

        Returns when at least one of the places it goes to has taken it. Raises NotificationFailed.
        """
        ...


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


class RunHistory(Protocol):
    """What earlier runs say of the schedule and of the orders. Raises AuditUnavailable."""

    def successes(self) -> Sequence[datetime]:
        """When the last successful runs began, the newest first; a few."""
        ...

    def found_at(self) -> Sequence[datetime]:
        """When runs have found orders: the last time, and the month before it; the oldest first."""
        ...


class Sales(Protocol):
    """The shop's sales, whether they need us or not. Raises StoreUnavailable."""

    def newest_paid_at(self) -> datetime | None:
        """When the newest paid order was paid; None where there is none. One cheap query."""
        ...
