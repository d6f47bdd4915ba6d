"""Send what has been checked, and look again where the answer leaves it open."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from reconcile.base import log
from reconcile.base.errors import AuthenticationFailed, ProtocolViolation, ReconcileError, TransientError
from reconcile.domain.model import (
    EffectKey,
    Enrollment,
    NotEnrolled,
    Observation,
    Outcome,
    Reason,
    Verdict,
)
from reconcile.run.answers import (
    Conclusion,
    Created,
    CreatedMany,
    Refused,
    RefusedMany,
    Unserved,
    WriteResult,
    conclude,
    not_counted,
)
from reconcile.run.batching import Halving
from reconcile.run.checking import FRESH, log_context
from reconcile.run.first_write import FirstWrite
from reconcile.run.options import Halt, Ports
from reconcile.run.pacing import Pacer
from reconcile.run.page import Attempt, Batch, Group, Parcel, Task, Try
from reconcile.run.pool import Pool
from reconcile.run.ports import End
from reconcile.run.sending import send, send_many

_log = log.get_logger(__name__)


class Writer:
    """Makes the writes of one run. Thread-safe: each worker thread makes one request at a time."""

    def __init__(
        self,
        *,
        ports: Ports,
        run_id: str,
        halt: Halt,
        pacer: Pacer,
        pool: Pool,
        first_write: FirstWrite,
        recheck: Callable[[Sequence[Group]], None],
    ) -> None:
        """`recheck` takes what must be checked (again) before it is sent."""
        self._ports = ports
        self._run_id = run_id
        self._halt = halt
        self._pacer = pacer
        self._pool = pool
        self._recheck = recheck
        self._first_write = first_write
        self._look_failed = False

    def write(self, parcel: Parcel) -> list[Try]:
        """Send it; nothing is sent where the run is ending or the check is no longer fresh.

        What ends the run (wrong key, wrong host) halts it; the attempts have their end all the same.
        """
        self._pacer.wait_for_pause(self._halt)
        return self._first_write.alone(
            lambda: self._write(parcel),
            lambda key: self._look_again([key]).get(key),
            self._halt.fail,
        )

    def _write(self, parcel: Parcel) -> list[Try]:
        if self._halt.is_set:
            later = parcel.batch.plan.taken().parts if parcel.batch is not None else ()
            now = self._ports.clock.now()
            tasks = [task for part in (parcel.tasks, *later) for task in part]
            return [Try(task=task, end=task.unsent(now)) for task in tasks]
        if self._ports.clock.monotonic() - parcel.checked_at > FRESH:
            self._recheck([Group(tasks=parcel.tasks, batch=parcel.batch)])
            return []
        left: Sequence[Task] | None = None
        if len(parcel.tasks) == 1:
            tries = self._one(parcel.tasks[0])
        else:
            tries, left = self._together(parcel)
        self._plan(parcel, left)
        return tries

    def _plan(self, parcel: Parcel, left: Sequence[Task] | None) -> None:
        """What is next of a batch that was refused; `left` of this parcel, None where it was taken."""
        batch = parcel.batch
        if left is not None:
            batch = batch or Batch(plan=Halving.of(parcel.tasks))
            batch.plan = batch.plan.refused(left)
        elif batch is not None:
            batch.plan = batch.plan.taken()
        if batch is not None and (part := batch.plan.next_part):
            self._recheck([Group(tasks=part, batch=batch)])

    def _one(self, task: Task) -> list[Try]:
        try:
            with self._pool.request() as request:
                result = request.came(send(self._ports.platform, task.enrollment))
        except ReconcileError as error:
            return self._run_ends([task], error)
        return self._answered([task], result)

    def _together(self, parcel: Parcel) -> tuple[list[Try], Sequence[Task] | None]:
        """Several in one request: what became of them, and who is still to be sent where all were refused."""
        tasks = parcel.tasks
        try:
            with self._pool.request(len(tasks), is_part=parcel.batch is not None) as request:
                result = request.came(send_many(self._ports.platform, [task.enrollment for task in tasks]))
        except ReconcileError as error:
            return self._run_ends(tasks, error), None
        if isinstance(result, RefusedMany):
            return self._refused_together(tasks, result)
        if not isinstance(result, CreatedMany):
            return self._answered(tasks, result), None
        made = [Created(lms_id=name, http_status=result.http_status) for name in result.lms_ids]
        return [
            each for task, answer in zip(tasks, made, strict=True) for each in self._answered([task], answer)
        ], None

    def _refused_together(
        self, tasks: Sequence[Task], refused: RefusedMany
    ) -> tuple[list[Try], Sequence[Task]]:
        """Look who is there, or cannot be enrolled at all: nobody else is to blame, and is sent again."""
        stopped = self._halt.stop.is_set()
        seen = {} if stopped else self._look_at(tasks)
        for task in tasks:
            task.sent = True
        left = [task for task in tasks if isinstance(seen.get(task.lease.key), NotEnrolled) and not stopped]
        gone = {id(task) for task in left}
        alone = Refused(reason=refused.reason, error=refused.error, http_status=refused.http_status)
        settled = [task for task in tasks if id(task) not in gone]
        return (self._answered(settled, alone, seen=seen) if settled else []), left

    def _answered(
        self,
        tasks: Sequence[Task],
        result: WriteResult,
        *,
        seen: Mapping[EffectKey, Observation] | None = None,
    ) -> list[Try]:
        """What the answer to one request means for its learners, after a second look where it needs one."""
        needs_look = not isinstance(result, Created) and not (isinstance(result, Unserved) and result.certain)
        together = seen is not None or len(tasks) > 1
        try:
            if seen is None:
                # A run that is asked to stop does not wait for the LMS once more; the next run looks.
                seen = self._look_at(tasks) if needs_look and not self._halt.stop.is_set() else {}
            return self._concluded(tasks, result, seen, together=together)
        except ReconcileError as error:
            # The rows stay open: the next run looks.
            self._halt.fail(error)
            return [Try(task=task, in_doubt=True) for task in tasks]

    def _concluded(
        self,
        tasks: Sequence[Task],
        result: WriteResult,
        seen: Mapping[EffectKey, Observation],
        *,
        together: bool,
    ) -> list[Try]:
        ids = [_taken(task) for task in tasks]
        conclusions = [self._conclude(task, result, seen.get(task.lease.key)) for task in tasks]
        if together:
            # Only a write of one's own counts against a learner.
            conclusions = [not_counted(each) for each in conclusions]
        held = [task.lease for task, each in zip(tasks, conclusions, strict=True) if each.hold]
        if held:
            self._ports.leases.hold_all(held)
        breather = self._ports.platform.breather()
        if breather > 0:
            self._pacer.pause(breather)
        tries = []
        for task, attempt_id, conclusion in zip(tasks, ids, conclusions, strict=True):
            self._tell(conclusion.verdict, task.enrollment)
            attempt = Attempt(
                attempt_id=attempt_id,
                conclusion=conclusion,
                request=tasks[0].enrollment.id,
                http_status=result.http_status,
                retry_after=result.retry_after if isinstance(result, Unserved) else None,
            )
            tries.append(Try(task=task, attempt=attempt))
        return tries

    def _run_ends(self, tasks: Sequence[Task], error: ReconcileError) -> list[Try]:
        """The answer ends the run and says that nothing was done: the rows must still get their end."""
        self._halt.fail(error)
        return [Try(task=task, end=self._refused(_taken(task), error), in_doubt=True) for task in tasks]

    def _refused(self, attempt_id: int, error: ReconcileError) -> End:
        reason = Reason(error.reason) if isinstance(error, AuthenticationFailed) else Reason.PROTOCOL
        verdict = Verdict(outcome=Outcome.RETRYING, reason=reason, error=str(error))
        status = getattr(error, "http_status", None)
        return End(attempt_id=attempt_id, verdict=verdict, at=self._ports.clock.now(), http_status=status)

    def _look_again(self, keys: Sequence[EffectKey]) -> Mapping[EffectKey, Observation]:
        """What the LMS shows of them; nothing where it cannot be asked, or does not answer."""
        if not self._ports.platform.verified:
            return {}
        try:
            return self._ports.platform.observe(keys)
        except (TransientError, ProtocolViolation) as error:
            self._tell_failed_look(error)
        except ReconcileError as error:
            # The key is refused from now on.
            self._halt.fail(error)
        return {}

    def _look_at(self, tasks: Sequence[Task]) -> Mapping[EffectKey, Observation]:
        looked_at = self._ports.clock.monotonic()
        seen = self._look_again([task.lease.key for task in tasks])
        for task in tasks:
            if task.lease.key in seen:
                task.looked_at = looked_at
        return seen

    def _conclude(self, task: Task, result: WriteResult, seen: Observation | None) -> Conclusion:
        history = task.entry.history
        unanswered_before = history.open_attempt is not None or history.last_reason is Reason.LMS_TIMEOUT
        can_look = self._ports.platform.verified
        return conclude(result, seen, can_look=can_look, unanswered_before=unanswered_before)

    def _tell_failed_look(self, error: ReconcileError) -> None:
        """Once a run: an outage is not told for each learner."""
        if not self._look_failed:
            self._look_failed = True
            _log.info("second look failed", error=str(error), run_id=self._run_id)

    def _tell(self, verdict: Verdict, enrollment: Enrollment) -> None:
        if verdict.outcome.has_access:
            _log.info(
                "FrappeLMS enrollment successful",
                outcome=verdict.outcome.value,
                lms_enrollment_id=verdict.lms_id,
                **log_context(enrollment, self._run_id),
            )


def _taken(task: Task) -> int:
    """The attempt that is being made; the task's next write needs an intent of its own."""
    attempt_id, task.attempt_id = task.attempt_id, None
    task.sent = False
    if attempt_id is None:
        raise TypeError("nothing is sent before its intent is committed")
    return attempt_id
