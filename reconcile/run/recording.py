"""Commit what is known of the orders, many in one transaction; then tell the storefront.

The outcome is committed before its order is told: a crash between the two is made good by the next run, which
finds the order behind and confirms it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from reconcile.base.errors import ReconcileError
from reconcile.domain.messages import sentence
from reconcile.domain.model import (
    SYNC_STATUS,
    AnyEnrollment,
    History,
    Outcome,
    Reason,
    Verdict,
    action_of,
)
from reconcile.run.decision import shop_tries
from reconcile.run.follow_up import Onlooker
from reconcile.run.options import Halt, Ports
from reconcile.run.page import Surveyed, Told
from reconcile.run.ports import Progress, Record
from reconcile.run.source import WriteBack
from reconcile.run.summary import RunSummary
from reconcile.run.verdicts import changes_order, is_news

#: Another run has recorded the same, or is at the learner: it is left to that run.
_LEFT_TO_ANOTHER = Verdict(outcome=Outcome.SKIPPED, reason=Reason.LEASE_HELD)


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What came of a portion."""

    told: Sequence[Told] = ()  #: committed: the storefront may be told
    lost: Sequence[Told] = ()  #: not committed: the run is ending, and nobody is told


class Recording:
    """Commits outcomes, for one run."""

    def __init__(self, *, ports: Ports, run_id: str, halt: Halt) -> None:
        self._ports = ports
        self._run_id = run_id
        self._halt = halt
        self._unrecorded: set[str] = set()  #: orders with an attempt whose end could not be committed

    def record(self, told: Sequence[Told]) -> Recorded:
        """Commit these together. What fails ends the run (`Halt`)."""
        audit = self._ports.audit
        ends = [end for each in told for end in each.ends]
        records = [record for each in told if (record := self._news(each)) is not None]
        try:
            if ends:
                audit.finish_all(ends, run_id=self._run_id)
            left_out = audit.record(records) if records else frozenset()
        except ReconcileError as error:
            self._halt.fail(error)
            self._unrecorded |= {each.entry.enrollment.id for each in told}
            return Recorded(lost=told)
        lost = [each for each in told if each.entry.enrollment.id in self._unrecorded]
        kept = [each for each in told if each.entry.enrollment.id not in self._unrecorded]
        return Recorded(
            told=[self._left_out(each) if each.entry.enrollment.id in left_out else each for each in kept],
            lost=lost,
        )

    def _left_out(self, each: Told) -> Told:
        return (
            replace(each, verdict=_LEFT_TO_ANOTHER) if each.verdict is not None and not each.written else each
        )

    def _news(self, each: Told) -> Record | None:
        entry, verdict = each.entry, each.verdict
        if verdict is None or each.written or not is_news(entry, verdict):
            return None
        return Record(
            run_id=self._run_id,
            enrollment=entry.enrollment,
            action="confirm" if verdict.outcome.has_access else action_of(entry.decision),
            verdict=verdict,
            at=each.at,
            shop_tries=shop_tries(entry.enrollment, entry.history),
            known=entry.history.newest,
        )


class Telling:
    """Tells the storefront, the run's summary and whoever watches, for one run."""

    def __init__(
        self,
        *,
        ports: Ports,
        summary: RunSummary,
        halt: Halt,
        progress: Progress,
        onlookers: Sequence[Onlooker] = (),
    ) -> None:
        self._ports = ports
        self._summary = summary
        self._halt = halt
        self._progress = progress
        self._onlookers = onlookers

    def tell(self, told: Sequence[Told]) -> None:
        """Write these back in one go; what fails ends the run (`Halt`), and the next one makes it good."""
        done = [(each, each.verdict) for each in told if each.verdict is not None]
        items = [
            WriteBack(
                enrollment_id=each.entry.enrollment.id,
                verdict=replace(verdict, error=sentence(verdict.reason, verdict.error)),
                at=each.at,
            )
            for each, verdict in done
            if each.written or changes_order(each.entry, verdict)
        ]
        try:
            if items:
                self._ports.source.write_back(items)
        except ReconcileError as error:
            # The audit has it all; the next run finds these orders behind and confirms them.
            self._halt.fail(error)
        for each, verdict in done:
            self._summary.add(verdict, paid_at=each.entry.enrollment.paid_at, at=each.at)
            self._progress.settled(verdict.outcome)
            if not verdict.outcome.has_access:
                item, history = _after(each.entry, verdict)
                for onlooker in self._onlookers:
                    onlooker.left(item, history)


def _after(entry: Surveyed, verdict: Verdict) -> tuple[AnyEnrollment, History]:
    """An order, and what is remembered of it, after this verdict; a skip leaves both as they were."""
    item, history = entry.enrollment, entry.history
    if verdict.outcome is Outcome.SKIPPED:
        return item, history
    history = replace(history, last_outcome=verdict.outcome, last_reason=verdict.reason)
    return replace(item, sync=replace(item.sync, status=SYNC_STATUS[verdict.outcome].value)), history
