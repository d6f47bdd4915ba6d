"""When to speak: from what is wrong now and what was told before to what is told now. Pure.

One alert per cause, never per learner. A cause is told when it appears, again when its count has grown
tenfold or a day has passed, and once more when it is gone:

                      told: raised                  told: cleared
    (unknown) ───────────────────────► told ───────────────────────────► cleared ──► forgotten, a day later
                    told: grown, or     │  ▲   gone for as long as `calm`     │
                    reminder after a day└──┘                                  │ back within a day
                                          ▲────────────── told: again ────────┘

The first all-clear comes at once. A cause that comes back within a day has to stay away longer each
time before it is called gone again (10, 20, 40 minutes …): what flaps is told a few times, not all day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

DAY = timedelta(days=1)
#: A cause is told again before the day is over when it counts so many times what was last told.
TENFOLD = 10
#: How long a cause that has come back must stay away before it is called gone; doubles with each time.
FIRST_CALM = timedelta(minutes=10)


class Kind(StrEnum):
    """The kinds of causes, the first word of a cause's key. A closed list, told in docs/operations.md."""

    ABORTED = "aborted"
    SILENCE = "silence"
    OLDEST_WAITING = "oldest_waiting"
    FAILED = "failed"
    COURSE_MISSING = "course_missing"
    COURSE_UNPUBLISHED = "course_unpublished"
    MEMBER_MISSING_LONG = "member_missing_long"
    MEMBER_DISABLED_LONG = "member_disabled_long"
    DRIFT = "drift"
    SCAN_EMPTY = "scan_empty"
    SHOP_WORKER = "shop_worker"
    UNMARKED = "unmarked"


@dataclass(frozen=True, kw_only=True)
class Cause:
    """One thing that is wrong now, however many learners it holds up."""

    kind: Kind
    subject: str = ""  #: the course, the reason; with `kind` what makes the cause this one
    count: int = 1  #: what "tenfold" is about
    amounts: tuple[tuple[str, Decimal], ...] = ()  #: money paid without access, by currency, major units
    oldest_paid_at: datetime | None = None
    oldest_word: str = "paid"  #: what that instant is: `paid`, or `ordered` where no payment is told
    samples: tuple[str, ...] = ()  #: lines for support, e-mail addresses masked
    note: str = ""  #: what else is known, in one sentence
    remedy: str = ""  #: what to do, where the kind alone does not tell

    @property
    def key(self) -> str:
        """The cause's name in the audit database."""
        return f"{self.kind.value}:{self.subject}" if self.subject else self.kind.value


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What is wrong, by key; and which kinds could be judged: only of those, absence means gone."""

    causes: Mapping[str, Cause] = field(default_factory=dict)
    judged: frozenset[Kind] = frozenset()

    def says_gone(self, key: str) -> bool:
        """True where the cause of that key was looked for and is not there."""
        return key not in self.causes and key.partition(":")[0] in self.judged


@dataclass(frozen=True, kw_only=True)
class AlertState:
    """What is remembered of one cause."""

    first_seen_at: datetime  #: since when it lasts, this time
    told_at: datetime | None = None  #: None: nobody has been told yet (it could not be sent)
    told_count: int = 0
    gone_since: datetime | None = None  #: it was not there any more; not told yet, it may come back
    cleared_at: datetime | None = None  #: the all-clear was told
    relapses: int = 0  #: how often it has come back, each time within a day of the all-clear


class News(StrEnum):
    """Why something is told now."""

    RAISED = "raised"
    AGAIN = "again"
    GROWN = "grown"
    REMINDER = "reminder"
    CLEARED = "cleared"


@dataclass(frozen=True, kw_only=True)
class Step:
    """What becomes of one cause: its state before and after, and what is told with it, if anything.

    `after` holds only once the news was sent. None: it is forgotten.
    """

    key: str
    before: AlertState | None
    after: AlertState | None
    news: News | None = None
    cause: Cause | None = None  #: None where it is gone


def decide_alerts(findings: Findings, memory: Mapping[str, AlertState], now: datetime) -> list[Step]:
    """The steps to take, in the order of the keys; none for what stays as it is."""
    steps = []
    for key in sorted(findings.causes.keys() | memory.keys()):
        before, cause = memory.get(key), findings.causes.get(key)
        if cause is not None:
            step = _there(key, cause, before, now)
        elif before is not None and findings.says_gone(key):
            step = _gone(key, before, now)
        else:
            continue
        if step.news is not None or step.after != before:
            steps.append(step)
    return steps


def calm(relapses: int) -> timedelta:
    """How long a cause must have been away before it is called gone."""
    if relapses == 0:
        return timedelta(0)
    return min(FIRST_CALM * (1 << min(relapses - 1, 16)), DAY)


def _there(key: str, cause: Cause, before: AlertState | None, now: datetime) -> Step:
    if before is None or before.told_at is None:
        since = before.first_seen_at if before is not None else now
        after = AlertState(first_seen_at=since, told_at=now, told_count=cause.count)
        return Step(key=key, before=before, after=after, news=News.RAISED, cause=cause)
    if before.cleared_at is not None:
        is_relapse = now - before.cleared_at < DAY
        after = AlertState(
            first_seen_at=now,
            told_at=now,
            told_count=cause.count,
            relapses=before.relapses + 1 if is_relapse else 0,
        )
        news = News.AGAIN if is_relapse else News.RAISED
        return Step(key=key, before=before, after=after, news=news, cause=cause)
    if cause.count >= TENFOLD * max(before.told_count, 1):
        worse = News.GROWN
    elif now - before.told_at >= DAY:
        worse = News.REMINDER
    else:
        return Step(key=key, before=before, after=replace(before, gone_since=None), cause=cause)
    after = replace(before, told_at=now, told_count=cause.count, gone_since=None)
    return Step(key=key, before=before, after=after, news=worse, cause=cause)


def _gone(key: str, before: AlertState, now: datetime) -> Step:
    if before.told_at is None:
        # Nobody knew of it: nobody needs an all-clear.
        return Step(key=key, before=before, after=None)
    if before.cleared_at is not None:
        is_over = now - before.cleared_at >= DAY
        return Step(key=key, before=before, after=None if is_over else before)
    since = before.gone_since or now
    if now - since < calm(before.relapses):
        return Step(key=key, before=before, after=replace(before, gone_since=since))
    after = replace(before, gone_since=None, cleared_at=now)
    return Step(key=key, before=before, after=after, news=News.CLEARED)
