"""One LMS write, made safely: intent committed, order read again, lease fenced, write, second look.

The order of these steps is what the promises rest on: a row before every write (P1), `paid` read
right before it (P3), and the lease proven ours at the last moment (P4).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

from reconcile.base import log
from reconcile.base.errors import (
    AmbiguousWrite,
    AuthenticationFailed,
    ProtocolViolation,
    RateLimited,
    ReconcileError,
    ServiceUnavailable,
    StoreUnavailable,
    TransientError,
)
from reconcile.base.redaction import mask_email
from reconcile.domain.model import Enrolled, Enrollment, Observation, Outcome, Reason, Verdict
from reconcile.run.answers import Conclusion, Created, Garbled, Unanswered, Unserved, WriteResult, conclude
from reconcile.run.decision import obstacle, shop_tries
from reconcile.run.leases import Lease
from reconcile.run.options import Halt, Ports
from reconcile.run.pacing import Pacer
from reconcile.run.page import Surveyed
from reconcile.run.ports import Intent
from reconcile.run.retry import RetryPolicy
from reconcile.run.twins import twin_in_the_way, with_job

_log = log.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What one write came to, and the audit row that waits for its outcome."""

    attempt_id: int
    conclusion: Conclusion
    http_status: int | None = None
    retry_after: float | None = None  #: seconds


#: Nothing was sent: the order, another order for the pair or the lease is not as it was; its row says so.
LeftAlone = Verdict


class Writer:
    """Makes the writes of one run. Thread-safe: each worker thread makes one write at a time."""

    def __init__(
        self,
        *,
        ports: Ports,
        run_id: str,
        policy: RetryPolicy,
        halt: Halt,
        pacer: Pacer,
        sight_proven: bool,
    ) -> None:
        self._ports = ports
        self._run_id = run_id
        self._policy = policy
        self._halt = halt
        self._pacer = pacer
        self._sight_proven = sight_proven or not ports.platform.verified
        self._first_write = threading.Lock()
        self._look_failed = False

    def write(self, entry: Surveyed, *, tried: int) -> Attempt | LeftAlone | None:
        """Enroll once. `tried` writes were made for this order in this run before.

        Returns the attempt; a `skipped` verdict where the order or the lease changed under us; None
        where the run is ending. Raises AuditUnavailable (nothing was sent), StoreUnavailable
        (nothing was sent) and what ends the run (wrong key, wrong host).
        """
        self._pacer.wait()
        if self._sight_proven:
            return self._write(entry, tried=tried)
        # An LMS without any enrollment cannot prove that this key sees them: one write goes alone.
        with self._first_write:
            attempt = self._write(entry, tried=tried)
            if isinstance(attempt, Attempt) and not self._sight_proven:
                self._prove_by(entry, attempt)
            return attempt

    def _write(self, entry: Surveyed, *, tried: int) -> Attempt | LeftAlone | None:
        if self._halt.is_set:
            return None
        enrollment, lease = _sendable(entry)
        now = self._ports.clock.now()
        attempt_id = self._ports.audit.begin(
            Intent(
                run_id=self._run_id,
                enrollment=enrollment,
                number=entry.history.writes + tried + 1,
                started_at=now,
                flags=entry.flags,
                shop_tries=shop_tries(enrollment, entry.history),
            )
        )
        try:
            left_alone = self._last_look(entry)
        except StoreUnavailable as error:
            # Nothing was sent; the row says so, and the caller ends the run.
            unread = Verdict(outcome=Outcome.SKIPPED, error=str(error))
            self._finish(attempt_id, unread)
            raise
        if left_alone is not None:
            self._finish(attempt_id, left_alone)
            return left_alone
        # Nothing stands between the fence and the request: not even a line to a log that may block.
        result = self._send(attempt_id, enrollment)
        conclusion = self._conclude(result, entry)
        if conclusion.hold:
            self._ports.leases.hold(lease)
        self._tell(conclusion.verdict, enrollment)
        breather = self._ports.platform.breather()
        if breather > 0:
            self._pacer.pause(breather)
        return Attempt(
            attempt_id=attempt_id,
            conclusion=conclusion,
            http_status=result.http_status,
            retry_after=result.retry_after if isinstance(result, Unserved) else None,
        )

    def _last_look(self, entry: Surveyed) -> Verdict | None:
        """The last look before the write: the order and its twins as they are now, then, last, the lease."""
        enrollment, lease = _sendable(entry)
        fresh, job = self._ports.source.read_again(enrollment.id)
        history, now = with_job(entry.history, job), self._ports.clock.now()
        found = obstacle(enrollment, fresh, history, self._policy, now)
        if found is not None:
            return found
        busy = twin_in_the_way(enrollment, self._policy, now, ports=self._ports)
        if busy is not None:
            return Verdict(outcome=Outcome.SKIPPED, reason=busy.reason)
        _log.info("Attempting Frappe LMS enrollment", **self._context(enrollment))
        if not self._ports.leases.fence(lease):
            return Verdict(outcome=Outcome.SKIPPED, reason=Reason.LEASE_HELD)
        return None

    def _send(self, attempt_id: int, enrollment: Enrollment) -> WriteResult:
        """Send the write; errors that are this write's own come back as values."""
        try:
            return self._ports.platform.enroll(enrollment)
        except RateLimited as error:
            return Unserved(
                reason=Reason.RATE_LIMITED,
                error=str(error),
                certain=True,
                http_status=error.http_status,
                retry_after=error.retry_after,
            )
        except AmbiguousWrite as error:
            return Unanswered(error=str(error), http_status=error.http_status)
        except ServiceUnavailable as error:
            return Unserved(
                reason=Reason.LMS_UNAVAILABLE,
                error=str(error),
                certain=error.certain,
                http_status=error.http_status,
                retry_after=error.retry_after,
            )
        except ProtocolViolation as error:
            if not error.ends_run:
                return Garbled(error=str(error), http_status=error.http_status)
            self._close_unserved(attempt_id, Reason.PROTOCOL, error)
            raise
        except AuthenticationFailed as error:
            self._close_unserved(attempt_id, Reason(error.reason), error)
            raise

    def _close_unserved(self, attempt_id: int, reason: Reason, error: ReconcileError) -> None:
        """The answer ends the run and says that nothing was done: the row must still get its end."""
        verdict = Verdict(outcome=Outcome.RETRYING, reason=reason, error=str(error))
        status = getattr(error, "http_status", None)
        self._finish(attempt_id, verdict, http_status=status)

    def _finish(self, attempt_id: int, verdict: Verdict, *, http_status: int | None = None) -> None:
        self._ports.audit.finish(
            attempt_id, verdict, run_id=self._run_id, at=self._ports.clock.now(), http_status=http_status
        )

    def _conclude(self, result: WriteResult, entry: Surveyed) -> Conclusion:
        platform = self._ports.platform
        needs_look = not isinstance(result, Created) and not (isinstance(result, Unserved) and result.certain)
        seen: Observation | None = None
        # A run that is asked to stop does not wait for the LMS once more; the next run looks.
        if needs_look and platform.verified and not self._halt.stop.is_set():
            enrollment, _ = _sendable(entry)
            try:
                seen = platform.observe([enrollment.key])[enrollment.key]
            except (TransientError, ProtocolViolation) as error:
                self._tell_failed_look(error)
        unanswered_before = entry.history.open_attempt is not None or (
            entry.history.last_reason is Reason.LMS_TIMEOUT
        )
        return conclude(result, seen, can_look=platform.verified, unanswered_before=unanswered_before)

    def _prove_by(self, entry: Surveyed, attempt: Attempt) -> None:
        """The first enrollment of an empty LMS: a key that cannot see it must not go on."""
        if attempt.conclusion.verdict.outcome is not Outcome.ENROLLED:
            return
        enrollment, _ = _sendable(entry)
        try:
            seen = self._ports.platform.observe([enrollment.key])[enrollment.key]
        except (TransientError, ProtocolViolation) as error:
            self._tell_failed_look(error)
            return
        if isinstance(seen, Enrolled):
            self._sight_proven = True
            return
        self._halt.fail(
            AuthenticationFailed(
                "the key cannot see the LMS enrollment that it has just created",
                reason="blind",
                hint="Give the key's user the role Moderator in the LMS, then run again.",
            )
        )

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
                **self._context(enrollment),
            )

    def _context(self, enrollment: Enrollment) -> dict[str, str | None]:
        return log_context(enrollment, self._run_id)


def log_context(enrollment: Enrollment, run_id: str) -> dict[str, str | None]:
    """What a log line may carry about an order."""
    return {
        "enrollment_id": enrollment.id,
        "payment_id": enrollment.payment_id,
        "course": enrollment.course,
        "run_id": run_id,
        "email": mask_email(enrollment.email),
    }


def _sendable(entry: Surveyed) -> tuple[Enrollment, Lease]:
    if not isinstance(entry.enrollment, Enrollment) or entry.lease is None:
        raise TypeError("only a sendable order whose key is leased can be written")
    return entry.enrollment, entry.lease


def with_flags(verdict: Verdict, flags: frozenset[str]) -> Verdict:
    """The verdict with the order's flags beside it."""
    return replace(verdict, flags=verdict.flags | flags)
