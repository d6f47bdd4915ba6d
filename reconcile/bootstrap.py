"""The composition root: from settings to a working application. Every port can be replaced by keyword.

Libraries are imported here, inside functions, so that a command pays only for what it uses.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from reconcile import wiring
from reconcile.alerts.memory import MemoryAlertBook
from reconcile.base.clock import Clock
from reconcile.base.errors import ReconcileError
from reconcile.run.abort import never_begun
from reconcile.run.follow_up import Finished, FollowUp, follow_up
from reconcile.run.leases import Leases
from reconcile.run.options import APPLY, DRY_RUN, Ports, RunOptions, RunResult
from reconcile.run.ports import AuditLog, LearningPlatform, Progress
from reconcile.run.reconciler import Reconciler
from reconcile.run.retry import RetryPolicy
from reconcile.run.source import EnrollmentSource, Selection
from reconcile.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from reconcile.announcing import Announcing
    from reconcile.audit.log import SqlAuditLog
    from reconcile.drift.find import Looked
    from reconcile.drift.findings import Finding
    from reconcile.lms.lms import FrappeLms
    from reconcile.mail_setup import Mail
    from reconcile.metrics.metering import Metrics
    from reconcile.run.dry_run import NoAudit
    from reconcile.storefront.orders import MongoOrders

T = TypeVar("T")


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
        announcing: Announcing,
        follow_ups: Sequence[FollowUp] = (),
        orders: MongoOrders | None = None,
        lms: FrappeLms | None = None,
        notify: Notify | None = None,
        mail: Mail | None = None,
    ) -> None:
        self.settings = settings
        self.ports = ports
        self.stop = stop
        self.announcing = announcing
        self.follow_ups = list(follow_ups)
        self._orders = orders
        self._lms = lms
        #: Tells people something: `notify(title=…, body=…)`.
        self.notify: Notify = notify or announcing.notify
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

        ports = without_writes(self.ports) if dry_run else self.ports
        if dry_run and self.mail is not None:
            ports = self.mail.preview.watching(ports)
        return Reconciler(ports, progress=progress)

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

        return find_drift(self.orders, self.lms, self._memory, looked=looked)

    @property
    def orders(self) -> MongoOrders:
        """The orders of every status, for looking things up."""
        return _given(self._orders, "orders")

    @property
    def lms(self) -> FrappeLms:
        """The LMS with what only people ask for: rosters, whose key it is."""
        return _given(self._lms, "the LMS")

    @property
    def _memory(self) -> SqlAuditLog | NoAudit:
        from reconcile.audit.log import SqlAuditLog
        from reconcile.run.dry_run import NoAudit

        if isinstance(self.ports.audit, (SqlAuditLog, NoAudit)):
            return self.ports.audit
        raise TypeError("this application's audit log is a replaced one")

    def drift_found(self, counts: Mapping[str, int]) -> None:
        """Alert of drift by kind; the all-clear where all counts are 0. Never raises ReconcileError."""
        self.announcing.drift_found(counts, at=self.ports.clock.now())

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
            page_size=settings.page_size,
            concurrency=settings.concurrency,
            # A rehearsal sends nothing that the LMS would have to be spared.
            rate=0.0 if dry_run else settings.rate,
            retry_delay=settings.retry_delay,
            lease_ttl=settings.lease_ttl,
            max_enrolls=max_enrolls,
            known_trouble=self.known_trouble,
        )


def build(
    settings: Settings,
    *,
    create_audit: bool = True,
    stop: threading.Event | None = None,
    source: EnrollmentSource | None = None,
    platform: LearningPlatform | None = None,
    audit: AuditLog | None = None,
    leases: Leases | None = None,
    clock: Clock | None = None,
    notify: Notify | None = None,
    metrics: Metrics | None = None,
    alert_memory: MemoryAlertBook | None = None,
) -> App:
    """Put the application together; only the audit database is opened.

    With `create_audit=False` an audit database that does not exist is not made: nothing is
    remembered then, nobody is told. What runs do is counted in `metrics`; `alert_memory` is for a process
    that lives on from run to run. Raises ConfigurationError and AuditUnavailable.
    """
    from reconcile.announcing import announcing, saying_nothing
    from reconcile.audit.process import current_origin
    from reconcile.base.clock import SystemClock

    stop = stop or threading.Event()
    clock = clock or SystemClock(stop)
    origin = current_origin()
    with ExitStack() as opened:
        audit = audit or wiring.audit(settings, opened, create=create_audit)
        shop = lms = None
        if source is None or leases is None:
            database = wiring.open_database(settings, opened)
            shop = wiring.shop(settings, database)
            source = source or shop.source
            leases = leases or wiring.leases(settings, database, origin)
        if platform is None:
            platform = lms = wiring.platform(settings, opened, clock, metrics=metrics)
        ports = Ports(
            source=source,
            platform=platform,
            audit=audit,
            leases=leases,
            clock=clock,
            origin=origin,
        )
        mail = wiring.mail(settings, ports, stop)
        told = saying_nothing()
        if create_audit:
            told = announcing(
                settings, ports, stop=stop, memory=alert_memory, sales=shop.sales if shop else None
            )
        return App(
            settings,
            ports,
            stop=stop,
            resources=opened.pop_all(),
            orders=shop.orders if shop is not None else None,
            lms=lms,
            notify=notify,
            mail=mail,
            announcing=told,
            follow_ups=wiring.follow_ups(ports, stop=stop, mail=mail, metrics=metrics) + told.follow_ups,
        )


def _given(part: T | None, name: str) -> T:
    if part is None:
        raise TypeError(f"this application was put together without {name}")
    return part
