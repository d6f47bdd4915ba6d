"""The composition root: from settings to a working application. Every port can be replaced by keyword.

Libraries are imported here, inside functions, so that a command pays only for what it uses.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from reconcile.domain.retry import RetryPolicy
from reconcile.followup import Finished, FollowUp, follow_up
from reconcile.ports import (
    AuditLog,
    Clock,
    EnrollmentSource,
    LearningPlatform,
    Leases,
    Origin,
    Progress,
    Selection,
)
from reconcile.reconciler import APPLY, DRY_RUN, Ports, Reconciler, RunOptions, RunResult
from reconcile.settings import Settings

if TYPE_CHECKING:
    from pymongo.database import Database


class App:
    """One process's application: its ports, and what must be closed at the end."""

    def __init__(
        self,
        settings: Settings,
        ports: Ports,
        *,
        stop: threading.Event,
        resources: ExitStack,
        follow_ups: Sequence[FollowUp] = (),
    ) -> None:
        self.settings = settings
        self.ports = ports
        self.stop = stop
        self.follow_ups = list(follow_ups)
        self._resources = resources

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()

    def reconciler(self, *, dry_run: bool = False, progress: Progress | None = None) -> Reconciler:
        """The use case over this application's ports; with `dry_run` nothing is written anywhere."""
        from reconcile.reconciler.dry_run import without_writes

        return Reconciler(without_writes(self.ports) if dry_run else self.ports, progress=progress)

    def reconcile(
        self, options: RunOptions, *, progress: Progress | None = None, stop: threading.Event | None = None
    ) -> RunResult:
        """One run, and what follows it; a dry run is followed by nothing. Never raises ReconcileError."""
        dry_run = options.mode == DRY_RUN
        result = self.reconciler(dry_run=dry_run, progress=progress).run(options, stop=stop or self.stop)
        if not dry_run:
            follow_up(self.follow_ups, Finished(options=options, result=result))
        return result

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
) -> App:
    """Put the application together; only the audit database is opened.

    With `create_audit=False` an audit database that does not exist is not made: nothing is
    remembered then. Raises ConfigurationError and AuditUnavailable.
    """
    from reconcile.adapters.process import current_origin
    from reconcile.clock import SystemClock

    stop = stop or threading.Event()
    origin = current_origin()
    with ExitStack() as opened:
        audit = audit or _audit(settings, opened, create=create_audit)
        if source is None or leases is None:
            database = open_database(settings, opened)
            source = source or _source(settings, database)
            leases = leases or _leases(settings, database, origin)
        ports = Ports(
            source=source,
            platform=platform or _platform(settings, opened, stop),
            audit=audit,
            leases=leases,
            clock=clock or SystemClock(stop),
            origin=origin,
        )
        return App(settings, ports, stop=stop, resources=opened.pop_all())


def open_database(settings: Settings, opened: ExitStack) -> Database[dict[str, Any]]:
    """The storefront's database, not yet contacted; closed with `opened`."""
    from reconcile.adapters.mongo_connect import connect

    database = connect(settings.mongodb_uri.get_secret_value(), settings.database)
    opened.callback(database.client.close)
    return database


def _source(settings: Settings, database: Database[dict[str, Any]]) -> EnrollmentSource:
    from reconcile.adapters.email_rule import email_problem
    from reconcile.adapters.mongo import MongoSource

    return MongoSource(
        database,
        collection=settings.mongodb_collection,
        email_rule=email_problem,
        page_size=settings.page_size,
    )


def _leases(settings: Settings, database: Database[dict[str, Any]], origin: Origin) -> Leases:
    from reconcile.adapters.mongo_leases import MongoLeases

    return MongoLeases(database, origin=origin, ttl=settings.lease_ttl, hold=settings.ambiguous_hold)


def _platform(settings: Settings, opened: ExitStack, stop: threading.Event) -> LearningPlatform:
    from reconcile.adapters.frappe import FrappeLms
    from reconcile.clock import SystemClock

    key = settings.authorization
    platform = FrappeLms(
        base_url=settings.lms_base_url,
        authorization=key.get_secret_value() if key is not None else None,
        via=settings.enroll_via,
        timeout=settings.timeout,
        sleep=SystemClock(stop).sleep,
    )
    opened.callback(platform.close)
    return platform


def _audit(settings: Settings, opened: ExitStack, *, create: bool) -> AuditLog:
    from reconcile.adapters.audit import open_audit
    from reconcile.reconciler.dry_run import NoAudit

    audit = open_audit(settings.audit_url.get_secret_value(), create=create)
    if audit is None:
        return NoAudit()
    opened.callback(audit.close)
    return audit
