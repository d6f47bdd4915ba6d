"""How many writes may be in flight: found out by the LMS's answers, politely. Pure: no clock, no randomness.

Of the family of TCP Vegas (Brakmo, O'Malley, Peterson: "TCP Vegas: New techniques for congestion detection
and avoidance", SIGCOMM 1994), which Netflix's concurrency-limits brought to requests (VegasLimit and, by the
same ratio, Gradient2Limit): an answer that takes longer than one of a server that is not pressed has waited
in its queue, and

    queued = limit * (1 - seconds when not pressed / seconds now)

tells how many of ours wait there. Those keep a few queued, to lose no throughput; here learners stand in the
same queue, so the limit is to stay just below where it begins, and to go beyond seldom. What an answer takes
when the server is not pressed is looked at anew now and then, at half the limit, as BBR does (Cardwell and
others: "BBR: Congestion-based congestion control", ACM Queue 14-5, 2016): it may be slower for everybody now.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

LOWEST, HIGHEST = 1, 32
_FIRST = 4

#: Answers that one judgement takes, at least, and for each in flight; it is put off until twice, four and
#: eight times as many are there: through little noise one sees soon, through much of it later.
_FEWEST, _EACH, _PATIENCE = 16, 2, 8
#: How many of ours may wait at the server.
_QUEUED = 0.35
#: Below the limit that was too high, at least: others come in bursts.
_MARGIN = 0.1
#: Standard errors beyond which a difference is not chance.
_SURE = 2.5
#: Judgements' worth of answers without growth after a retreat, twice as many after the next, and the most:
#: going too far hurts others for a moment, so it must be seldom.
_REST, _LONGEST_REST = 60, 240
#: Steps up without a retreat after which things are taken to have changed.
_STEPS = 4
#: Judgements' worth of answers after which the unpressed server is looked at anew; how exactly (error of the
#: mean, as part of it), with how many answers at most, and how much the newest look counts.
_ANEW, _EXACT, _MOST, _NEWEST = 100, 0.02, 64, 0.5


class Limiter:
    """The limit and what it follows from. For one thread at a time."""

    def __init__(self, fixed: int | None) -> None:
        """A number stays that number; None begins at 4 and finds out, from 1 to 32."""
        if fixed is not None and fixed < LOWEST:
            raise ValueError("at least one must be in flight")
        self._fixed = fixed
        self._limit = _FIRST
        self._sample = _Sample()
        self._next = _FEWEST  #: answers in the sample at which it is judged
        self._idle: _Sample | None = None  #: of the unpressed server
        self._looking = False  #: at the unpressed server
        self._since = 0  #: answers since it was looked at
        self._rest = 0  #: answers until it may grow again
        self._next_rest = _REST
        self._steps = 0  #: up, since the last retreat
        self._late = 0  #: answers to come to what was in flight before the last drop

    @property
    def limit(self) -> int:
        """So many in flight at most; may change with each observation."""
        if self._fixed is not None:
            return self._fixed
        return self._half if self._looking else self._limit

    def observed(self, seconds: float, *, in_flight: int, dropped: bool) -> None:
        """An answer came after so long, `in_flight` with it when it was sent, itself included.

        `dropped`: it was a 429, a 503, or none within the time-out; `seconds` is of no interest then.
        Requests should be alike: of batches, seconds for each enrollment in them.
        """
        if self._fixed is not None:
            return
        self._late = max(0, self._late - 1)
        self._rest = max(0, self._rest - 1)
        if dropped:
            self._retreat_from_drop()
        elif self._tells(in_flight):
            self._since += 1
            self._sample.add(seconds)
            if self._looking:
                self._look()
            elif self._sample.count >= self._next:
                self._judge()

    @property
    def _half(self) -> int:
        return max(LOWEST, self._limit // 2)

    def _tells(self, in_flight: int) -> bool:
        """Whether it was sent while as many as may be were in flight: fewer prove nothing, more are old."""
        if self._looking:
            return in_flight <= self.limit
        return self.limit - 1 <= in_flight <= self.limit

    def _look(self) -> None:
        """See how long an unpressed server takes."""
        sample = self._sample
        exact = sample.error <= _EXACT * sample.mean
        if sample.count >= _MOST or (exact and sample.count >= _FEWEST):
            self._idle = sample if self._idle is None else self._idle.renewed_by(sample)
            self._since = 0
            self._begin()

    def _judge(self) -> None:
        if self._idle is None or self._since >= _ANEW * self._worth:
            self._begin(looking=True)
            return
        sample, idle = self._sample, self._idle
        slower = sample.mean - idle.mean
        queued = self._limit * slower / sample.mean if slower > 0 else 0.0
        if queued >= _QUEUED and slower > _SURE * math.hypot(sample.error, idle.error):
            self._retreat(self._limit - max(round(queued), math.ceil(_MARGIN * self._limit)))
        elif queued < _QUEUED and not self._rest:
            self._grow()
        elif sample.count < _PATIENCE * self._worth:
            self._next *= 2
        else:
            self._begin()

    @property
    def _worth(self) -> int:
        """Answers that one judgement takes."""
        return max(_FEWEST, _EACH * self._limit)

    def _begin(self, *, looking: bool = False) -> None:
        self._looking = looking
        self._sample, self._next = _Sample(), self._worth

    def _grow(self) -> None:
        self._limit = min(HIGHEST, self._limit + 1)
        self._steps += 1
        if self._steps >= _STEPS:
            self._next_rest = _REST
        self._begin()

    def _retreat(self, limit: int) -> None:
        self._limit = max(LOWEST, limit)
        self._rest = self._next_rest * self._worth
        self._next_rest = min(_LONGEST_REST, 2 * self._next_rest)
        self._steps = 0
        # Whether it went too far, or the LMS has become slower for everybody, shows when it is not pressed.
        self._begin(looking=True)

    def _retreat_from_drop(self) -> None:
        """Half of it, once for all that were in flight together."""
        if not self._late:
            self._late = self._limit
            self._retreat(self._half)


@dataclass
class _Sample:
    """Seconds of some answers: their number, mean, and squares about the mean (Welford)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, seconds: float) -> None:
        self.count += 1
        off = seconds - self.mean
        self.mean += off / self.count
        self.squares += off * (seconds - self.mean)

    @property
    def error(self) -> float:
        """Of the mean."""
        return math.sqrt(self.squares / max(1, self.count - 1) / self.count)

    def renewed_by(self, newer: _Sample) -> _Sample:
        mean = self.mean + _NEWEST * (newer.mean - self.mean)
        return _Sample(count=newer.count, mean=mean, squares=newer.squares)
