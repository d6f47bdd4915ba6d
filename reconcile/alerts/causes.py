"""What is wrong: from how a run ended and who waits to the causes of alerts. Pure.

One trouble is one cause. While the LMS is away the run says so: that learners wait, and that no run
succeeds, follows from it and is not told as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

from reconcile.alerts.decision import DAY, Cause, Findings, Kind
from reconcile.alerts.groups import Group, Groups
from reconcile.domain.shop_queue import ShopQueue
from reconcile.domain.unmarked import Unmarked
from reconcile.run.summary import RunStatus
from reconcile.story.shop_texts import PAID, idle_line, paid_word, queue_counts

#: So many of the usual intervals without a successful run are silence.
SILENT_INTERVALS = 3
#: ... and never less than this: runs by hand follow each other quickly.
SHORTEST_INTERVAL = timedelta(minutes=5)
#: Fewer successful runs than this tell no usual interval.
ENOUGH_RUNS = 3

#: Scans that find nothing are suspicious after so many times the longest such stretch before,
EMPTY_FACTOR = 3
#: ... never before this,
SHORTEST_EMPTY = DAY
#: ... and only where so many scans have found something.
ENOUGH_FINDS = 5

_OF_THE_BACKLOG = frozenset(
    {
        Kind.FAILED,
        Kind.COURSE_MISSING,
        Kind.COURSE_UNPUBLISHED,
        Kind.MEMBER_MISSING_LONG,
        Kind.MEMBER_DISABLED_LONG,
    }
)
#: How many orders are named in an alert: all of a bounded list where support needs it, else examples.
_EXAMPLES = 5


@dataclass(frozen=True, kw_only=True)
class RunEnd:
    """How a run ended, or that it could not begin (`aborted`)."""

    status: RunStatus
    reason: str | None = None
    error: str = ""  #: without secrets or whole addresses
    hint: str = ""
    whole: bool = True  #: it was told to look at the whole backlog
    scanned: int = 0


@dataclass(frozen=True, kw_only=True)
class Emptiness:
    """What is known where a scan has found nothing."""

    found_at: Sequence[datetime] = ()  #: when runs found something, the oldest first
    newest_paid_at: datetime | None = None  #: the newest paid order of all; None where there is none


@dataclass(frozen=True, kw_only=True)
class Situation:
    """All that the causes follow from. None: not looked at, nothing is concluded from it."""

    at: datetime
    run: RunEnd | None = None
    groups: Groups | None = None
    successes: Sequence[datetime] | None = None  #: when the last successful runs began, the newest first
    emptiness: Emptiness | None = None
    drift: Mapping[str, int] | None = None
    queue: ShopQueue | None = None
    unmarked: Unmarked | None = None
    unmarked_lines: Sequence[str] = ()  #: which those are, as it may be shown; the oldest first


@dataclass
class _Found:
    causes: list[Cause] = field(default_factory=list)
    judged: set[Kind] = field(default_factory=set)


def find_causes(situation: Situation) -> Findings:
    """The causes that hold in this situation, and the kinds that could be judged by it."""
    found = _Found()
    _judge_run(situation, found)
    _judge_silence(situation, found)
    _judge_backlog(situation, found)
    _judge_emptiness(situation, found)
    _judge_shop(situation, found)
    if situation.drift is not None:
        found.judged.add(Kind.DRIFT)
        if count := sum(situation.drift.values()):
            what = ", ".join(f"{number} {name}" for name, number in situation.drift.items() if number)
            found.causes.append(Cause(kind=Kind.DRIFT, count=count, note=f"{what}."))
    return Findings(causes={cause.key: cause for cause in found.causes}, judged=frozenset(found.judged))


def usual_interval(successes: Sequence[datetime]) -> timedelta | None:
    """How far apart successful runs begin, as a rule; None where there are too few to tell."""
    if len(successes) < ENOUGH_RUNS:
        return None
    gaps = [abs(newer - older) for newer, older in pairwise(successes)]
    return max(timedelta(seconds=median(gap.total_seconds() for gap in gaps)), SHORTEST_INTERVAL)


def _is_aborted(run: RunEnd | None) -> bool:
    return run is not None and run.status is RunStatus.ABORTED


def _is_proof(run: RunEnd | None) -> bool:
    """Whether this run shows that runs succeed: a part of the backlog proves nothing of the whole."""
    return run is not None and run.whole and run.status is RunStatus.COMPLETED


def _judge_run(situation: Situation, found: _Found) -> None:
    run = situation.run
    if run is not None and _is_aborted(run):
        everybody = situation.groups.everybody if situation.groups is not None else Group()
        found.causes.append(
            Cause(
                kind=Kind.ABORTED,
                subject=run.reason or "unknown",
                # One trouble, however many runs it ends: an outage does not grow.
                count=1,
                amounts=everybody.amounts,
                oldest_paid_at=everybody.oldest_paid_at,
                oldest_word=everybody.oldest_word,
                note=_behind(run, everybody.count),
                remedy=run.hint,
            )
        )
    elif _is_proof(run):
        found.judged.add(Kind.ABORTED)


def _behind(run: RunEnd, waiting: int) -> str:
    who = f" Paid orders that wait for a run: {waiting}." if waiting else ""
    error = run.error.rstrip(".")
    return f"{error[:1].upper()}{error[1:]}.{who}" if error else who.strip()


def _judge_silence(situation: Situation, found: _Found) -> None:
    if _is_proof(situation.run):
        found.judged.add(Kind.SILENCE)
        return
    usual = usual_interval(situation.successes or ())
    # A run that was aborted has spoken for itself.
    if usual is None or not situation.successes or _is_aborted(situation.run):
        return
    last = situation.successes[0]
    intervals = int((situation.at - last) / usual)
    if intervals < SILENT_INTERVALS:
        found.judged.add(Kind.SILENCE)
        return
    minutes = usual.total_seconds() / 60
    found.causes.append(
        Cause(
            kind=Kind.SILENCE,
            count=1,
            note=f"The last one began {last:%Y-%m-%d %H:%M} UTC; as a rule there is one every "
            f"{minutes:.0f} minutes, so that {intervals} are missing.",
        )
    )


def _judge_backlog(situation: Situation, found: _Found) -> None:
    groups = situation.groups
    if groups is None:
        return
    if groups.complete:
        found.judged |= _OF_THE_BACKLOG
    # While runs are aborted that is why people wait.
    says_who_waits = not _is_aborted(situation.run)
    if says_who_waits and groups.complete:
        found.judged.add(Kind.OLDEST_WAITING)
    for (kind, subject), group in groups.by_cause.items():
        if kind is Kind.OLDEST_WAITING and not says_who_waits:
            continue
        found.causes.append(_cause(kind, subject, group))


def _cause(kind: Kind, subject: str, group: Group) -> Cause:
    note = ""
    if kind in (Kind.FAILED, Kind.OLDEST_WAITING):
        note = (
            f"By reason: {', '.join(f'{count} {reason}' for reason, count in group.reasons.most_common())}."
        )
    is_list = kind in (Kind.MEMBER_MISSING_LONG, Kind.MEMBER_DISABLED_LONG)
    return Cause(
        kind=kind,
        subject=subject,
        count=group.count,
        amounts=group.amounts,
        oldest_paid_at=group.oldest_paid_at,
        oldest_word=group.oldest_word,
        samples=group.samples if is_list else group.samples[:_EXAMPLES],
        note=note,
    )


def _judge_emptiness(situation: Situation, found: _Found) -> None:
    run = situation.run
    if run is None or not _is_proof(run):
        return
    if run.scanned:
        found.judged.add(Kind.SCAN_EMPTY)
        return
    if situation.emptiness is None:
        return
    found.judged.add(Kind.SCAN_EMPTY)
    if _is_suspicious(situation.emptiness, situation.at):
        last = situation.emptiness.found_at[-1]
        newest = situation.emptiness.newest_paid_at
        sales = (
            f"the newest paid order is of {newest:%Y-%m-%d}" if newest else "there is no paid order at all"
        )
        found.causes.append(
            Cause(
                kind=Kind.SCAN_EMPTY,
                note=f"The last scan that found an order was {last:%Y-%m-%d %H:%M} UTC; {sales}.",
            )
        )


def _judge_shop(situation: Situation, found: _Found) -> None:
    """What the shop has left undone: it holds whether runs succeed or not."""
    queue, unmarked = situation.queue, situation.unmarked
    if queue is not None:
        found.judged.add(Kind.SHOP_WORKER)
        if idle := idle_line(queue, situation.at):
            found.causes.append(
                Cause(
                    kind=Kind.SHOP_WORKER,
                    count=queue.overdue,
                    note=f"{idle[:1].upper()}{idle[1:]}. Its queue: {queue_counts(queue)}.",
                )
            )
    if unmarked is not None:
        found.judged.add(Kind.UNMARKED)
        if unmarked.count:
            found.causes.append(
                Cause(
                    kind=Kind.UNMARKED,
                    count=unmarked.count,
                    amounts=unmarked.amounts,
                    oldest_paid_at=unmarked.oldest_paid_at,
                    oldest_word=paid_word(unmarked.samples[0]) if unmarked.samples else PAID,
                    samples=tuple(situation.unmarked_lines[:_EXAMPLES]),
                )
            )


def _is_suspicious(emptiness: Emptiness, now: datetime) -> bool:
    """Nothing found for far longer than ever before, and no sale that the webhook could have served."""
    found_at = emptiness.found_at
    if len(found_at) < ENOUGH_FINDS:
        return False
    longest = max(later - earlier for earlier, later in pairwise(found_at))
    quiet = now - found_at[-1]
    if quiet <= max(EMPTY_FACTOR * longest, SHORTEST_EMPTY):
        return False
    # Paid after the last find and synced without us: the shop is well.
    return emptiness.newest_paid_at is None or emptiness.newest_paid_at <= found_at[-1]
