"""Alerts after each run: one message per cause, told once over all processes, again only when it must be.

What to tell is decided in `reconcile.alerts.decision`; here it is claimed, sent and remembered. What could
not be sent is not remembered as told: the next run tries again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from reconcile.alerts.causes import Situation, find_causes
from reconcile.alerts.decision import Findings, Kind, News, Step, decide_alerts
from reconcile.alerts.look import Look
from reconcile.alerts.memory import AlertBook, MemoryAlertBook
from reconcile.alerts.notify import Level, Notifier
from reconcile.alerts.texts import Message, bundle, write_message
from reconcile.base import log
from reconcile.base.errors import AuditUnavailable, NotificationFailed
from reconcile.base.redaction import redact
from reconcile.run.follow_up import Finished

_log = log.get_logger(__name__)

#: A process that died while it told leaves its claim; from then on another one may tell.
CLAIM = timedelta(minutes=2)
#: More messages than this at once are put into one.
MOST_AT_ONCE = 3

#: A step with news, the right to tell it, and what is told.
_Claimed = tuple[Step, str, Message]

_LOUD = frozenset({Kind.ABORTED.value, Kind.SILENCE.value, Kind.SCAN_EMPTY.value})


class Alerting:
    """The FollowUp that speaks up. `fallback` is for a process that lives on while the audit is away."""

    name = "alerts"

    def __init__(
        self,
        *,
        notifier: Notifier,
        book: AlertBook,
        alert_age: timedelta,
        look: Look | None = None,
        fallback: MemoryAlertBook | None = None,
    ) -> None:
        self._notifier = notifier
        self._book = book
        self._alert_age = alert_age
        self.look = look
        self._fallback = fallback

    def after(self, finished: Finished) -> None:
        """Look, decide, tell. Raises AuditUnavailable where nothing can be remembered."""
        if self.look is not None:
            self.evaluate(self.look.after(finished.options, finished.result))

    def evaluate(self, situation: Situation) -> None:
        """Tell what this situation asks for. May be repeated. Raises AuditUnavailable."""
        findings = find_causes(situation)
        try:
            self._tell(findings, self._book, situation.at)
        except AuditUnavailable:
            if self._fallback is None:
                raise
            # Of the rest the audit knows what was told: only that runs are aborted is told without it.
            aborted = {key: cause for key, cause in findings.causes.items() if cause.kind is Kind.ABORTED}
            self._tell(Findings(causes=aborted, judged=findings.judged), self._fallback, situation.at)
        else:
            if self._fallback is not None:
                # The audit is back: what was told without it gets its all-clear.
                self._tell(Findings(judged=findings.judged), self._fallback, situation.at)

    def _tell(self, findings: Findings, book: AlertBook, now: datetime) -> None:
        steps = decide_alerts(findings, book.load(), now)
        for step in steps:
            if step.news is None and step.before is not None:
                book.change(step.key, step.before, step.after)
        claimed: list[_Claimed] = []
        for step in steps:
            if step.news is None:
                continue
            token = book.claim(step.key, step.before, now=now, until=now + CLAIM)
            if token is not None:
                message = write_message(step, now=now, alert_age=self._alert_age)
                claimed.append((step, token, message))
        for together in _portions(claimed):
            if not self._send(together, book):
                # The others would wait as long for the same end.
                for step, token, _ in claimed:
                    book.release(step.key, token)
                return

    def _send(self, together: Sequence[_Claimed], book: AlertBook) -> bool:
        messages = [message for _, _, message in together]
        message = messages[0] if len(messages) == 1 else bundle(messages)
        keys = [step.key for step, _, _ in together]
        try:
            self._notifier.notify(
                title=redact(message.title),
                body=redact(message.body),
                level=max((_level(step) for step, _, _ in together), key=list(Level).index),
            )
        except NotificationFailed as error:
            _log.error("Alert could not be sent; tried again after the next run", keys=keys, error=str(error))
            return False
        for step, token, _ in together:
            if step.after is not None:
                book.settle(step.key, token, step.after)
            count = step.cause.count if step.cause is not None else 0
            _log.info("Alert sent", key=step.key, news=step.news, count=count)
        return True


def _portions(claimed: Sequence[_Claimed]) -> list[Sequence[_Claimed]]:
    return [[each] for each in claimed] if len(claimed) <= MOST_AT_ONCE else [claimed]


def _level(step: Step) -> Level:
    if step.news is News.CLEARED:
        return Level.SUCCESS
    return Level.FAILURE if step.key.partition(":")[0] in _LOUD else Level.WARNING
