"""Mail over SMTP. Every wait is bounded; every answer becomes a value.

The body is sent without its last line first, and that line alone: whatever fails before it was
certainly not taken by the server, and only silence after it leaves a doubt.
"""

from __future__ import annotations

import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from email.headerregistry import Address

from reconcile.base import log
from reconcile.base.errors import MailUnavailable
from reconcile.base.redaction import excerpt, mask_email
from reconcile.mail.message import Mail, as_bytes, deliverable
from reconcile.mail.rules import Accepted, Bounced, Later, MailAnswer, Unclear
from reconcile.mail.wire import Conversation, ImplicitTls, Watch
from reconcile.settings.mail import SmtpServer

_log = log.get_logger(__name__)

#: Seconds: for one answer, and for all of one mail's conversation.
TIMEOUT, PATIENCE = 10.0, 30.0
_OK, _WILL_FORWARD, _GO_ON, _CLOSING = 250, 251, 354, 421
_BROKEN = (OSError, smtplib.SMTPException, EOFError)


class SmtpMailer:
    """One SMTP server."""

    def __init__(
        self,
        server: SmtpServer,
        *,
        sender: Address,
        allow_plain: bool = False,
        stop: threading.Event | None = None,
        timeout: float = TIMEOUT,
        patience: float = PATIENCE,
    ) -> None:
        """`allow_plain` also does without TLS, or without a certificate that anybody vouches for.

        Loopback needs neither: nothing leaves the machine. `stop` cuts a conversation that hangs short.
        """
        self._server = server
        self._sender = sender
        self._trusting = allow_plain or server.is_loopback
        self._stop = stop or threading.Event()
        self._timeout = timeout
        self._patience = patience

    @contextmanager
    def session(self) -> Iterator[SmtpSession]:
        """A conversation in which mails can be handed over. Raises MailUnavailable."""
        with Watch(self._stop) as watch:
            watch.allow(self._patience)
            try:
                smtp = self._open(watch)
            except _BROKEN as error:
                raise self._unavailable(error) from error
            try:
                yield SmtpSession(smtp, watch=watch, sender=self._sender, patience=self._patience)
            finally:
                _leave(smtp)

    def _open(self, watch: Watch) -> Conversation:
        server = self._server
        kind, options = (ImplicitTls, {"context": self._context()}) if server.tls else (Conversation, {})
        smtp = kind(watch, server.host, server.port, timeout=self._timeout, **options)
        try:
            self._introduce(smtp)
        except BaseException:
            smtp.close()
            raise
        return smtp

    def _introduce(self, smtp: Conversation) -> None:
        smtp.ehlo_or_helo_if_needed()
        if not self._server.tls:
            if smtp.has_extn("starttls"):
                smtp.starttls(context=self._context())
                smtp.ehlo_or_helo_if_needed()
            elif not self._trusting:
                raise _NoTls
        if self._server.user:
            smtp.login(self._server.user, self._server.password)

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self._trusting:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _unavailable(self, error: Exception) -> MailUnavailable:
        where = f"the mail server {self._server.host}:{self._server.port}"
        match error:
            case _NoTls():
                what, hint = "offers no TLS", "Use smtps://, or RECONCILE_SMTP_ALLOW_PLAIN=1 to do without."
            case ssl.SSLCertVerificationError():
                what = f"has a certificate that is not trusted ({excerpt(error.verify_message)})"
                hint = "Is the host's name right? SSL_CERT_FILE names the file of an authority of your own."
            case ssl.SSLError():
                what = f"does not speak TLS ({excerpt(error.reason or str(error))})"
                hint = "smtps:// is TLS from the start (port 465), smtp:// is STARTTLS (port 587)."
            case smtplib.SMTPAuthenticationError() | smtplib.SMTPNotSupportedError():
                what = f"does not let us in ({_words(error)})"
                hint = "Check user and password in RECONCILE_SMTP_URL."
            case smtplib.SMTPException():
                what = f"is not available ({_words(error)})"
                hint = "Mail waits; the next run tries again. Check host and port in RECONCILE_SMTP_URL."
            case _:
                what = f"cannot be reached ({excerpt(str(error)) or type(error).__name__})"
                hint = "Mail waits; the next run tries again. Check host and port in RECONCILE_SMTP_URL."
        return MailUnavailable(f"{where} {what}", hint=hint)


class _NoTls(smtplib.SMTPException):
    """The server would have the mail in the clear."""


class SmtpSession:
    """One conversation with the mail server, for several mails."""

    def __init__(self, smtp: Conversation, *, watch: Watch, sender: Address, patience: float) -> None:
        self._smtp = smtp
        self._watch = watch
        self._sender = sender
        self._patience = patience

    def send(self, mail: Mail) -> MailAnswer:
        """Hand one mail over. Never raises. NOT to be repeated after Unclear."""
        try:
            to = deliverable(mail.to)
            message = as_bytes(mail, sender=self._sender, to=to)
        except ValueError as error:
            return Bounced(error=f"the mail cannot be addressed: {_cleaned(str(error), mail.to)}")
        options = [] if to.isascii() else ["SMTPUTF8", "BODY=8BITMIME"]
        if options and not self._smtp.has_extn("smtputf8"):
            return Bounced(error="the mail server takes no address with letters beyond ASCII (SMTPUTF8)")
        self._watch.allow(self._patience)
        try:
            answer = self._envelope(to, options) or self._body(message)
        except _BROKEN as error:
            return Later(error=_cleaned(_words(error), mail.to), broken=True)
        return _without_address(answer, mail.to)

    def _envelope(self, to: str, options: list[str]) -> MailAnswer | None:
        """Sender and recipient; None where the server wants to have the mail."""
        code, words = self._smtp.mail(self._sender.addr_spec, options)
        if code != _OK:
            answer = self._refused(code, words)
            # The sender is refused, not this learner: that would bounce everybody.
            return Later(error=f"the sender is refused: {answer.error}", code=code, hopeless=True)
        code, words = self._smtp.rcpt(to)
        if code not in (_OK, _WILL_FORWARD):
            return self._refused(code, words)
        code, words = self._smtp.docmd("DATA")
        return None if code == _GO_ON else self._refused(code, words)

    def _body(self, message: bytes) -> MailAnswer:
        self._smtp.send(_stuffed(message))
        try:
            self._smtp.send(b".\r\n")
            code, words = self._smtp.getreply()
        except _BROKEN as error:
            return Unclear(error=f"sent, and not answered: {_words(error)}")
        if code == _OK:
            return Accepted(code=code)
        if code < 0:
            return Unclear(error=f"sent, and answered with nonsense: {_text(words)}")
        return self._refused(code, words)

    def _refused(self, code: int, words: bytes) -> Bounced | Later:
        """What a code that is no success means; the conversation is made ready for the next mail."""
        error = f"{code} {_text(words)}"
        if 500 <= code < 600:
            self._reset()
            return Bounced(error=error, code=code)
        broken = code == _CLOSING or code < 0 or not self._reset()
        return Later(error=error, code=code if code > 0 else None, broken=broken)

    def _reset(self) -> bool:
        """True where the conversation goes on."""
        try:
            return self._smtp.rset()[0] == _OK
        except _BROKEN:
            return False  # the next mail finds it broken, and says so


def _leave(smtp: Conversation) -> None:
    """Say good-bye, without waiting long for the answer."""
    try:
        if smtp.sock is not None:
            smtp.sock.settimeout(1.0)
            smtp.docmd("QUIT")
    except _BROKEN as error:
        _log.debug("The mail server did not say good-bye", error=str(error))
    finally:
        smtp.close()


def _stuffed(message: bytes) -> bytes:
    """A leading dot doubled, the end on a line of its own (RFC 5321, 4.5.2)."""
    ended = message if message.endswith(b"\r\n") else message + b"\r\n"
    return (b"\r\n" + ended).replace(b"\r\n.", b"\r\n..")[2:]


def _text(words: bytes | str) -> str:
    return excerpt(words.decode("utf-8", "replace") if isinstance(words, bytes) else words)


def _words(error: BaseException) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{error.smtp_code} {_text(error.smtp_error)}"
    if isinstance(error, (TimeoutError, socket.timeout)):
        return "no answer in time"
    return excerpt(str(error)) or type(error).__name__


def _without_address(answer: MailAnswer, address: str) -> MailAnswer:
    return answer if isinstance(answer, Accepted) else replace(answer, error=_cleaned(answer.error, address))


def _cleaned(text: str, address: str) -> str:
    """Servers like to repeat whom they do not know, also without the domain."""
    local = address.rpartition("@")[0]
    for told, shown in ((address, mask_email(address)), (local, f"{local[:1]}***")):
        if len(told) > 2:
            text = text.replace(told, shown)
    return text
