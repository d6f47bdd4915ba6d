"""The daily digest: what happened since the last one and what is left, in a few lines for people. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from reconcile.domain.messages import SENTENCES
from reconcile.domain.model import Outcome, Reason
from reconcile.domain.shop_queue import ShopQueue
from reconcile.domain.unmarked import Unmarked
from reconcile.reports.words import counted
from reconcile.story.backlog import Backlog
from reconcile.story.shop_texts import UNMARKED_REMEDY, idle_line, minute, queue_line, unmarked_line

_SATURDAY = 5


@dataclass(frozen=True, kw_only=True)
class Past:
    """What the audit says of a period: enrollments by outcome, runs by how they ended."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    runs: Counter[str] = field(default_factory=Counter)  #: by status
    aborted: Counter[str] = field(default_factory=Counter)  #: by reason
    last_completed: datetime | None = None  #: whenever it was, in the period or before

    @property
    def given_access(self) -> int:
        """Learners whose access was made or confirmed in the period."""
        return sum(count for outcome, count in self.outcomes.items() if outcome.has_access)


@dataclass(kw_only=True)
class Digest:
    """All that the digest tells. `since` and `until` are aware, in the zone that people read."""

    since: datetime
    until: datetime
    past: Past = field(default_factory=Past)
    backlog: Backlog = field(default_factory=Backlog)
    #: By reason, as the audit last saw the orders of the backlog.
    failed: Counter[Reason | None] = field(default_factory=Counter)
    waiting: Counter[Reason | None] = field(default_factory=Counter)
    unmarked: Unmarked = field(default_factory=Unmarked)
    queue: ShopQueue = field(default_factory=ShopQueue)
    #: Why the backlog could not be counted, where it could not.
    unknown: str | None = None

    @property
    def title(self) -> str:
        """One line, for a subject."""
        given = f"{counted(self.past.given_access, 'learner')} got access"
        if self.unknown is not None:
            return f"reconcile: the backlog could not be counted; {given}"
        if self.failed:
            return (
                f"reconcile: {_orders(self.failed.total())} need{_s(self.failed.total())} a person; {given}"
            )
        if self.unmarked.count:
            are = "order is" if self.unmarked.count == 1 else "orders are"
            return f"reconcile: {self.unmarked.count:,} {are} paid and never marked; {given}"
        if self.backlog.unsynced:
            return f"reconcile: {_orders(self.backlog.unsynced)} without confirmed access; {given}"
        return f"reconcile: every paid order has its access; {given}"

    @property
    def body(self) -> str:
        """The text, plain; no e-mail address is in it."""
        return "\n".join([*self._since(), "", *self._now(), *self._people()]) + "\n"

    def _since(self) -> Iterator[str]:
        past = self.past
        yield f"Since {self.since:%A %d %B %H:%M} ({self.since:%Z})"
        kinds = [
            (Outcome.ENROLLED, "enrolled"),
            (Outcome.ALREADY_ENROLLED, "had it already"),
            (Outcome.RECOVERED, "recovered"),
        ]
        how = _list(f"{past.outcomes[outcome]} {word}" for outcome, word in kinds if past.outcomes[outcome])
        yield f"  {counted(past.given_access, 'learner')} got access" + (f": {how}" if how else "")
        if past.outcomes[Outcome.FAILED]:
            yield f"  {_orders(past.outcomes[Outcome.FAILED])} failed"
        yield f"  {counted(past.runs.total(), 'run')}" + (f": {_counts(past.runs)}" if past.runs else "")
        for reason, count in past.aborted.most_common():
            yield f"  {counted(count, 'run')} aborted by {reason}"
        if not past.runs["completed"]:
            last = past.last_completed
            yield "  No run was completed" + (f" since {last:%Y-%m-%d %H:%M} UTC." if last else " ever.")

    def _now(self) -> Iterator[str]:
        yield "Now"
        if self.unknown is not None:
            yield f"  The backlog could not be counted: {self.unknown}"
            return
        yield from self._backlog()
        yield from self._shop()

    def _backlog(self) -> Iterator[str]:
        backlog = self.backlog
        if not backlog.unsynced:
            yield "  Every paid order is synced."
            return
        yield f"  {_orders(backlog.unsynced)} without confirmed access: {_counts(backlog.statuses())}"
        money = _list(f"{amount:,.2f} {name.upper()}" for name, amount in backlog.amounts.items())
        yield f"  Money paid without access: {money or 'none'}"
        if backlog.oldest_paid_at is not None:
            age = age_text(self.until - backlog.oldest_paid_at)
            yield (
                f"  Longest wait: {age}, {backlog.oldest_word} "
                f"{minute(backlog.oldest_paid_at.astimezone(UTC))} ({backlog.oldest_id})"
            )

    def _shop(self) -> Iterator[str]:
        """What the shop itself has left undone."""
        queue = queue_line(self.queue) if self.queue.open else ""
        told = (unmarked_line(self.unmarked), queue, idle_line(self.queue, self.until))
        yield from (f"  {line[:1].upper()}{line[1:]}." for line in told if line)

    def _people(self) -> Iterator[str]:
        for heading, reasons in (
            ("Needs a person", self.failed),
            ("Waits for something outside", self.waiting),
        ):
            if reasons:
                yield ""
                yield f"{heading}: {_orders(reasons.total())}"
            for reason, count in reasons.most_common():
                known = f"{reason.value}: {SENTENCES[reason]}" if reason is not None else "no reason recorded"
                yield f"  {count} x {known}"
        if self.unmarked.count:
            yield ""
            yield f"Paid and never marked: {UNMARKED_REMEDY}"
            yield "Next: reconcile diagnose"
        if self.failed:
            yield ""
            yield "Next: reconcile report --view enrollments --outcome failed"


def last_working_day(now: datetime) -> datetime:
    """The same time of the day, one working day earlier: on a Monday that is Friday. `now` is aware."""
    before = now - timedelta(days=1)
    while before.weekday() >= _SATURDAY:
        before -= timedelta(days=1)
    return before


def age_text(age: timedelta) -> str:
    """How long, in the largest unit of which there are at least two."""
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if age.total_seconds() >= 2 * size:
            return f"{age.total_seconds() / size:.0f} {unit}"
    return f"{max(age.total_seconds(), 0):.0f} seconds"


def _list(parts: Iterator[str]) -> str:
    return ", ".join(parts)


def _counts(counts: dict[str, int]) -> str:
    return _list(f"{count} {name}" for name, count in counts.items() if count)


def _orders(count: int) -> str:
    return counted(count, "paid order")


def _s(count: int) -> str:
    """The ending of a verb."""
    return "s" if count == 1 else ""
