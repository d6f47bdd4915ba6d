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
        """The steps' beginnings, as short as tells them apart."""
        shapes = ((timedelta(weeks=26), "%b %Y"), (timedelta(days=1), "%d %b"), (timedelta(0), "%d %b %H:%M"))
        shape = next(shape for least, shape in shapes if self.step >= least)
        return [f"{self.start + number * self.step:{shape}}" for number in range(self.count)]

    def begin(self, place: int) -> str:
        """A step's beginning in a sentence."""
        shape = "%Y-%m-%d" if self.step >= timedelta(days=1) else "%Y-%m-%d %H:%M"
        return f"{self.start + place * self.step:{shape}}"


def buckets(first: datetime, last: datetime, *, finest: timedelta = timedelta(hours=1)) -> Buckets:
    """The finest steps, from `finest` on, that cover both instants with at most `MOST` bars.

    Steps begin at full hours, days, or on Mondays (UTC).
    """
    fitting = [_cut(first, last, name, step) for name, step in _STEPS if step >= finest]
    return next((one for one in fitting if one.count <= MOST), fitting[-1])


def _cut(first: datetime, last: datetime, name: str, step: timedelta) -> Buckets:
    start = _MONDAY + (first - _MONDAY) // step * step
    return Buckets(step=step, step_is=name, start=start, count=max((last - start) // step + 1, 1))
