"""Mail to the learner, put together from the settings; imported only where it is on."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from reconcile.audit.log import SqlAuditLog
from reconcile.mail.mailing import Mailing
from reconcile.mail.message import Composer
from reconcile.mail.outbox import SqlOutbox, post
from reconcile.mail.preview import MailPreview
from reconcile.mail.smtp import SmtpMailer
from reconcile.run.options import Ports
from reconcile.settings import Settings
from reconcile.settings.mail import course_address, sender, smtp_server
from reconcile.templates.mail import read_templates


@dataclass(frozen=True, kw_only=True)
class MailParts:
    """What an application that mails learners has for it; no `outbox`: there is no audit database yet."""

    preview: MailPreview
    outbox: SqlOutbox | None = None
    step: Mailing | None = None


def set_up_mail(settings: Settings, ports: Ports, stop: threading.Event) -> MailParts:
    """Let the audit log write the outbox, and put together what empties it. Raises AuditUnavailable."""
    composer = _composer(settings)
    outbox = step = None
    if isinstance(ports.audit, SqlAuditLog):
        ports.audit.on_outcomes = post
        outbox = SqlOutbox(ports.audit.store)
        step = Mailing(
            outbox=outbox,
            mailer=_mailer(settings, stop),
            composer=composer,
            platform=ports.platform,
            clock=ports.clock,
            origin=ports.origin,
            stop=stop,
        )
    preview = MailPreview(outbox=outbox, composer=composer, platform=ports.platform, clock=ports.clock)
    return MailParts(preview=preview, outbox=outbox, step=step)


def _composer(settings: Settings) -> Composer:
    return Composer(
        templates=read_templates(subject=settings.mail_subject, place=settings.mail_template),
        lms_url=settings.lms_base_url,
        course_address=lambda course: course_address(
            settings.course_url, base=settings.lms_base_url, course=course
        ),
        domain=sender(settings.mail_from).domain,
    )


def _mailer(settings: Settings, stop: threading.Event) -> SmtpMailer:
    return SmtpMailer(
        smtp_server(settings.smtp_url.get_secret_value()),
        sender=sender(settings.mail_from),
        allow_plain=settings.smtp_allow_plain,
        stop=stop,
    )
