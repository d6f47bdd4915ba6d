"""The settings of the mail to a learner whose access came late. Off without RECONCILE_SMTP_URL."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.utils import parseaddr
from typing import Annotated
from urllib.parse import quote, unquote, urlsplit

from pydantic import BaseModel, BeforeValidator, SecretStr

from reconcile.settings import rules
from reconcile.settings.rules import Flag, setting

BASE, COURSE = "{FRAPPE_LMS_BASE_URL}", "{course}"
COURSE_URL = f"{BASE}/lms/courses/{COURSE}"
_PORTS = {"smtp": 587, "smtps": 465}
_HOW = "write it as smtp://user:password@host:587 or smtps://user:password@host"


@dataclass(frozen=True, kw_only=True)
class SmtpServer:
    """Where mail is handed over. `tls`: from the first byte; else by STARTTLS."""

    host: str
    port: int
    tls: bool
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def is_loopback(self) -> bool:
        """True where nothing leaves this machine."""
        return rules.is_loopback(self.host)


def check_smtp_url(value: str) -> str:
    """The mail server's URL. Raises ValueError."""
    smtp_server(value)
    return value


def smtp_server(value: str) -> SmtpServer:
    """The parts of a mail server's URL. Raises ValueError."""
    try:
        parts = urlsplit(value)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError(f"is not a URL; {_HOW}") from None
    if parts.scheme not in _PORTS or not host or not rules.is_host(host) or re.search(r"\s", value):
        raise ValueError(f"is not a mail server's address; {_HOW}")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(
            f"must end after the port (in a password / ? # @ are written %2F %3F %23 %40); {_HOW}"
        )
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if bool(user) != bool(password):
        raise ValueError(f"must have both a user and a password, or neither; {_HOW}")
    if not (user + password).isascii() or not (user + password).isprintable():
        raise ValueError("has a user or password with letters that are not ASCII: mail servers take none")
    return SmtpServer(
        host=host,
        port=port or _PORTS[parts.scheme],
        tls=parts.scheme == "smtps",
        user=user,
        password=password,
    )


def check_mail_from(value: str) -> str:
    """Who the mail is from. Raises ValueError."""
    sender(value)
    return value


def sender(value: str) -> Address:
    """The name and address of `Shop <courses@shop.example.com>`. Raises ValueError."""
    how = "must be an address such as courses@shop.example.com or Shop <courses@shop.example.com>"
    name, address = parseaddr(value)
    local, _, domain = address.rpartition("@")
    whole = value.strip() == address or value.strip().endswith(f"<{address}>")
    if not whole or not local or "." not in domain or not rules.is_host(domain) or not value.isprintable():
        raise ValueError(how)
    if not local.isascii():
        raise ValueError("must have only ASCII letters before the @: not every server takes others")
    try:
        return Address(display_name=name, username=local, domain=domain.encode("idna").decode("ascii"))
    except ValueError as error:  # UnicodeError is one
        raise ValueError(how) from error


def check_course_url(value: str) -> str:
    """The pattern of a course's address. Raises ValueError."""
    if COURSE not in value:
        raise ValueError(f"must hold {COURSE}, where the course's slug goes")
    tried = course_address(value, base="https://lms.example.com", course="x")
    parts = urlsplit(tried)
    if "{" in tried or "}" in tried:
        raise ValueError(f"may hold {BASE} and {COURSE} in braces, and nothing else")
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"[\s<>\"]", value):
        raise ValueError("must be a web address such as https://shop.example.com/courses/{course}")
    return value


def course_address(pattern: str, *, base: str, course: str) -> str:
    """A course's address, by the pattern."""
    return pattern.replace(BASE, base).replace(COURSE, quote(course, safe=""))


class MailSettings(BaseModel):
    """Through which server, from whom, and with which words."""

    smtp_url: Annotated[SecretStr, BeforeValidator(check_smtp_url)] = setting(
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
    mail_from: Annotated[str, BeforeValidator(check_mail_from)] = setting(
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
    course_url: Annotated[str, BeforeValidator(check_course_url)] = setting(
        "RECONCILE_COURSE_URL", COURSE_URL, "The course's address in the mail.", group="mail"
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
