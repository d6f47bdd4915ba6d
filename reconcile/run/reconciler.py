"""One reconciliation from beginning to end: open, check, let the orders flow (`Pipeline`), close.

Level-triggered: every run looks again from scratch. Running it twice, late, at the same time as
another one or after a crash changes nothing that should not change.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

from reconcile.base import log
from reconcile.base.batched import batched
from reconcile.base.errors import AuditUnavailable, AuthenticationFailed, ReconcileError, StoreUnavailable
from reconcile.domain.model import AnyEnrollment, Outcome, Reason
from reconcile.run.abort import abort_reason
from reconcile.run.claiming import foreseen
from reconcile.run.flow import Flow
from reconcile.run.follow_up import Onlooker
from reconcile.run.guards import is_suddenly_empty, surge_limit
from reconcile.run.heartbeat import heartbeat
from reconcile.run.looking import look
from reconcile.run.open_attempts import settle_leftovers
from reconcile.run.options import Halt, Ports, RunOptions, RunResult
from reconcile.run.page import Page
from reconcile.run.pipeline import Drive, Pipeline
from reconcile.run.ports import Progress, RecentRun, Sight
from reconcile.run.summary import MAX_ENROLLS, AbortReason, RunStatus, RunSummary
from reconcile.run.unmarked import find_unmarked

_log = log.get_logger(__name__)


class Silent:
    """Nobody watches."""

    def scanned(self, count: int) -> None:
        """Ignore."""

    def settled(self, outcome: Outcome) -> None:
        """Ignore."""


class Reconciler:
    """Brings what was paid and what the LMS shows together."""

    def __init__(
        self,
        ports: Ports,
        *,
        progress: Progress | None = None,
        onlookers: Sequence[Onlooker] = (),
        drive: Drive = Flow.run,
    ) -> None:
        """`drive` makes the stages work; by default each has threads of its own."""
        self._ports = ports
        self._drive = drive
        self._onlookers = onlookers
        self._progress: Progress = progress or Silent()

    def run(self, options: RunOptions, *, stop: threading.Event | None = None) -> RunResult:
        """Reconcile once. Never raises ReconcileError: how it ended stands in the result.

        `stop` set from outside drains the run: no new work, what is in flight is recorded, leases
        are given back, status `interrupted`. May be repeated at any time.
        """
        halt = Halt(stop)
        summary = RunSummary(
            run_id=uuid.uuid4().hex[:12], mode=options.mode, started_at=self._ports.clock.now()
        )
        try:
            self._ports.audit.open_run(summary, self._ports.origin)
        except ReconcileError as error:
            self._close(summary, error)
            return self._tell(summary, error, known=options.known_trouble)
        try:
            with heartbeat(self._ports, summary.run_id, halt, every=min(options.lease_ttl / 3, 10.0)):
                self._reconcile(options, summary, halt)
        except ReconcileError as error:
            halt.fail(error)
        except BaseException:
            summary.close(RunStatus.ABORTED, at=self._ports.clock.now(), reason=AbortReason.BUG)
            self._record_end(summary)
            raise
        self._close(summary, halt.cause, interrupted=halt.stop.is_set())
        seal = self._record_end(summary)
        is_whole = options.selection.is_everything and summary.status is RunStatus.COMPLETED
        result = self._tell(summary, halt.cause, seal=seal, known=options.known_trouble)
        return replace(result, saw_all=is_whole and summary.outcomes.total() == summary.scanned)

    def plan(self, options: RunOptions) -> Iterator[Page]:
        """What a run would do, page by page. Meant for read-only ports; raises what they raise."""
        self._ports.platform.ping()
        self._refuse_sudden_emptiness(self._prove_sight(), self._ports.audit.recent_runs())
        summary = RunSummary(run_id="plan", mode="plan", started_at=self._ports.clock.now())
        for items in self._batches(options, summary):
            yield Page(
                entries=foreseen(
                    look(items, ports=self._ports, policy=options.policy), self._ports, options.policy
                )
            )

    # --- the run ---------------------------------------------------------------------------

    def _reconcile(self, options: RunOptions, summary: RunSummary, halt: Halt) -> None:
        ports = self._ports
        self._bury_the_dead(options, summary)
        ports.platform.ping()
        sight = self._prove_sight()
        recent = ports.audit.recent_runs()
        self._refuse_sudden_emptiness(sight, recent)
        summary.lms_total = sight.total
        pipeline = Pipeline(
            self._batches(options, summary),
            ports=ports,
            options=options,
            summary=summary,
            halt=halt,
            progress=self._progress,
            onlookers=self._onlookers,
            sight_proven=sight.proven,
            surge_limit=surge_limit([run.enrolled for run in recent]),
        )
        for onlooker in self._onlookers:
            onlooker.begins()
        try:
            pipeline.run(self._drive)
        finally:
            summary.left_over, summary.came_back = pipeline.left_over, pipeline.came_back
        if not options.selection.is_everything or halt.is_set:
            return
        if not summary.left_over:
            settle_leftovers(ports, summary.run_id, options.policy)
        self._look_at_the_shop(summary)

    def _look_at_the_shop(self, summary: RunSummary) -> None:
        """What is told and does not concern the orders of this run: it can neither fail nor end it."""
        ports = self._ports
        try:
            summary.unmarked = find_unmarked(ports.source, ports.audit, ports.clock.now()).count
            ended = ports.source.end_settled_jobs(ports.clock.now())
        except StoreUnavailable as error:
            _log.warning("The shop's side could not be looked at", error=str(error), run_id=summary.run_id)
            return
        if ended:
            _log.info("Ended retry jobs of orders that are synced", jobs=ended, run_id=summary.run_id)

    def _bury_the_dead(self, options: RunOptions, summary: RunSummary) -> None:
        """Close runs whose process is gone and free what they held; their story is finished below."""
        now = self._ports.clock.now()
        dead = self._ports.audit.close_dead_runs(
            origin=self._ports.origin, stale_before=now - timedelta(seconds=options.lease_ttl), at=now
        )
        if dead:
            _log.warning("Closed runs whose process is gone", crashed=list(dead), run_id=summary.run_id)
            summary.buried = len(dead)
            self._ports.leases.take_over(dead)

    def _prove_sight(self) -> Sight:
        platform = self._ports.platform
        if platform.verified:
            return platform.prove_sight()
        _log.warning(
            "UNVERIFIED: no API key, so nothing can be looked up in the LMS; "
            "its own duplicate answer is all there is. Set FRAPPE_LMS_API_KEY."
        )
        return Sight(proven=False)

    def _refuse_sudden_emptiness(self, sight: Sight, recent: Sequence[RecentRun]) -> None:
        before = [run.lms_total for run in recent]
        if is_suddenly_empty(sight.total, before):
            most = max(total for total in before if total is not None)
            raise AuthenticationFailed(
                f"the LMS shows no enrollment at all, and recent runs saw {most}: that is not believed",
                reason=Reason.BLIND,
                hint="Is FRAPPE_LMS_BASE_URL the right site, was a backup restored, can the key see others' "
                "enrollments? If the LMS really is empty, run once with a new RECONCILE_AUDIT_URL.",
            )

    def _batches(self, options: RunOptions, summary: RunSummary) -> Iterator[list[AnyEnrollment]]:
        # With a key, what a run without one has synced gets its document's name.
        selection = replace(options.selection, unnamed=self._ports.platform.verified)
        stream = self._ports.source.scan(selection)
        for items in batched(stream, options.page_size):
            summary.scanned += len(items)
            self._progress.scanned(len(items))
            yield items

    # --- the end ---------------------------------------------------------------------------

    def _close(self, summary: RunSummary, cause: ReconcileError | None, *, interrupted: bool = False) -> None:
        now = self._ports.clock.now()
        summary.lms_requests = self._ports.platform.requests
        if cause is not None:
            summary.close(RunStatus.ABORTED, at=now, reason=abort_reason(cause))
        elif interrupted:
            summary.close(RunStatus.INTERRUPTED, at=now)
        elif summary.left_over:
            summary.close(RunStatus.COMPLETED, at=now, reason=MAX_ENROLLS)
        else:
            summary.close(RunStatus.COMPLETED, at=now)

    def _tell(
        self,
        summary: RunSummary,
        cause: ReconcileError | None,
        *,
        seal: str | None = None,
        known: str | None = None,
    ) -> RunResult:
        """One line for the run's end. A log that is kept elsewhere keeps the seals elsewhere."""
        tell = _log.info if cause is None else _log.debug if summary.reason == known else _log.warning
        tell(
            f"Run {summary.status.value}",
            reason=summary.reason,
            error=str(cause) if cause is not None else None,
            outcomes={outcome.value: count for outcome, count in summary.outcomes.items() if count},
            reasons={reason.value: count for reason, count in summary.reasons.items() if count},
            scanned=summary.scanned,
            came_back=summary.came_back or None,
            unmarked=summary.unmarked or None,
            run_id=summary.run_id,
            seal=seal,
        )
        return RunResult(summary=summary, failure=cause)

    def _record_end(self, summary: RunSummary) -> str | None:
        """Close the run in the audit; the newest seal."""
        try:
            return self._ports.audit.close_run(summary)
        except AuditUnavailable as error:
            # The next run finds this one without an end and closes it as crashed.
            _log.error("The run's end could not be recorded", error=str(error), run_id=summary.run_id)
            return None
