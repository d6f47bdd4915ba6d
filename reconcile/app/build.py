"""From settings to an application: every port over its real library, or replaced by keyword.

Libraries are imported here, inside functions, so that a command pays only for what it uses.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

from reconcile.app import parts
from reconcile.app.app import App, Notify
from reconcile.base.clock import Clock, SystemClock
from reconcile.run.leases import Leases
from reconcile.run.options import Ports
from reconcile.run.ports import AuditLog, LearningPlatform
from reconcile.run.source import EnrollmentSource
from reconcile.settings import Settings

if TYPE_CHECKING:
    from reconcile.alerts.memory import MemoryAlertBook
    from reconcile.metrics.metrics import Metrics


def build(
    settings: Settings,
    *,
    create_audit: bool = True,
    asks_lms: bool = True,
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
    remembered then, nobody is told. With `asks_lms=False` the LMS cannot be asked. What runs do is counted in
    `metrics`; `alert_memory` is for a process that lives on from run to run. Raises ConfigurationError and
    AuditUnavailable.
    """
    from reconcile.app.alerts import alerts, no_alerts
    from reconcile.audit.process import current_origin

    stop = stop or threading.Event()
    clock = clock or SystemClock(stop)
    origin = current_origin()
    with ExitStack() as opened:
        audit = audit or parts.audit(settings, opened, create=create_audit)
        shop = lms = None
        if source is None or leases is None:
            shop = parts.shop(settings, opened)
            source = source or shop.source
            leases = leases or parts.leases(settings, shop.database, origin)
        if not asks_lms:
            platform = parts.no_platform()
        elif platform is None:
            platform = lms = parts.platform(settings, opened, clock, metrics=metrics)
        ports = Ports(
            source=source, platform=platform, audit=audit, leases=leases, clock=clock, origin=origin
        )
        mail = parts.mail(settings, ports, stop)
        told = no_alerts()
        if create_audit:
            sales = shop.orders if shop is not None else None
            told = alerts(settings, ports, stop=stop, memory=alert_memory, sales=sales)
        # In this order: monitoring knows of a run before a mail server or a notifier takes its time.
        metering = parts.metering(metrics, ports, stop)
        steps = [metering, mail.step if mail is not None else None]
        looks = [metering, told.alerting.look if told.alerting is not None else None]
        return App(
            settings,
            ports,
            stop=stop,
            resources=opened.pop_all(),
            shop=shop,
            lms=lms,
            notify=notify,
            mail=mail,
            alerts=told,
            follow_ups=[step for step in steps if step is not None] + told.follow_ups,
            onlookers=[look for look in looks if look is not None],
        )
