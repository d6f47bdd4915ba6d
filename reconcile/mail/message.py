"""A mail as the bytes that go over the wire. The standard library keeps headers from being forged."""

from __future__ import annotations

from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from email_validator import EmailNotValidError, validate_email

from reconcile.mail.ports import Mail

#: Seven bits: not every server takes eight, and every one takes quoted-printable.
_POLICY = SMTP.clone(cte_type="7bit")


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


def compose(mail: Mail, *, sender: Address, to: str) -> bytes:
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
