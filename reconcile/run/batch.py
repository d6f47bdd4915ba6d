"""Carry out one page's decisions: enroll, record what needed no write, write back last."""

from __future__ import annotations

from dataclasses import replace

from reconcile.base.errors import ReconcileError
from reconcile.domain.messages import sentence
from reconcile.domain.model import (
    Enrollment,
    action_of,
)
from reconcile.run.decision import shop_tries
from reconcile.run.enrolling import Enrolling, Results, Settled
from reconcile.run.open_attempts import settle_open_attempts
from reconcile.run.options import Halt, Ports
from reconcile.run.page import Page
from reconcile.run.ports import Progress, Record
from reconcile.run.source import WriteBack
from reconcile.run.summary import RunSummary
from reconcile.run.verdicts import changes_order, is_news, shared_verdict, verdict_without_write


class Batch:
    """Carries out the pages of one run, one after the other."""

    def __init__(
        self, *, ports: Ports, summary: RunSummary, halt: Halt, enrolling: Enrolling, progress: Progress
    ) -> None:
        self._ports = ports
        self._summary = summary
        self._halt = halt
        self._enrolling = enrolling
        self._progress = progress

    def carry_out(self, page: Page) -> None:
        """Do everything a page asks for and give its leases back; what fails ends the run (`Halt`)."""
        results: Results = {}
        try:
            settle_open_attempts(page, self._ports, self._summary.run_id)
            tasks = list(self._enrolling.tasks(page))
            self._enrolling.enroll(tasks, results)
            self._without_writes(page, {task.enrollment_id for task in tasks}, results)
        except ReconcileError as error:
            self._halt.fail(error)
        finally:
            # An order with a failure whose blame is open gets its verdict, once, when that is known.
            for enrollment_id in self._enrolling.undecided:
                results.pop(enrollment_id, None)
            # Also when the run is over: what the audit has recorded, the orders should say.
            self._write_back(results)
            sure = [lease for key, lease in page.leases.items() if key not in self._enrolling.in_doubt]
            self._ports.leases.release(sure)

    def close(self) -> None:
        """The run is over: nothing stays undecided."""
        results: Results = {}
        self._enrolling.close(results)
        self._write_back(results)

    def _without_writes(self, page: Page, tried: set[str], results: Results) -> None:
        """Verdicts for the orders that were not themselves written; only news goes to the audit.

        After the writes, because an order shares the fate of another one for the same learner and
        course: two orders, one LMS enrollment, two write-backs.
        """
        fate = {
            done.entry.enrollment.key: done.verdict
            for done in results.values()
            if isinstance(done.entry.enrollment, Enrollment)
        }
        now = self._ports.clock.now()
        news: list[Record] = []
        for entry in page.entries:
            if entry.enrollment.id in tried:
                continue
            key = entry.enrollment.key if isinstance(entry.enrollment, Enrollment) else None
            shared = fate.get(key) if key is not None else None
            verdict = shared_verdict(entry, shared) if shared is not None else verdict_without_write(entry)
            if verdict is None:
                continue
            results[entry.enrollment.id] = Settled(entry=entry, verdict=verdict, at=now)
            if is_news(entry, verdict):
                action = "confirm" if verdict.outcome.has_access else action_of(entry.decision)
                news.append(
                    Record(
                        run_id=self._summary.run_id,
                        enrollment=entry.enrollment,
                        action=action,
                        verdict=verdict,
                        at=now,
                        shop_tries=shop_tries(entry.enrollment, entry.history),
                        known=entry.history.newest,
                    )
                )
        if news:
            self._ports.audit.record(news)

    def _write_back(self, results: Results) -> None:
        items = [
            WriteBack(
                enrollment_id=enrollment_id,
                verdict=replace(done.verdict, error=sentence(done.verdict.reason, done.verdict.error)),
                at=done.at,
            )
            for enrollment_id, done in results.items()
            if done.written or changes_order(done.entry, done.verdict)
        ]
        try:
            if items:
                self._ports.source.write_back(items)
        except ReconcileError as error:
            # The audit has it all; the next run finds these orders behind and confirms them.
            self._halt.fail(error)
        for done in results.values():
            self._summary.add(done.verdict, paid_at=done.entry.enrollment.paid_at, at=done.at)
            self._progress.settled(done.verdict.outcome)
