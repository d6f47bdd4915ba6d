"""A mail: from an order to what it says and to whom, and from there to the bytes that go over the wire.

The standard library keeps headers from being forged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from email_validator import EmailNotValidError, validate_email

from reconcile.templates.mail import Facts, MailTemplates

#: A title is for a subject and a sentence.
_LONGEST_TITLE = 150
#: Seven bits: not every server takes eight, and every one takes quoted-printable.
_POLICY = SMTP.clone(cte_type="7bit")


@dataclass(frozen=True, kw_only=True)
class Mail:
    """One mail, ready to be sent. `message_id` is the same whenever this mail is made."""

    to: str
    message_id: str
    at: datetime
    subject: str
    text: str
    html: str | None = None


class Composer:
    """Makes the mails of one shop."""

    def __init__(
        self,
        *,
        templates: MailTemplates,
        lms_url: str,
        course_address: Callable[[str], str],
        domain: str,
    ) -> None:
        """`course_address` makes a link of a slug; `domain` is the sender's, for the Message-ID."""
        self._templates = templates
        self._lms_url = lms_url
        self._course_address = course_address
        self._domain = domain

    def compose(
        self,
        *,
        enrollment_id: str,
        payment_id: str | None,
        course: str,
        title: str | None,
        email: str,
        account: str | None,
        message_name: str,
        at: datetime,
    ) -> Mail:
        """The mail to the buyer. Pure: the same facts make the same mail. Raises TemplateProblem.

        It goes to the address that the shop itself mails: the order's, not the LMS account's.
        """
        words = self._templates.render(
            Facts(
                course=course,
                course_title=_one_line(title) or course,
                course_url=self._course_address(course),
                lms_url=self._lms_url,
                enrollment_id=enrollment_id,
                payment_id=payment_id,
                account=account,
            )
        )
        return Mail(
            to=email,
            message_id=f"{message_name}@{self._domain}",
            at=at,
            subject=words.subject,
            text=words.text,
            html=words.html,
        )


def _one_line(title: str | None) -> str:
    """A title as one short line: whatever the LMS holds, it cannot begin a header of its own."""
    return " ".join("".join(x if x.isprintable() else " " for x in title or "").split())[:_LONGEST_TITLE]


def deliverable(address: str) -> str:
    """The address as servers know it: an international domain in its ASCII form.

    What is not ASCII then is the part before the @, and needs a server with SMTPUTF8. Raises
    ValueError for what is no address.
    """
    try:
        found = validate_email(
            address, check_deliverability=False, globally_deliverable=False, allow_smtputf8=True
        )
    except EmailNotValidError as error:
        raise ValueError("is not an e-mail address") from error
    return found.ascii_email or f"{found.local_part}@{found.ascii_domain}"


def as_bytes(mail: Mail, *, sender: Address, to: str) -> bytes:
    """The whole message with CRLF line ends. `to` is `deliverable(mail.to)`.

    Raises ValueError where a header cannot hold what it should (a line break above all).
    """
    local, _, domain = to.rpartition("@")
    message = EmailMessage(policy=_POLICY if to.isascii() else _POLICY.clone(utf8=True))
    message["From"] = sender
    message["To"] = Address(username=local, domain=domain)
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(mail.at)
    message["Message-ID"] = f"<{mail.message_id}>"
    # So that out-of-office programs do not answer a machine (RFC 3834).
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    if mail.html is not None:
        message.add_alternative(mail.html, subtype="html")
    return message.as_bytes()
