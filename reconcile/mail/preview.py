"""What a dry run would mail: a decorator on the audit log counts it, and one mail is written in full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from reconcile.base.clock import Clock
from reconcile.base.errors import ReconcileError
from reconcile.domain.mail_status import MailStatus
from reconcile.domain.model import AnyEnrollment, Enrollment, Verdict
from reconcile.mail.message import Composer, Mail
from reconcile.mail.outbox import SqlOutbox
from reconcile.mail.rules import MAILED
from reconcile.run.options import Ports
from reconcile.run.ports import AuditLog, End, Intent, LearningPlatform, Record
from reconcile.templates.mail import TemplateProblem


class _Noting:
    """An audit log that notes who would be mailed, and passes everything on."""

    def __init__(self, inner: AuditLog) -> None:
        self._inner = inner
        self._begun: dict[int, AnyEnrollment] = {}
        self.count = 0
        self.first: Enrollment | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def begin_all(self, intents: Sequence[Intent], *, held_since: datetime) -> Sequence[int | None]:
        """Remember what the attempts are about."""
        numbers = self._inner.begin_all(intents, held_since=held_since)
        for number, intent in zip(numbers, intents, strict=True):
            if number is not None:
                self._begun[number] = intent.enrollment
        return numbers

    def finish_all(self, ends: Sequence[End], *, run_id: str) -> None:
        """Note those whose verdict owes a mail."""
        self._inner.finish_all(ends, run_id=run_id)
        for end in ends:
            self._note(self._begun.pop(end.attempt_id, None), end.verdict)

    def record(self, records: Sequence[Record]) -> frozenset[str]:
        """Note those whose verdict owes a mail."""
        left_out = self._inner.record(records)
        for record in records:
            if record.enrollment.id not in left_out:
                self._note(record.enrollment, record.verdict)
        return left_out

    def _note(self, enrollment: AnyEnrollment | None, verdict: Verdict) -> None:
        if verdict.outcome not in MAILED:
            return
        self.count += 1
        if self.first is None and isinstance(enrollment, Enrollment):
            self.first = enrollment


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What would be mailed: by this run, what waits already, and the first mail in full."""

    new: int
    waiting: int
    first: Mail | None
    problem: str | None = None  #: why the first mail cannot be written


class MailPreview:
    """Looks over a dry run's shoulder."""

    def __init__(
        self, *, outbox: SqlOutbox | None, composer: Composer, platform: LearningPlatform, clock: Clock
    ) -> None:
        """`outbox` is None where there is no audit database yet."""
        self._outbox = outbox
        self._composer = composer
        self._platform = platform
        self._clock = clock
        self._noting: _Noting | None = None

    def watching(self, ports: Ports) -> Ports:
        """The same ports, watched. They must be ports that write nothing."""
        self._noting = _Noting(ports.audit)
        return replace(ports, audit=self._noting)

    def look(self) -> Preview:
        """What the run since `watching` would mail. Read only. Raises AuditUnavailable."""
        noting = self._noting
        counts = self._outbox.counts() if self._outbox is not None else {}
        waiting = counts.get(MailStatus.PENDING, 0)
        new = noting.count if noting is not None else 0
        order = noting.first if noting is not None else None
        if order is None:
            return Preview(new=new, waiting=waiting, first=None)
        try:
            first = self._compose(order)
        except TemplateProblem as error:
            return Preview(new=new, waiting=waiting, first=None, problem=str(error))
        return Preview(new=new, waiting=waiting, first=first)

    def _compose(self, order: Enrollment) -> Mail:
        try:
            title = self._platform.titles([order.course]).get(order.course)
        except ReconcileError:
            title = None  # as for the mail itself: the slug will do
        name = self._outbox.message_name(order.id) if self._outbox is not None else "dry-run"
        return self._composer.compose(
            enrollment_id=order.id,
            payment_id=order.payment_id,
            course=order.course,
            title=title,
            email=order.email,
            account=order.member,
            message_name=name,
            at=self._clock.now(),
        )
