"""Look at the whole situation after a run: who waits for what, and what earlier runs say. Reads only."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from reconcile.alerts.causes import Emptiness, RunEnd, Situation
from reconcile.alerts.groups import Groups
from reconcile.base import log
from reconcile.base.clock import Clock
from reconcile.base.errors import ReconcileError
from reconcile.base.redaction import escape_controls, excerpt, mask_email, redact
from reconcile.domain.model import AnyEnrollment, History
from reconcile.run.options import RunOptions, RunResult
from reconcile.run.ports import AuditLog
from reconcile.run.source import EnrollmentSource
from reconcile.run.summary import RunStatus
from reconcile.run.unmarked import find_unmarked
from reconcile.story.shop_texts import paid_word
from reconcile.story.unsynced import unsynced

if TYPE_CHECKING:
    from reconcile.alerts.book import SqlRunHistory
    from reconcile.storefront.orders import MongoOrders

_log = log.get_logger(__name__)

T = TypeVar("T")

_PAGE = 500
#: Seconds for the look at the backlog. What is not reached by then is not concluded upon.
LONGEST_LOOK = 60.0


class Look:
    """Makes a Situation of a run's end and of what MongoDB and the audit say now."""

    def __init__(
        self,
        *,
        source: EnrollmentSource,
        audit: AuditLog,
        clock: Clock,
        alert_age: timedelta,
        runs: SqlRunHistory | None = None,
        sales: MongoOrders | None = None,
        stop: threading.Event | None = None,
        longest: float = LONGEST_LOOK,
    ) -> None:
        self._source = source
        self._audit = audit
        self._clock = clock
        self._alert_age = alert_age
        self._runs = runs
        self._sales = sales
        self._stop = stop or threading.Event()
        self._longest = longest
        self._told: Groups | None = None  #: by the run, where it tells

    def begins(self) -> None:
        """A run begins, which will tell of everybody who is left."""
        self._told = self._nobody(complete=True)

    def left(self, item: AnyEnrollment, history: History) -> None:
        """The run has left this order unsynced."""
        if self._told is not None:
            self._told.add(item, history, line_of)

    def after(self, options: RunOptions, result: RunResult) -> Situation:
        """The situation after a run. Never raises: what cannot be looked at is left open."""
        run, now = run_end(options, result), self._clock.now()
        told, self._told = self._told if result.saw_all else None, None
        is_empty = run.status is RunStatus.COMPLETED and run.whole and not run.scanned
        unmarked = _ask(
            lambda: find_unmarked(self._source, self._audit, now), "paid orders that were never marked"
        )
        return Situation(
            at=now,
            run=run,
            groups=told or _ask(self._groups, "the backlog"),
            successes=_ask(self._runs.successes, "earlier runs") if self._runs is not None else None,
            emptiness=_ask(self._emptiness, "the newest sale") if is_empty else None,
            queue=_ask(lambda: self._source.shop_queue(now), "the shop's retry queue"),
            unmarked=unmarked,
            unmarked_lines=[line_of(item) for item in unmarked.samples] if unmarked is not None else (),
        )

    def _groups(self) -> Groups:
        """Every unsynced order by its cause."""
        started = self._clock.monotonic()
        groups = self._nobody()
        if self._stop.is_set():
            return groups
        for item, history in unsynced(self._source, self._audit, page_size=_PAGE):
            # Asked to stop, or far too many: what was seen so far is a lower bound.
            if self._stop.is_set() or self._clock.monotonic() - started > self._longest:
                return groups
            groups.add(item, history, line_of)
        groups.complete = True
        return groups

    def _nobody(self, *, complete: bool = False) -> Groups:
        return Groups(now=self._clock.now(), alert_age=self._alert_age, complete=complete)

    def _emptiness(self) -> Emptiness | None:
        if self._runs is None or self._sales is None:
            return None
        return Emptiness(found_at=self._runs.found_at(), newest_paid_at=self._sales.newest_paid_at())


def _ask(question: Callable[[], T], what: str) -> T | None:
    try:
        return question()
    except ReconcileError as error:
        _log.warning("Alerts go without a look", at=what, error=str(error))
        return None


def run_end(options: RunOptions, result: RunResult) -> RunEnd:
    """A run's end as the causes see it."""
    summary = result.summary
    return RunEnd(
        status=summary.status,
        reason=summary.reason,
        error=excerpt(str(result.failure)) if result.failure is not None else "",
        hint=excerpt(result.failure.hint) if result.failure is not None else "",
        whole=options.selection.is_everything,
        scanned=summary.scanned,
    )


def line_of(item: AnyEnrollment) -> str:
    """One order in a line for support: its id, the masked address, the course, when it was paid."""
    at = f"{item.paid_at:%Y-%m-%d}" if item.paid_at is not None else "at an unknown time"
    who = mask_email(item.email or "") or "no e-mail"
    parts = (item.id, who, item.course or "no course", f"{paid_word(item)} {at}")
    return escape_controls(redact("  ".join(part[:100] for part in parts)))
