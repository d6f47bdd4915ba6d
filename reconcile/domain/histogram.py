"""How values are spread over fixed bounds: constant memory however many there are. Pure."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Histogram:
    """Counts between ascending `bounds`, each bound included below, and one count for what is beyond."""

    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0  #: the sum of all values

    def __post_init__(self) -> None:
        self.counts = list(self.counts) or [0] * (len(self.bounds) + 1)

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self.counts)

    def observe(self, value: float) -> None:
        """Count one value; a negative one (a clock was set back) as 0."""
        value = max(value, 0.0)
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def add(self, other: Histogram) -> None:
        """Count what `other` has counted. Raises ValueError where its bounds are others."""
        if other.bounds != self.bounds:
            raise ValueError("histograms with different bounds cannot be added")
        self.counts = [ours + theirs for ours, theirs in zip(self.counts, other.counts, strict=True)]
        self.total += other.total

    def cumulative(self) -> Iterator[tuple[float, int]]:
        """Each bound, infinity last, with how many values are at most so large."""
        so_far = 0
        for bound, count in zip((*self.bounds, math.inf), self.counts, strict=True):
            so_far += count
            yield bound, so_far
