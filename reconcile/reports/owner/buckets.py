"""Equal steps of time for a chart: as fine as sixty bars allow. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

#: More bars than this are a hedge.
MOST = 60
_STEPS = (
    ("hour", timedelta(hours=1)),
    ("six hours", timedelta(hours=6)),
    ("day", timedelta(days=1)),
    ("week", timedelta(weeks=1)),
    ("four weeks", timedelta(weeks=4)),
    ("half a year", timedelta(weeks=26)),
)
_MONDAY = datetime(1970, 1, 5, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Buckets:
    """Steps from `start` on; instants after the last step's end belong to the last."""

    step: timedelta
    step_is: str  #: in words
    start: datetime
    count: int

    def place(self, instant: datetime) -> int:
        """Into which step an instant falls."""
        return min(max((instant - self.start) // self.step, 0), self.count - 1)

    def labels(self) -> Sequence[str]:
        """The steps' beginnings; the day says enough where a step is no shorter."""
        shape = "%Y-%m-%d" if self.step >= timedelta(days=1) else "%m-%d %H:%M"
        return [f"{self.start + number * self.step:{shape}}" for number in range(self.count)]

    def counts(self, instants: Sequence[datetime]) -> list[int]:
        """How many instants fall into each step."""
        found = [0] * self.count
        for instant in instants:
            found[self.place(instant)] += 1
        return found


def buckets(first: datetime, last: datetime, *, finest: timedelta = timedelta(hours=1)) -> Buckets:
    """The finest steps, from `finest` on, that cover both instants with at most `MOST` bars.

    Steps begin at full hours, days, or on Mondays (UTC).
    """
    for name, step in _STEPS:
        start = _MONDAY + (first - _MONDAY) // step * step
        count = (last - start) // step + 1
        if step >= finest and (count <= MOST or step == _STEPS[-1][1]):
            break
    return Buckets(step=step, step_is=name, start=start, count=max(count, 1))
