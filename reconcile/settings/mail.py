"""The settings of the mail to a learner whose access came late. Off without RECONCILE_SMTP_URL."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, SecretStr
from pydantic_settings import BaseSettings

from reconcile.settings import mail_rules
from reconcile.settings.fields import Flag, setting


class MailSettings(BaseSettings):
    """Through which server, from whom, and with which words."""

    smtp_url: Annotated[SecretStr, BeforeValidator(mail_rules.smtp_url)] = setting(
        "RECONCILE_SMTP_URL",
        SecretStr(""),
        "Mail learners whom a run gave access, through smtp://user:password@host:587 or smtps://.",
        group="mail",
    )
    smtp_allow_plain: Flag = setting(
        "RECONCILE_SMTP_ALLOW_PLAIN",
        default=False,
        description="1 permits a mail server without TLS or without a valid certificate.",
        group="mail",
    )
    mail_from: Annotated[str, BeforeValidator(mail_rules.mail_from)] = setting(
        "RECONCILE_MAIL_FROM", "", "Who the mail is from: Shop <courses@shop.example.com>.", group="mail"
    )
    mail_subject: str = setting(
        "RECONCILE_MAIL_SUBJECT",
        "Your course {{ course_title }} is ready",
        "The subject, a Jinja line.",
        group="mail",
    )
    mail_template: str = setting(
        "RECONCILE_MAIL_TEMPLATE",
        "",
        "A folder with mail.txt and mail.html (Jinja) instead of the built-in words.",
        group="mail",
    )
    course_url: Annotated[str, BeforeValidator(mail_rules.course_url)] = setting(
        "RECONCILE_COURSE_URL", mail_rules.COURSE_URL, "The course's address in the mail.", group="mail"
    )

    @property
    def mails(self) -> bool:
        """True where learners are mailed."""
        return bool(self.smtp_url.get_secret_value())

    def mail_problems(self) -> list[str]:
        """What is wrong with these settings, taken together; nothing where mail is off."""
        if not self.mails:
            return []
        from reconcile.templates.mail import TemplateProblem, read_parts, read_subject

        problems = []
        if not self.mail_from:
            problems.append("RECONCILE_MAIL_FROM: is required, because RECONCILE_SMTP_URL is set; set it")
        try:
            read_subject(self.mail_subject)
        except TemplateProblem as error:
            problems.append(f"RECONCILE_MAIL_SUBJECT: {error}")
        try:
            read_parts(self.mail_template)
        except TemplateProblem as error:
            problems.append(f"RECONCILE_MAIL_TEMPLATE: {error}")
        return problems
