"""What became of each try, whose fault a failure was, and when a learner's task is over.

Whose fault a failed write was is known only over the run (`Breaker`), so such a write's row gets its end when
it is, and its order gets its verdict then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from reconcile.base import log
from reconcile.base.errors import RateLimited, ServiceUnavailable
from reconcile.domain.model import Outcome, Reason, Verdict
from reconcile.run.answers import excuse, give_up_if_used_up
from reconcile.run.breaker import Breaker, may_be_excused
from reconcile.run.checking import log_context
from reconcile.run.options import Halt, Ports, RunOptions
from reconcile.run.pacing import LONGEST_PAUSE, Pacer
from reconcile.run.page import Attempt, Task, Told, Try
from reconcile.run.ports import End
from reconcile.run.routing import had_failed

_log = log.get_logger(__name__)


@dataclass(kw_only=True)
class _Case:
    """One learner's tries so far."""

    task: Task
    under_way: bool = False  #: another try follows
    undecided: int = 0  #: failed tries whose fault that was is open
    counted: bool = False  #: this visit is used up: one of its tries was the enrollment's own to blame
    verdict: Verdict | None = None  #: by the newest try that has its end
    at: datetime | None = None
    left_alone: Verdict | None = None
    in_doubt: bool = False
    parked: bool = False
    write: _Write | None = None  #: the first try, to be announced before the second


@dataclass(kw_only=True)
class _Write:
    """A write that was made and whose row still waits for its end."""

    case: _Case
    attempt: Attempt
    again: bool  #: a second try follows
    announced: bool = False  #: the log has told of its failure


@dataclass(frozen=True, kw_only=True)
class SecondTry:
    """A task whose write may be made once more, not before `due` (monotonic seconds)."""

    task: Task
    due: float


class Onward(Protocol):
    """Where tries go from here."""

    def tell(self, told: Sequence[Told]) -> None:
        """To be recorded and told."""
        ...

    def again(self, seconds: Sequence[SecondTry]) -> None:
        """To be tried once more."""
        ...


class Judging:
    """Judges the tries of one run, one after the other."""

    def __init__(
        self, onward: Onward, *, ports: Ports, options: RunOptions, run_id: str, halt: Halt, pacer: Pacer
    ) -> None:
        self._onward = onward
        self._ports = ports
        self._options = options
        self._run_id = run_id
        self._halt = halt
        self._pacer = pacer
        self._breaker: Breaker[_Write] = Breaker()
        self._cases: dict[int, _Case] = {}
        #: Learners of whom nothing is under way, whose failure's blame is open: they wait for nothing else.
        self.parked = 0
        #: Orders that said `failed`, given up on by the storefront or by an earlier count, and are tried now.
        self.came_back = 0

    def judge(self, tries: Sequence[Try]) -> None:
        """Account for these."""
        for each in tries:
            case = self._cases.setdefault(id(each.task), _Case(task=each.task))
            case.under_way = False
            case.in_doubt = case.in_doubt or each.in_doubt
            if each.end is not None:
                self._onward.tell([Told(entry=each.task.entry, at=each.end.at, ends=(each.end,))])
            if each.attempt is None:
                case.left_alone = each.left_alone
                self._close(case)
            else:
                self._take(case, each.attempt)

    def announce(self, task: Task) -> None:
        """Whoever is to blame: the log tells the first failure before the second try."""
        case = self._cases.get(id(task))
        if case is not None and case.write is not None:
            self._announce(case.write)

    def rest(self) -> None:
        """Nothing comes any more: what is undecided was the orders' own, unless the run was cut short."""
        for write in self._breaker.drain():
            self._decide(write, blame_lms=self._halt.is_set)

    def _take(self, case: _Case, attempt: Attempt) -> None:
        task, conclusion = case.task, attempt.conclusion
        task.tried += 1
        self.came_back += task.tried == 1 and had_failed(task.entry)
        write = _Write(case=case, attempt=attempt, again=conclusion.again and task.tried < 2)
        if conclusion.verdict.reason is Reason.RATE_LIMITED:
            self._pacer.pause(min(attempt.retry_after or self._options.retry_delay, LONGEST_PAUSE))
        case.undecided += 1
        case.under_way = write.again
        if not conclusion.fault:
            for earlier in self._breaker.passed():
                self._decide(earlier, blame_lms=False)
            self._decide(write, blame_lms=False)
        elif self._breaker.fault(attempt.request, write):
            case.under_way = False
            self._trip(conclusion.verdict)
        else:
            case.write = write
        if case.under_way and not self._halt.is_set:
            due = self._ports.clock.monotonic() + self._options.retry_delay
            self._onward.again([SecondTry(task=task, due=due)])
        else:
            case.under_way = False
            self._close(case)

    def _trip(self, last: Verdict) -> None:
        what = f"{self._breaker.threshold} enrollments in a row failed by the LMS's own fault"
        hint = "Nothing was marked as failed and no attempt was used up; the next run tries again."
        limited = last.reason is Reason.RATE_LIMITED
        self._halt.fail((RateLimited if limited else ServiceUnavailable)(what, hint=hint))
        for write in self._breaker.drain():
            self._decide(write, blame_lms=may_be_excused(write.case.task.entry.history))

    def _decide(self, write: _Write, *, blame_lms: bool) -> None:
        """Give one write's row its end and its order the verdict so far."""
        case, attempt = write.case, write.attempt
        entry = case.task.entry
        verdict = attempt.conclusion.verdict
        verdict = replace(verdict, flags=verdict.flags | entry.flags)
        if blame_lms:
            verdict = excuse(verdict)
        else:
            self._announce(write)
        if not write.again:
            # Before its second try nobody is given up on.
            verdict = give_up_if_used_up(
                verdict, visits_before=entry.history.visits, policy=self._options.policy
            )
        at = self._ports.clock.now()
        end = End(attempt_id=attempt.attempt_id, verdict=verdict, at=at, http_status=attempt.http_status)
        self._onward.tell([Told(entry=entry, at=at, ends=(end,))])
        case.undecided -= 1
        case.counted = case.counted or verdict.attempts > 0
        case.verdict, case.at = replace(verdict, attempts=int(case.counted)), at
        self._close(case)

    def _close(self, case: _Case) -> None:
        """The task is over when no try is under way and none is undecided."""
        parked = bool(case.undecided) and not case.under_way
        self.parked += parked - case.parked
        case.parked = parked
        if case.under_way or case.undecided or self._cases.pop(id(case.task), None) is None:
            return
        self._onward.tell(
            [
                Told(
                    entry=case.task.entry,
                    verdict=case.verdict or case.left_alone,
                    at=case.at or self._ports.clock.now(),
                    written=case.verdict is not None,
                    leads=True,
                    lease=case.task.lease,
                    in_doubt=case.in_doubt,
                )
            ]
        )

    def _announce(self, write: _Write) -> None:
        """One line for a failure that is the enrollment's own; an outage's is one line for the run."""
        verdict, task = write.attempt.conclusion.verdict, write.case.task
        if verdict.outcome is not Outcome.RETRYING or write.announced:
            return
        write.announced = True
        event = (
            "First Frappe attempt failed, retrying immediately..."
            if write.again
            else "Immediate retry failed, queuing for later"
        )
        context = log_context(task.enrollment, self._run_id)
        _log.warning(event, reason=verdict.reason, error=verdict.error, **context)
