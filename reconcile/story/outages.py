"""Outages: runs in a row that had to stop, and times in which nothing ran. A fold over runs. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from reconcile.run.summary import RunStatus


@dataclass(kw_only=True)
class Outage:
    """From the first run that had to stop until a run went through; `end` is None while it lasts."""

    reason: str
    start: datetime
    end: datetime | None = None
    runs: int = 1


@dataclass(kw_only=True)
class Outages:
    """Finds the outages among runs that are added in the order in which they began."""

    found: list[Outage] = field(default_factory=list)
    longest_silence: tuple[datetime, datetime] | None = None  #: between two runs, where the most time passed
    _open: Outage | None = None
    _last: datetime | None = None

    def add(self, *, status: str, reason: str | None, started_at: datetime) -> None:
        """One more run. Only a completed one ends an outage: interrupted and crashed ones tell nothing."""
        if self._last is not None and started_at - self._last > self._silence:
            self.longest_silence = (self._last, started_at)
        self._last = started_at
        if status == RunStatus.COMPLETED:
            self._close(started_at)
        elif status == RunStatus.ABORTED:
            why = reason or "unknown"
            if self._open is not None and self._open.reason == why:
                self._open.runs += 1
                return
            self._close(started_at)
            self._open = Outage(reason=why, start=started_at)
            self.found.append(self._open)

    @property
    def _silence(self) -> timedelta:
        return self.longest_silence[1] - self.longest_silence[0] if self.longest_silence else timedelta(0)

    def _close(self, at: datetime) -> None:
        if self._open is not None:
            self._open.end = at
            self._open = None
