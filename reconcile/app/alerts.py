"""Who is told of runs, put together from the settings: alerts, pings, and messages that jobs send.

Apart from `build`, which puts the rest together, because a run that could not begin is told of as well.
Most runs alert and ping nobody: what does is imported inside functions.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from reconcile.alerts.notify import AppriseNotifier, LogNotifier, Notifier
from reconcile.base import log
from reconcile.base.errors import AuditUnavailable, NotificationFailed, ReconcileError
from reconcile.base.redaction import redact
from reconcile.run.abort import never_begun
from reconcile.run.follow_up import FollowUp
from reconcile.run.options import APPLY, Ports, RunOptions, RunResult

if TYPE_CHECKING:
    from reconcile.alerts.alerting import Alerting
    from reconcile.alerts.memory import AlertBook, MemoryAlertBook
    from reconcile.alerts.pinging import HttpPinger
    from reconcile.settings import Settings
    from reconcile.storefront.orders import MongoOrders

_log = log.get_logger(__name__)

#: Seconds to wait for the audit database where a run could not begin: somebody else may be stuck in it.
_BUSY = 5.0


@dataclass(kw_only=True)
class Alerts:
    """How one application speaks to people and to machines that watch."""

    notifier: Notifier
    alerting: Alerting | None = None
    follow_ups: list[FollowUp] = field(default_factory=list)

    def notify(self, *, title: str, body: str) -> None:
        """Send one message. Never raises: what nobody takes is logged."""
        try:
            self.notifier.notify(title=redact(title), body=redact(body))
        except NotificationFailed as error:
            _log.error("Message could not be sent", title=title, error=str(error))

    def drift_found(self, counts: Mapping[str, int], *, at: datetime) -> None:
        """Alert of drift by kind, or give the all-clear where there is none. Never raises ReconcileError."""
        if self.alerting is None:
            return
        from reconcile.alerts.causes import Situation

        try:
            self.alerting.evaluate(Situation(at=at, drift=counts))
        except ReconcileError as error:
            _log.error("Alerts could not be judged", error=str(error))


def alerts(
    settings: Settings,
    ports: Ports,
    *,
    stop: threading.Event,
    memory: MemoryAlertBook | None = None,
    sales: MongoOrders | None = None,
) -> Alerts:
    """What follows the runs of an application. Raises ConfigurationError.

    `memory`: what this process remembers of its own alerts, for when the audit database is away.
    """
    found = Alerts(notifier=_notifier(settings))
    if (pinger := _pinger(settings)) is not None:
        from reconcile.alerts.pinging import Pinging

        found.follow_ups.append(Pinging(pinger))
    if settings.alert_url_list:
        found.alerting = _alerting(settings, ports, found.notifier, stop=stop, memory=memory, sales=sales)
        found.follow_ups.append(found.alerting)
    return found


def _alerting(
    settings: Settings,
    ports: Ports,
    notifier: Notifier,
    *,
    stop: threading.Event,
    memory: MemoryAlertBook | None,
    sales: MongoOrders | None,
) -> Alerting:
    from reconcile.alerts.alerting import Alerting
    from reconcile.alerts.book import SqlAlertBook, SqlRunHistory
    from reconcile.alerts.look import Look
    from reconcile.alerts.memory import MemoryAlertBook
    from reconcile.audit.log import SqlAuditLog

    audit = ports.audit
    book: AlertBook = MemoryAlertBook()
    runs = None
    if isinstance(audit, SqlAuditLog):
        book, runs = SqlAlertBook(audit.store), SqlRunHistory(audit.store)
    alert_age = timedelta(seconds=settings.alert_age)
    look = Look(
        source=ports.source,
        audit=audit,
        clock=ports.clock,
        alert_age=alert_age,
        runs=runs,
        sales=sales,
        stop=stop,
    )
    return Alerting(notifier=notifier, book=book, alert_age=alert_age, look=look, fallback=memory)


def no_alerts() -> Alerts:
    """Of an application that only reads: messages go to the log."""
    return Alerts(notifier=LogNotifier())


def check(settings: Settings) -> None:
    """Return if messages can be sent as the settings say. Sends nothing. Raises ConfigurationError."""
    _notifier(settings)


def could_not_begin(
    settings: Settings, error: ReconcileError, *, memory: MemoryAlertBook | None = None
) -> None:
    """Tell that a run could not even begin: `/fail`, and an alert. Never raises.

    Without an audit database nothing says what was told before: then only a process that has a
    `memory` alerts, because the next one would say the same again.
    """
    now = datetime.now(UTC)
    result = never_begun(error, mode=APPLY, at=now)
    if (pinger := _pinger(settings)) is not None:
        from reconcile.alerts.pinging import report

        pinger.ping(failed=True, text=report(result.summary, error))
    if not settings.alert_url_list:
        return
    try:
        _alert(settings, result, now, memory)
    except Exception as trouble:  # noqa: BLE001  the error that is told of must not be hidden by another
        _log.error("Alerts could not be judged", error=f"{type(trouble).__name__}: {trouble}")


def judge_silence(settings: Settings) -> None:
    """Alert where no run has succeeded for too long: for whoever notices that none ends. Never raises."""
    if not settings.alert_url_list:
        return
    from reconcile.alerts.alerting import Alerting
    from reconcile.alerts.book import SqlAlertBook, SqlRunHistory
    from reconcile.alerts.causes import Situation
    from reconcile.audit.log import open_audit

    try:
        with closing(open_audit(settings.audit_url.get_secret_value(), busy_timeout=_BUSY)) as audit:
            situation = Situation(at=datetime.now(UTC), successes=SqlRunHistory(audit.store).successes())
            Alerting(
                notifier=_notifier(settings),
                book=SqlAlertBook(audit.store),
                alert_age=timedelta(seconds=settings.alert_age),
            ).evaluate(situation)
    except Exception as trouble:  # noqa: BLE001  in a thread of its own: nobody else would tell
        _log.error("Alerts could not be judged", error=f"{type(trouble).__name__}: {trouble}")


def _alert(settings: Settings, result: RunResult, now: datetime, memory: MemoryAlertBook | None) -> None:
    from reconcile.alerts.alerting import Alerting
    from reconcile.alerts.book import SqlAlertBook
    from reconcile.alerts.causes import Situation
    from reconcile.alerts.look import run_end
    from reconcile.audit.log import open_audit

    notifier = _notifier(settings)
    situation = Situation(at=now, run=run_end(RunOptions(), result))
    alert_age = timedelta(seconds=settings.alert_age)

    def alert(book: AlertBook) -> None:
        Alerting(notifier=notifier, book=book, alert_age=alert_age, fallback=memory).evaluate(situation)

    try:
        with closing(open_audit(settings.audit_url.get_secret_value(), busy_timeout=_BUSY)) as audit:
            alert(SqlAlertBook(audit.store))
    except AuditUnavailable:
        if memory is None:
            raise
        alert(memory)


def _notifier(settings: Settings) -> Notifier:
    urls = [url.get_secret_value() for url in settings.alert_url_list]
    return AppriseNotifier(urls) if urls else LogNotifier()


def _pinger(settings: Settings) -> HttpPinger | None:
    url = settings.ping_url.get_secret_value()
    if not url:
        return None
    from reconcile.alerts.pinging import HttpPinger

    return HttpPinger(url)
