"""Leaks: times in which far more orders than usual arrived unsynced, because nobody told the LMS. Pure.

An order that reconcile sees at all is one that the storefront's webhook did not settle. Some had a cause
of their own (no account yet, a wrong course); the others were lost on the way. Lost ones trickle in at a
usual rate; a dead webhook or a dead LMS shows as a crowd of them.

A crowd is a maximal scoring segment of the instants: each order scores ln(k), each moment costs k - 1
times the usual rate of that hour. The sum is the logarithm of how much likelier these orders are at k times
the usual rate; it has to outweigh the number of places where one might have looked. A crowd that falls
apart into clearly separate ones is told as those.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log

from reconcile.domain.model import Reason

#: Reasons at first sight with which the webhook could not have succeeded either.
OWN_CAUSE = frozenset(
    {
        Reason.MEMBER_MISSING,
        Reason.MEMBER_DISABLED,
        Reason.COURSE_MISSING,
        Reason.COURSE_UNPUBLISHED,
        Reason.INVALID_EMAIL,
        Reason.INVALID_COURSE,
        Reason.MALFORMED,
        Reason.PLACEHOLDER_EMAIL,
        Reason.LMS_REJECTED,
        Reason.NOT_PAID,
    }
)

DAY = 86400.0
HOUR = 3600.0
#: What is no crowd: fewer than this may fall together by chance.
FEWEST = 5
#: Five times as often as usual is what a segment is tested against.
_TIMES = 5.0
_GAIN = log(_TIMES)
#: No hour's usual rate is known to be below one order a day.
_LOWEST_RATE = 1 / DAY
#: How often chance alone may make a leak: once in so many reports.
_CONFIDENCE = 100.0
#: A gap that the crowd's own pace makes less likely than this parts it in two.
_UNLIKELY = 0.001


@dataclass(frozen=True, kw_only=True)
class Leak:
    """`orders` were lost between `start` and `end` (seconds since 1970, both of them lost orders)."""

    start: float
    end: float
    orders: int
    usual: float  #: how many are lost in such a time as a rule


def was_lost(reason: str | None) -> bool:
    """Whether an order whose first verdict had this reason was lost on the way to the LMS."""
    return reason not in OWN_CAUSE


class Usual:
    """How many orders are lost as a rule, by the hour of the day (UTC): shops sleep at night."""

    def __init__(self, instants: Sequence[float]) -> None:
        rates = [max(rate, _LOWEST_RATE) for rate in _hourly_rates(instants)]
        self._until = [0.0]
        for rate in rates:
            self._until.append(self._until[-1] + rate * HOUR)
        self._rates = rates

    def between(self, start: float, end: float) -> float:
        """The number to be expected from `start` to `end`."""
        # Two large numbers: what lies between equal ones may come out a little below nothing.
        return max(self._since_1970(end) - self._since_1970(start), 0.0)

    def _since_1970(self, instant: float) -> float:
        days, rest = divmod(instant, DAY)
        hour = min(int(rest // HOUR), 23)
        return days * self._until[24] + self._until[hour] + self._rates[hour] * (rest - hour * HOUR)


def find_leaks(instants: Sequence[float]) -> list[Leak]:
    """The leaks among lost orders, the earliest first. `instants`: when they were paid, ascending."""
    usual = Usual(instants)
    enough = log(_CONFIDENCE * max(len(instants), 1))
    leaks = []
    for begin, end in _crowds(instants, usual):
        for first, last in _parts(instants, begin, end):
            orders = last - first + 1
            expected = usual.between(instants[first], instants[last])
            if orders >= FEWEST and _GAIN * orders - (_TIMES - 1) * expected >= enough:
                leaks.append(Leak(start=instants[first], end=instants[last], orders=orders, usual=expected))
    return leaks


def _hourly_rates(instants: Sequence[float]) -> list[float]:
    """Orders per second for each hour of the day, without the worst tenth of the days, over three hours."""
    if not instants:
        return [0.0] * 24
    first_day = int(instants[0] // DAY)
    days = int(instants[-1] // DAY) - first_day + 1
    counts = [array("L", bytes(array("L").itemsize * days)) for _ in range(24)]
    for instant in instants:
        day, rest = divmod(instant, DAY)
        counts[min(int(rest // HOUR), 23)][int(day) - first_day] += 1
    kept = days - max(days // 10, 1)
    means = [sum(sorted(of_hour)[:kept]) / kept if kept else 0.0 for of_hour in counts]
    return [(means[hour - 1] + means[hour] + means[(hour + 1) % 24]) / 3 / HOUR for hour in range(24)]


def _crowds(instants: Sequence[float], usual: Usual) -> Iterator[tuple[int, int]]:
    """First and last index of each scoring segment; it is over where its score has fallen to nothing."""
    begin, score, best, peak = 0, 0.0, 0.0, -1
    for index, instant in enumerate(instants):
        if peak >= 0:
            score -= (_TIMES - 1) * usual.between(instants[index - 1], instant)
            if score <= 0:
                yield begin, peak
                score, best, peak = 0.0, 0.0, -1
        if peak < 0:
            begin = index
        score += _GAIN
        if score >= best:
            best, peak = score, index
    if peak >= 0:
        yield begin, peak


def _parts(instants: Sequence[float], begin: int, end: int) -> Iterator[tuple[int, int]]:
    """The crowd, parted at each gap that is too wide for its own pace."""
    gaps = sorted(instants[index + 1] - instants[index] for index in range(begin, end))
    # The median: the wide gaps themselves must not set the pace. Half of all gaps are below it.
    pace = gaps[len(gaps) // 2] / log(2) if gaps else 0.0
    widest = pace * log((end - begin + 1) / _UNLIKELY) if pace > 0 else float("inf")
    first = begin
    for index in range(begin, end):
        if instants[index + 1] - instants[index] > widest:
            yield first, index
            first = index + 1
    yield first, end
