"""Who waits for what: a fold over the unsynced orders into groups with one cause each. Pure.

An order belongs to one group at most: one alert per cause, and each learner in one of them.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from reconcile.alerts.decision import DAY, Kind
from reconcile.domain.model import AnyEnrollment, History, MalformedEnrollment, Outcome, Reason
from reconcile.domain.money import Money
from reconcile.story.shop_texts import PAID, paid_word

#: So many orders of a group are named, the oldest first: a list for support, of bounded length.
MOST_SAMPLES = 20

_COURSES = {
    Reason.COURSE_MISSING: Kind.COURSE_MISSING,
    Reason.COURSE_UNPUBLISHED: Kind.COURSE_UNPUBLISHED,
}
_MEMBERS = {
    Reason.MEMBER_MISSING: Kind.MEMBER_MISSING_LONG,
    Reason.MEMBER_DISABLED: Kind.MEMBER_DISABLED_LONG,
}
_LONG_AGO = datetime.min.replace(tzinfo=UTC)

GroupKey = tuple[Kind, str]
#: An order as it may be shown.
Line = Callable[[AnyEnrollment], str]


def group_of(
    item: AnyEnrollment, history: History, *, now: datetime, alert_age: timedelta
) -> GroupKey | None:
    """Which cause holds this order up, by its last verdict and its age; None: nothing worth an alert."""
    # An order that does not tell when it was paid counts as old: somebody should look at it.
    age = now - (item.paid_at or _LONG_AGO)
    reason = history.last_reason
    if history.ignored_until is not None and history.ignored_until > now:
        return None  # a person knows of it
    if isinstance(item, MalformedEnrollment):
        # Its course may be any text: never part of a name.
        return Kind.FAILED, item.reason.value
    if history.last_outcome is Outcome.WAITING and reason in _COURSES:
        return _COURSES[reason], item.course
    if history.last_outcome is Outcome.WAITING and reason in _MEMBERS:
        return (_MEMBERS[reason], "") if age >= DAY else None
    if history.last_outcome is Outcome.FAILED:
        return Kind.FAILED, f"course:{item.course}"
    return (Kind.OLDEST_WAITING, "") if age >= alert_age else None


@dataclass(kw_only=True)
class Group:
    """The orders with one cause: how many, how much money, since when, which for example."""

    count: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    oldest_paid_at: datetime | None = None
    oldest_word: str = PAID  #: `paid`, or `ordered` where that order tells no payment
    money: Money[str] = field(default_factory=Money)
    _samples: list[tuple[datetime, str, str]] = field(default_factory=list)

    def add(self, item: AnyEnrollment, reason: Reason | None, line: Line) -> None:
        """Count one order; `line` makes of it what may be shown, where it is to be named."""
        self.count += 1
        self.reasons[reason.value if reason is not None else "no verdict yet"] += 1
        self.money.add(item.amount, item.currency)
        paid = item.paid_at
        if paid is not None and (self.oldest_paid_at is None or paid < self.oldest_paid_at):
            self.oldest_paid_at, self.oldest_word = paid, paid_word(item)
        place = (paid or _LONG_AGO, item.id)
        if len(self._samples) < MOST_SAMPLES or place < self._samples[-1][:2]:
            insort(self._samples, (*place, line(item)))
            del self._samples[MOST_SAMPLES:]

    @property
    def amounts(self) -> tuple[tuple[str, Decimal], ...]:
        """Money by currency, in major units."""
        return tuple(self.money.amounts.items())

    @property
    def samples(self) -> tuple[str, ...]:
        """The oldest orders, one line each."""
        return tuple(line for _, _, line in self._samples)


@dataclass(kw_only=True)
class Groups:
    """All unsynced orders and, of those with a cause, each cause's group."""

    now: datetime
    alert_age: timedelta
    everybody: Group = field(default_factory=Group)
    by_cause: dict[GroupKey, Group] = field(default_factory=dict)
    complete: bool = False  #: False: there was no time to look at all of them

    def add(self, item: AnyEnrollment, history: History, line: Line) -> None:
        """Count one unsynced order; `line` makes of it what may be shown, where it is to be named."""
        self.everybody.add(item, history.last_reason, line)
        key = group_of(item, history, now=self.now, alert_age=self.alert_age)
        if key is not None:
            self.by_cause.setdefault(key, Group()).add(item, history.last_reason, line)
