"""Enroll a page's learners on a bounded pool of threads, and find out whose fault a failure was.

The main thread only collects; the pool's threads make the writes (`Writer`). Whose fault a failed
write was is known only over the run (`Breaker`), so such a write's row gets its end when it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import datetime

from reconcile.base import log
from reconcile.base.errors import RateLimited, ReconcileError, ServiceUnavailable, TooManyEnrolls
from reconcile.domain.model import EffectKey, Enroll, Enrollment, Outcome, Reason, SyncStatus, Verdict
from reconcile.run.answers import excuse, give_up_if_used_up
from reconcile.run.breaker import Breaker, may_be_excused
from reconcile.run.options import Halt, Ports, RunOptions
from reconcile.run.pacing import LONGEST_PAUSE, Pacer
from reconcile.run.page import Page, Surveyed
from reconcile.run.verdicts import turn
from reconcile.run.writing import Attempt, Writer, log_context, with_flags

_log = log.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Settled:
    """One order's verdict of this run; `written` where it took a write to the LMS to find out."""

    entry: Surveyed
    verdict: Verdict
    at: datetime  #: when it was reached
    written: bool = False


#: What is ready to be written back, by order.
Results = dict[str, Settled]


@dataclass(kw_only=True)
class Task:
    """One enrollment on its way: its tries so far in this run."""

    entry: Surveyed
    tried: int = 0
    counted: bool = False  #: this visit is used up: one of its tries was the enrollment's own to blame
    undecided: _Write | None = None  #: the first try, where it failed and whose fault that was is open

    @property
    def enrollment_id(self) -> str:
        """The order's id."""
        return self.entry.enrollment.id


@dataclass(kw_only=True)
class _Write:
    """A write that was made and whose row still waits for its end."""

    task: Task
    attempt: Attempt
    again: bool  #: a second try follows
    announced: bool = False  #: the log has told of its failure


def _had_failed(entry: Surveyed) -> bool:
    """Given up on before: by the storefront, or by us under another count."""
    return entry.enrollment.sync.status == SyncStatus.FAILED


class Enrolling:
    """Makes the writes of one run, page after page."""

    def __init__(
        self,
        *,
        ports: Ports,
        options: RunOptions,
        run_id: str,
        halt: Halt,
        writer: Writer,
        pacer: Pacer,
        pool: ThreadPoolExecutor,
        surge_limit: int | None = None,
    ) -> None:
        self._ports = ports
        self._options = options
        self._run_id = run_id
        self._halt = halt
        self._writer = writer
        self._pacer = pacer
        self._pool = pool
        self._breaker: Breaker[_Write] = Breaker()
        self._surge_limit = surge_limit if options.max_enrolls is None else None
        self._enrolls = 0
        #: Orders that should be enrolled and were left alone because of `max_enrolls`.
        self.left_over = 0
        #: Orders that said `failed`, given up on by the storefront or by an earlier count, and are tried now.
        self.came_back = 0
        self._had_failed = 0  #: of those that the run wanted to try
        #: Whose last write may not have been accounted for: their leases are left to lapse, on hold.
        self.in_doubt: set[EffectKey] = set()

    @property
    def undecided(self) -> frozenset[str]:
        """Orders with a failed write whose blame is still open."""
        return self._breaker.undecided

    def tasks(self, page: Page) -> Iterator[Task]:
        """One task for each effect key: never-tried orders first, poison spread among the sound.

        Raises TooManyEnrolls where the run has become implausible.
        """
        firsts: dict[EffectKey, Surveyed] = {}
        for entry in page.entries:
            if isinstance(entry.decision, Enroll) and isinstance(entry.enrollment, Enrollment):
                firsts.setdefault(entry.enrollment.key, entry)
        for entry in sorted(firsts.values(), key=turn):
            if self._options.max_enrolls is not None and self._enrolls >= self._options.max_enrolls:
                self.left_over += 1
                continue
            if self._surge_limit is not None and self._enrolls >= self._surge_limit:
                raise self._surge()
            self._enrolls += 1
            self._had_failed += _had_failed(entry)
            yield Task(entry=entry)

    def _surge(self) -> TooManyEnrolls:
        return TooManyEnrolls(
            f"this run wants to enroll more than {self._surge_limit} learners, far more than recent "
            f"runs did; {self._had_failed} of them had been given up on before (status failed)",
            hint="Look at `reconcile plan`: is it the right LMS, was it emptied? If it is right, say how "
            "many: reconcile run --max-enrolls N",
        )

    def enroll(self, tasks: list[Task], results: Results) -> None:
        """Try each task, and once more at once where that is allowed. Raises AuditUnavailable."""
        second = self._one_pass(tasks, results)
        if second and not self._halt.is_set:
            # Once for the whole pass: each has waited at least this long when its turn comes.
            self._ports.clock.sleep(self._options.retry_delay)
            for task in second:
                if task.undecided is not None:
                    # Whoever is to blame: the log tells the first failure before the second try.
                    self._announce(task.undecided)
            self._one_pass(second, results)

    def close(self, results: Results) -> None:
        """The run is over: what is undecided was the enrollments' own, unless the run was cut short."""
        for write in self._breaker.drain():
            self._finish(write, results, blame_lms=self._halt.is_set)

    def _one_pass(self, tasks: list[Task], results: Results) -> list[Task]:
        """Try each task once; the tasks that may be tried again at once."""
        again: list[Task] = []
        waiting: dict[Future[Attempt | Verdict | None], Task] = {}
        queue = iter(tasks)
        try:
            while True:
                # No more than the pool can hold: what was not begun when the run halts stays untouched.
                while len(waiting) < self._options.concurrency and not self._halt.is_set:
                    task = next(queue, None)
                    if task is None:
                        break
                    waiting[self._pool.submit(self._writer.write, task.entry, tried=task.tried)] = task
                if not waiting:
                    return again
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    task = waiting.pop(future)
                    try:
                        if self._take(task, future.result(), results):
                            again.append(task)
                    except ReconcileError as error:
                        self._doubt(task)
                        self._halt.fail(error)
                    except BaseException:
                        # A bug after the request left is no answer either.
                        self._doubt(task)
                        raise
        finally:
            wait(waiting)

    def _doubt(self, task: Task) -> None:
        if task.entry.lease is not None:
            self.in_doubt.add(task.entry.lease.key)

    def _take(self, task: Task, attempt: Attempt | Verdict | None, results: Results) -> bool:
        """Account for one try; True where a second one may follow at once."""
        if attempt is None:
            return False
        if isinstance(attempt, Verdict):
            at = self._ports.clock.now()
            # A first try that counts keeps its verdict where the second one is not made.
            results.setdefault(task.enrollment_id, Settled(entry=task.entry, verdict=attempt, at=at))
            return False
        task.tried += 1
        self.came_back += task.tried == 1 and _had_failed(task.entry)
        conclusion = attempt.conclusion
        write = _Write(task=task, attempt=attempt, again=conclusion.again and task.tried < 2)
        if conclusion.verdict.reason is Reason.RATE_LIMITED:
            self._pacer.pause(min(attempt.retry_after or self._options.retry_delay, LONGEST_PAUSE))
        if not conclusion.fault:
            for earlier in self._breaker.passed():
                self._finish(earlier, results, blame_lms=False)
            self._finish(write, results, blame_lms=False)
            return write.again
        if self._breaker.fault(task.enrollment_id, write):
            self._trip(results, conclusion.verdict)
            return False
        task.undecided = write
        return write.again

    def _trip(self, results: Results, last: Verdict) -> None:
        for write in self._breaker.drain():
            self._finish(write, results, blame_lms=may_be_excused(write.task.entry.history))
        what = f"{self._breaker.threshold} enrollments in a row failed by the LMS's own fault"
        hint = "Nothing was marked as failed and no attempt was used up; the next run tries again."
        limited = last.reason is Reason.RATE_LIMITED
        self._halt.fail((RateLimited if limited else ServiceUnavailable)(what, hint=hint))

    def _finish(self, write: _Write, results: Results, *, blame_lms: bool) -> None:
        """Give one write's row its end and its order the verdict so far."""
        task, attempt = write.task, write.attempt
        verdict = with_flags(attempt.conclusion.verdict, task.entry.flags)
        if blame_lms:
            verdict = excuse(verdict)
        else:
            self._announce(write)
        if not write.again:
            # Before its second try nobody is given up on.
            verdict = give_up_if_used_up(
                verdict, visits_before=task.entry.history.visits, policy=self._options.policy
            )
        at = self._ports.clock.now()
        self._ports.audit.finish(
            attempt.attempt_id, verdict, run_id=self._run_id, at=at, http_status=attempt.http_status
        )
        task.counted = task.counted or verdict.attempts > 0
        so_far = replace(verdict, attempts=int(task.counted))
        results[task.enrollment_id] = Settled(entry=task.entry, verdict=so_far, at=at, written=True)

    def _announce(self, write: _Write) -> None:
        """One line for a failure that is the enrollment's own; an outage's is one line for the run."""
        verdict, enrollment = write.attempt.conclusion.verdict, write.task.entry.enrollment
        if verdict.outcome is not Outcome.RETRYING or not isinstance(enrollment, Enrollment):
            return
        if write.announced:
            return
        write.announced = True
        event = (
            "First Frappe attempt failed, retrying immediately..."
            if write.again
            else "Immediate retry failed, queuing for later"
        )
        context = log_context(enrollment, self._run_id)
        _log.warning(event, reason=verdict.reason, error=verdict.error, **context)
