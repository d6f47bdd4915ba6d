"""Right before the writes: intents committed, orders read again, leases fenced. For a handful at once.

The order of these steps is what the promises rest on: a committed row before every write (P1), whose own lock
lets nobody begin for a learner whom another run is at (P11); the order as it is now (P3); and last, what
proves that the lease is still ours and marks it with the attempt (P2). What is fenced may be sent for two
seconds; what waits longer comes here again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from reconcile.base import log
from reconcile.base.errors import AuditUnavailable, ReconcileError, StoreUnavailable
from reconcile.base.redaction import mask_email
from reconcile.domain.model import Enrollment, History, NotEnrolled, Outcome, Reason, Unknown, Verdict
from reconcile.run import leases as leasing
from reconcile.run.decision import obstacle, shop_tries
from reconcile.run.looking import observe
from reconcile.run.options import Halt, Ports
from reconcile.run.page import Checked, Task, Try
from reconcile.run.ports import Intent
from reconcile.run.retry import RetryPolicy
from reconcile.run.source import Fresh
from reconcile.run.twins import twin_in_the_way, with_job

_log = log.get_logger(__name__)

#: Seconds for which a check may be relied upon, counted from before it was sent.
FRESH = 2.0
#: Seconds after which an intent that was not sent is closed, and made anew.
OLD_INTENT = 10.0
#: How often intents are committed anew because the commit itself took so long.
_COMMITS = 3
#: Seconds after which the look under the lease is repeated.
OLD_LOOK = 30.0

_ANOTHERS = Verdict(outcome=Outcome.SKIPPED, reason=Reason.LEASE_HELD)


class Checking:
    """Makes the checks of one run."""

    def __init__(self, *, ports: Ports, run_id: str, policy: RetryPolicy, halt: Halt) -> None:
        self._ports = ports
        self._run_id = run_id
        self._policy = policy
        self._halt = halt

    def check(self, tasks: Sequence[Task]) -> Checked:
        """Make these ready to be sent. What fails ends the run (`Halt`), and nothing of it is sent."""
        left: dict[int, Verdict | None] = {}
        in_doubt = False
        try:
            if not self._halt.is_set:
                return self._check(tasks, left)
        except ReconcileError as error:
            self._halt.fail(error)
            # What was begun, or ended, is not known: only the lease, as it is, tells that nothing was sent.
            in_doubt = isinstance(error, AuditUnavailable)
            if isinstance(error, StoreUnavailable):
                # The rows say so.
                unread = Verdict(outcome=Outcome.SKIPPED, error=str(error))
                for task in tasks:
                    left.setdefault(id(task), unread if task.attempt_id is not None else None)
        return self._result((), 0.0, tasks, left, in_doubt=in_doubt)

    def _check(self, tasks: Sequence[Task], left: dict[int, Verdict | None]) -> Checked:
        clock = self._ports.clock
        self._repeat_old_looks(tasks, left)
        self._begin([task for task in tasks if id(task) not in left], left)
        waiting = [task for task in tasks if id(task) not in left]
        checked_at = clock.monotonic()
        self._read_again(waiting, left)
        waiting = [task for task in waiting if id(task) not in left]
        for task in waiting:
            # Nothing stands between the fence and the request: not even a line to a log that may block.
            _log.info("Attempting Frappe LMS enrollment", **log_context(task.enrollment, self._run_id))
        ours = (
            self._ports.leases.fence_all([(task.lease, _attempt(task)) for task in waiting])
            if waiting
            else ()
        )
        left |= {id(task): _ANOTHERS for task in waiting if task.lease.key not in ours}
        return self._result([task for task in waiting if id(task) not in left], checked_at, tasks, left)

    def _result(
        self,
        ready: Sequence[Task],
        checked_at: float,
        tasks: Sequence[Task],
        left: Mapping[int, Verdict | None],
        *,
        in_doubt: bool = False,
    ) -> Checked:
        sent = {id(task) for task in ready}
        now = self._ports.clock.now()
        alone = [
            Try(
                task=task,
                left_alone=(verdict := left.get(id(task))),
                end=task.unsent(now) if verdict is None else task.unsent(now, verdict),
                in_doubt=in_doubt,
            )
            for task in tasks
            if id(task) not in sent
        ]
        return Checked(ready=ready, checked_at=checked_at, left_alone=alone)

    def _repeat_old_looks(self, tasks: Sequence[Task], left: dict[int, Verdict | None]) -> None:
        """A pause may have lasted: whom the LMS shows otherwise by now is left to the next run."""
        now = self._ports.clock.monotonic()
        old = [task for task in tasks if now - task.looked_at > OLD_LOOK]
        if not old:
            return
        orders = [task.enrollment for task in old]
        seen = observe(orders, self._ports.source.shop_jobs([order.id for order in orders]), self._ports)
        for task in old:
            task.looked_at = now
            if not isinstance(seen[task.lease.key], NotEnrolled | Unknown):
                text = "the LMS shows something else by now; the next run looks"
                left[id(task)] = Verdict(outcome=Outcome.SKIPPED, error=text)

    def _begin(self, tasks: Sequence[Task], left: dict[int, Verdict | None]) -> None:
        """Commit the intents that these need; one that has waited too long is closed and made anew.

        Also where it has waited for the commit itself: the audit's lock is counted from when it began.
        """
        for _ in range(_COMMITS):
            now = self._ports.clock.monotonic()
            anew = [each for each in tasks if each.attempt_id is None or now - each.begun_at > OLD_INTENT]
            anew = [task for task in anew if id(task) not in left]
            if not anew:
                return
            self._close(anew)
            self._begin_all(anew, now, left)
        raise AuditUnavailable("the audit database takes too long to commit", hint="Who else writes into it?")

    def _close(self, tasks: Sequence[Task]) -> None:
        now = self._ports.clock.now()
        ends = [end for task in tasks if (end := task.unsent(now)) is not None]
        if ends:
            self._ports.audit.finish_all(ends, run_id=self._run_id)

    def _begin_all(self, tasks: Sequence[Task], now: float, left: dict[int, Verdict | None]) -> None:
        since = self._ports.clock.now() - timedelta(seconds=self._policy.hold + leasing.IN_FLIGHT)
        ids = self._ports.audit.begin_all([self._intent(task) for task in tasks], held_since=since)
        for task, attempt_id in zip(tasks, ids, strict=True):
            task.attempt_id, task.begun_at = attempt_id, now
            if attempt_id is None:
                left[id(task)] = _ANOTHERS

    def _intent(self, task: Task) -> Intent:
        entry, order = task.entry, task.enrollment
        return Intent(
            run_id=self._run_id,
            enrollment=order,
            number=entry.history.writes + task.tried + 1,
            started_at=self._ports.clock.now(),
            flags=entry.flags,
            shop_tries=shop_tries(order, entry.history),
            lease_token=task.lease.token,
        )

    def _read_again(self, tasks: Sequence[Task], left: dict[int, Verdict | None]) -> None:
        """The last look before the write: the orders and their twins as they are now."""
        if not tasks:
            return
        ports = self._ports
        found = ports.source.last_look(
            [task.enrollment for task in tasks],
            twins={task.enrollment.id: task.entry.twins for task in tasks if task.entry.twins},
        )
        twins = {twin.id for fresh in found.values() for twin in fresh.twins}
        histories = ports.audit.history(sorted(twins)) if twins else {}
        for task in tasks:
            verdict = self._obstacle(task, found[task.enrollment.id], histories)
            if verdict is not None:
                left[id(task)] = verdict

    def _obstacle(self, task: Task, fresh: Fresh, twins: Mapping[str, History]) -> Verdict | None:
        now = self._ports.clock.now()
        history = with_job(task.entry.history, fresh.job)
        found = obstacle(task.enrollment, fresh.order, history, self._policy, now)
        if found is not None:
            return found
        busy = twin_in_the_way(fresh, twins, self._policy, now)
        return Verdict(outcome=Outcome.SKIPPED, reason=busy.reason) if busy is not None else None


def log_context(enrollment: Enrollment, run_id: str) -> dict[str, str | None]:
    """What a log line may carry about an order."""
    return {
        "enrollment_id": enrollment.id,
        "payment_id": enrollment.payment_id,
        "course": enrollment.course,
        "run_id": run_id,
        "email": mask_email(enrollment.email),
    }


def _attempt(task: Task) -> int:
    if task.attempt_id is None:
        raise TypeError("nothing is fenced before its intent is committed")
    return task.attempt_id
