"""Each port over its real library: the parts that `build` puts together.

Libraries are imported here, inside functions, so that a command pays only for what it uses.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn, cast

from reconcile.base.clock import Clock
from reconcile.base.errors import AuditUnavailable
from reconcile.run.leases import Leases
from reconcile.run.options import Ports
from reconcile.run.ports import AuditLog, LearningPlatform, Origin
from reconcile.run.source import EnrollmentSource
from reconcile.settings import Settings

if TYPE_CHECKING:
    from pymongo.database import Database

    from reconcile.app.mail import MailParts
    from reconcile.diagnosis.systems import Systems
    from reconcile.lms.lms import FrappeLms
    from reconcile.metrics.metering import Metering
    from reconcile.metrics.metrics import Metrics
    from reconcile.storefront.orders import MongoOrders


def mail(settings: Settings, ports: Ports, stop: threading.Event) -> MailParts | None:
    """Mail to the learner; None where it is off."""
    if not settings.mails:
        return None
    from reconcile.app.mail import set_up_mail

    return set_up_mail(settings, ports, stop)


def metering(metrics: Metrics | None, ports: Ports, stop: threading.Event) -> Metering | None:
    """What counts each run; None where nobody reads the numbers."""
    if metrics is None:
        return None
    from reconcile.metrics.metering import Metering

    return Metering(metrics, ports, stop=stop)


def open_database(settings: Settings, opened: ExitStack) -> Database[dict[str, Any]]:
    """The storefront's database, not yet contacted; closed with `opened`."""
    from reconcile.storefront.connect import connect

    database = connect(settings.mongodb_uri.get_secret_value(), settings.database)
    opened.callback(database.client.close)
    return database


@dataclass(frozen=True, kw_only=True)
class Shop:
    """The storefront's database, not yet contacted, and what of it is looked at."""

    database: Database[dict[str, Any]]
    source: EnrollmentSource
    orders: MongoOrders


def shop(settings: Settings, opened: ExitStack) -> Shop:
    """The storefront's orders and its retry queue, read by one shop's rules; closed with `opened`."""
    from reconcile.storefront.orders import MongoOrders
    from reconcile.storefront.reading import OrderReader
    from reconcile.storefront.retry_queue import RetryQueue
    from reconcile.storefront.source import MongoSource

    database = open_database(settings, opened)
    collection = settings.mongodb_collection
    queue = RetryQueue(database, name=settings.retry_jobs_collection or None)
    reader = OrderReader(email_rule=_email_problem, placeholders=settings.placeholder_emails, queue=queue)
    return Shop(
        database=database,
        source=MongoSource(
            database, collection=collection, reader=reader, queue=queue, page_size=settings.page_size
        ),
        orders=MongoOrders(database, collection=collection, reader=reader, queue=queue),
    )


def _email_problem(address: str) -> str | None:
    """What is wrong with an address, or None; the library that knows is imported with the first one."""
    return _email_rule()(address)


@cache
def _email_rule() -> Callable[[str], str | None]:
    from reconcile.storefront.email_rule import email_problem

    return email_problem


def leases(settings: Settings, database: Database[dict[str, Any]], origin: Origin) -> Leases:
    """Who may write for whom."""
    from reconcile.storefront.leases import MongoLeases

    return MongoLeases(database, origin=origin, ttl=settings.lease_ttl, hold=settings.ambiguous_hold)


def platform(
    settings: Settings, opened: ExitStack, clock: Clock, *, metrics: Metrics | None = None
) -> FrappeLms:
    """The LMS; closed with `opened`."""
    from reconcile.lms.lms import FrappeLms
    from reconcile.lms.operations import by_purpose

    key = settings.authorization
    platform = FrappeLms(
        base_url=settings.lms_base_url,
        authorization=key.get_secret_value() if key is not None else None,
        via=settings.enroll_via,
        timeout=settings.timeout,
        on_request=by_purpose(metrics.request) if metrics is not None else None,
        sleep=clock.sleep,
    )
    opened.callback(platform.close)
    return platform


class _NotAsked:
    """In the LMS's place, for a command that does not ask it."""

    def __getattr__(self, name: str) -> NoReturn:
        raise TypeError(f"this application was put together without an LMS, and is asked for its {name}")


def no_platform() -> LearningPlatform:
    """An LMS that nobody may ask: its client takes longer to import than such a command works."""
    return cast("LearningPlatform", _NotAsked())


def audit(settings: Settings, opened: ExitStack, *, create: bool) -> AuditLog:
    """The audit database, opened; one that remembers nothing where there is none and none is made."""
    from reconcile.audit.log import open_audit
    from reconcile.run.dry_run import NoAudit

    audit = open_audit(settings.audit_url.get_secret_value(), create=create)
    if audit is None:
        return NoAudit()
    opened.callback(audit.close)
    return audit


def to_diagnose(settings: Settings, opened: ExitStack) -> Systems:
    """What `diagnose` looks at; an audit database that cannot be used is told of by a check of its own."""
    from reconcile.base.clock import SystemClock
    from reconcile.diagnosis.systems import Systems
    from reconcile.run.dry_run import NoAudit

    found = shop(settings, opened)
    clock = SystemClock()
    try:
        remembered = audit(settings, opened, create=False)
    except AuditUnavailable:
        remembered = NoAudit()
    return Systems(
        database=found.database,
        source=found.source,
        lms=platform(settings, opened, clock),
        audit=remembered,
        clock=clock,
    )
