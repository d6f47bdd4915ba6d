"""One process's application: its ports, its runs and what follows them, and what people look things up with.

Libraries are imported here, inside functions, so that a command pays only for what it uses.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from reconcile.base.errors import ReconcileError
from reconcile.run.abort import never_begun
from reconcile.run.follow_up import Finished, FollowUp, Onlooker, follow_up
from reconcile.run.options import APPLY, DRY_RUN, LOOK_AT_ONCE, Ports, RunOptions, RunResult
from reconcile.run.ports import Progress
from reconcile.run.retry import RetryPolicy
from reconcile.run.source import Selection
from reconcile.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from reconcile.app.alerts import Alerts
    from reconcile.app.mail import MailParts
    from reconcile.app.parts import Shop
    from reconcile.drift.find import Looked
    from reconcile.drift.findings import Finding
    from reconcile.lms.lms import FrappeLms
    from reconcile.run.reconciler import Reconciler
    from reconcile.storefront.orders import MongoOrders


class Notify(Protocol):
    """Tells people something."""

    def __call__(self, *, title: str, body: str) -> None:
        """Tell it. Never raises; may be repeated, and is told again then."""
        ...


class App:
    """One process's application: its ports, and what must be closed at the end."""

    def __init__(
        self,
        settings: Settings,
        ports: Ports,
        *,
        stop: threading.Event,
        resources: ExitStack,
        alerts: Alerts,
        follow_ups: Sequence[FollowUp] = (),
        onlookers: Sequence[Onlooker] = (),
        shop: Shop | None = None,
        lms: FrappeLms | None = None,
        notify: Notify | None = None,
        mail: MailParts | None = None,
    ) -> None:
        self.settings = settings
        self.ports = ports
        self.stop = stop
        self.alerts = alerts
        self.follow_ups = list(follow_ups)
        self._onlookers = list(onlookers)
        self._shop = shop
        self._lms = lms
        #: Tells people something: `notify(title=…, body=…)`.
        self.notify: Notify = notify or alerts.notify
        #: Why runs cannot work at present, where that has been told: they do not say it again.
        self.known_trouble: str | None = None
        #: None where learners are not mailed.
        self.mail = mail
        self._resources = resources

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()

    @contextmanager
    def reading(self) -> Iterator[Connection | None]:
        """The audit database for reports; None where nothing is recorded yet. Raises AuditUnavailable."""

        from reconcile.audit.log import SqlAuditLog

        audit = self.ports.audit
        if isinstance(audit, SqlAuditLog):
            with audit.reading() as connection:
                yield connection
        else:
            yield None

    def reconciler(self, *, dry_run: bool = False, progress: Progress | None = None) -> Reconciler:
        """The use case over this application's ports; with `dry_run` nothing is written anywhere."""
        from reconcile.run.dry_run import without_writes
        from reconcile.run.reconciler import Reconciler

        ports = without_writes(self.ports) if dry_run else self.ports
        if dry_run and self.mail is not None:
            ports = self.mail.preview.watching(ports)
        return Reconciler(ports, progress=progress, onlookers=() if dry_run else self._onlookers)

    def reconcile(
        self, options: RunOptions, *, progress: Progress | None = None, stop: threading.Event | None = None
    ) -> RunResult:
        """One run, and what follows it; a dry run is followed by nothing. Never raises ReconcileError."""
        dry_run = options.mode == DRY_RUN
        steps = [] if dry_run else self.follow_ups
        try:
            result = self.reconciler(dry_run=dry_run, progress=progress).run(options, stop=stop or self.stop)
        except Exception as bug:
            error = ReconcileError(f"{type(bug).__name__}: {bug}", hint="This is a bug, please report it.")
            never = never_begun(error, mode=options.mode, at=self.ports.clock.now())
            follow_up(steps, Finished(options=options, result=never))
            raise
        follow_up(steps, Finished(options=options, result=result))
        return result

    def drift(self, looked: Looked) -> Iterator[Finding]:
        """Stream where both sides differ the other way round. Reads only. Raises ReconcileError kinds."""
        from reconcile.drift.find import find_drift

        return find_drift(self.orders, self.lms, self.ports.audit, looked=looked)

    @property
    def orders(self) -> MongoOrders:
        """The orders of every status, for looking things up."""
        if self._shop is None:
            raise TypeError("this application was put together without a storefront's database")
        return self._shop.orders

    @property
    def lms(self) -> FrappeLms:
        """The LMS with what only people ask for: rosters, whose key it is."""
        if self._lms is None:
            raise TypeError("this application was put together without an LMS of its own")
        return self._lms

    def drift_found(self, counts: Mapping[str, int]) -> None:
        """Alert of drift by kind; the all-clear where all counts are 0. Never raises ReconcileError."""
        self.alerts.drift_found(counts, at=self.ports.clock.now())

    def options(
        self,
        *,
        selection: Selection | None = None,
        include_failed: bool = False,
        immediately: bool = False,
        max_enrolls: int | None = None,
        dry_run: bool = False,
    ) -> RunOptions:
        """A run's options: the settings, and what this one run was told."""
        settings = self.settings
        return RunOptions(
            selection=selection or Selection(),
            policy=RetryPolicy(
                max_attempts=settings.max_attempts,
                backoff_base=settings.backoff_base,
                backoff_max=settings.backoff_max,
                min_age=settings.min_age,
                hold=settings.ambiguous_hold,
                include_failed=include_failed,
                immediately=immediately,
            ),
            mode=DRY_RUN if dry_run else APPLY,
            # The LMS is asked about as many whole pages as it takes at once.
            page_size=settings.page_size * max(1, LOOK_AT_ONCE // settings.page_size),
            concurrency=settings.concurrency,
            batch=settings.batch,
            # A rehearsal sends nothing that the LMS would have to be spared.
            rate=0.0 if dry_run else settings.rate,
            retry_delay=settings.retry_delay,
            lease_ttl=settings.lease_ttl,
            max_enrolls=max_enrolls,
            known_trouble=self.known_trouble,
        )
