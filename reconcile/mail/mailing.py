"""After a run: send the mails that are owed to learners. Bounded in time; stops when asked to.

A mail is claimed and committed as `sending` before the mail server hears of it. Whoever finds such a
row of a dead process cannot know whether it was sent, and never sends it again: rather no mail than two.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from reconcile.base import log
from reconcile.base.clock import Clock
from reconcile.base.errors import MailUnavailable, ReconcileError
from reconcile.base.redaction import mask_email
from reconcile.domain.mail_status import MailStatus
from reconcile.mail.message import Composer
from reconcile.mail.outbox import Claim, Due, SqlOutbox
from reconcile.mail.rules import Later, MailAnswer, Unclear, conclude
from reconcile.mail.smtp import SmtpMailer, SmtpSession
from reconcile.run.follow_up import Finished
from reconcile.run.ports import LearningPlatform, Origin
from reconcile.templates.mail import TemplateProblem

_log = log.get_logger(__name__)

#: What one run sends at most, and for how many seconds: the next run goes on.
MOST, LONGEST = 200, 60.0
#: Conversations that may break off before the server is left in peace until the next run.
MAX_BREAKS = 3
#: Seconds after which a mail that another host is sending counts as lost: far longer than any
#: conversation may last.
STALE = 900.0

_TOLD: dict[MailStatus, str] = {
    MailStatus.SENT: "Mail sent",
    MailStatus.BOUNCED: "Mail bounced",
    MailStatus.PENDING: "Mail not taken, tried again later",
    MailStatus.FAILED: "Mail given up",
    MailStatus.UNKNOWN: "Mail may have been sent, so it is not sent again",
}


@dataclass(kw_only=True)
class Mailing:
    """The step after a run that empties the outbox. `stop` set: no further mail is begun."""

    outbox: SqlOutbox
    mailer: SmtpMailer
    composer: Composer
    platform: LearningPlatform
    clock: Clock
    origin: Origin
    stop: threading.Event
    name: str = "mail"

    def after(self, finished: Finished) -> None:
        """Send what is due. Raises AuditUnavailable; a mail server that is down is only told."""
        self.send_due(run_id=finished.result.summary.run_id)

    def send_due(self, *, run_id: str) -> Mapping[MailStatus, int]:
        """Send what is due; how many mails came to which state. May be repeated, by several at once."""
        if self.stop.is_set():
            return {}
        ends_at = self.clock.monotonic() + LONGEST
        self._give_up_lost(run_id)
        queue = deque(self.outbox.due(self.clock.now(), limit=MOST))
        if not queue:
            return {}
        batch = _Batch(self, run_id=run_id, queue=queue, titles=self._titles(queue), ends_at=ends_at)
        try:
            batch.send()
        except MailUnavailable as error:
            _log.warning(
                "The mail server cannot be used; mail waits",
                error=str(error),
                hint=error.hint,
                waiting=len(queue),
                run_id=run_id,
            )
        _log.info("Mail done", run_id=run_id, left=len(queue), **{k.value: n for k, n in batch.ends.items()})
        return batch.ends

    def _give_up_lost(self, run_id: str) -> None:
        now = self.clock.now()
        lost = self.outbox.give_up_lost(
            origin=self.origin, stale_before=now - timedelta(seconds=STALE), at=now
        )
        for enrollment_id in lost:
            _log.warning(_TOLD[MailStatus.UNKNOWN], enrollment_id=enrollment_id, run_id=run_id)

    def _titles(self, queue: deque[Due]) -> Mapping[str, str]:
        """The courses' titles; where the LMS does not tell, a mail with the slug beats a late one."""
        try:
            return self.platform.titles({due.course for due in queue})
        except ReconcileError as error:
            _log.warning("Course titles are not known; mail says the slugs", error=str(error))
            return {}


class _Batch:
    """The mails of one run, over as many conversations as it takes."""

    def __init__(
        self, mailing: Mailing, *, run_id: str, queue: deque[Due], titles: Mapping[str, str], ends_at: float
    ) -> None:
        self._mailing = mailing
        self._run_id = run_id
        self._queue = queue
        self._titles = titles
        self._ends_at = ends_at
        self.ends: Counter[MailStatus] = Counter()

    def send(self) -> None:
        """Send until the queue is empty, the time is up or it breaks too often. Raises MailUnavailable."""
        for _ in range(MAX_BREAKS):
            if not self._queue or not self._may_go_on():
                return
            with self._mailing.mailer.session() as session:
                if not self._over(session):
                    return

    def _over(self, session: SmtpSession) -> bool:
        """Send over one conversation; True where another one may go on with the rest."""
        while self._queue and self._may_go_on():
            due = self._queue.popleft()
            claim = self._mailing.outbox.claim(
                due.enrollment_id, origin=self._mailing.origin, at=self._mailing.clock.now()
            )
            if claim is None:
                continue
            answer = self._send(session, claim)
            self._settle(claim, answer)
            if isinstance(answer, Unclear) or (isinstance(answer, Later) and answer.broken):
                return True
            if isinstance(answer, Later) and answer.hopeless:
                return False
        return False

    def _may_go_on(self) -> bool:
        return not self._mailing.stop.is_set() and self._mailing.clock.monotonic() < self._ends_at

    def _send(self, session: SmtpSession, claim: Claim) -> MailAnswer:
        try:
            mail = self._mailing.composer.compose(
                enrollment_id=claim.enrollment_id,
                payment_id=claim.payment_id,
                course=claim.course,
                title=self._titles.get(claim.course),
                email=claim.email,
                account=claim.account,
                message_name=self._mailing.outbox.message_name(claim.enrollment_id),
                at=self._mailing.clock.now(),
            )
        except TemplateProblem as error:
            return Later(error=f"the mail cannot be written: {error}")
        return session.send(mail)

    def _settle(self, claim: Claim, answer: MailAnswer) -> None:
        now = self._mailing.clock.now()
        end = conclude(answer, enrollment_id=claim.enrollment_id, tries=claim.tries, now=now)
        self._mailing.outbox.settle(claim, end, at=now)
        self.ends[end.status] += 1
        tell = _log.info if end.status is MailStatus.SENT else _log.warning
        tell(
            _TOLD[end.status],
            enrollment_id=claim.enrollment_id,
            course=claim.course,
            email=mask_email(claim.email),
            tries=claim.tries,
            smtp_code=end.code,
            error=end.error,
            run_id=self._run_id,
        )
