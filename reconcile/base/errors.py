"""Every error of ours, by what the caller should do about it. Imports nothing.

    ReconcileError                      .hint says the remedy
    ├─ ConfigurationError               fix the settings; carries every problem at once
    ├─ TransientError(retry_after)      try again later, by itself
    │  ├─ ServiceUnavailable            not done, not the enrollment's fault: down, maintenance, refused
    │  ├─ RateLimited                   not done: the LMS names when to come back
    │  └─ AmbiguousWrite                sent and not answered: observe again, never send again at once
    ├─ TerminalError                    trying again as it is cannot help
    │  ├─ AuthenticationFailed          ends the run: key wrong, powerless or blind (.reason tells which)
    │  └─ ProtocolViolation             an answer that is not what the contract says
    ├─ StoreUnavailable                 MongoDB cannot be reached: try later
    ├─ MailUnavailable                  the mail server cannot be used: mail waits, nothing else does
    ├─ TooManyEnrolls                   implausible: ask a person before going on
    ├─ NotificationFailed               a message was not taken: nobody is told, tell it later
    └─ AuditUnavailable                 cannot record: stop before the next LMS write

Expected results are values (`reconcile.domain`), the LMS's refusal of one enrollment among them; an
exception means "could not know" or "could not do". Messages never hold a key, a password or a
whole e-mail address.
"""

from __future__ import annotations

from collections.abc import Sequence


class ReconcileError(Exception):
    """Something that reconcile knows how to explain; `hint` is the next step for a person."""

    hint: str = ""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        if hint is not None:
            self.hint = hint


class ConfigurationError(ReconcileError):
    """One or more settings are unusable; `problems` lists all of them."""

    def __init__(self, problems: Sequence[str], *, hint: str | None = None) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems), hint=hint)


class TransientError(ReconcileError):
    """Not the enrollment's fault and likely to pass; `retry_after` is in seconds when the peer named it."""

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        http_status: int | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after
        self.http_status = http_status


class ServiceUnavailable(TransientError):
    """The LMS could not do it now and did not do it. `certain` is False where others may still get through.

    `certain=True`: the answer itself says that the whole service is at fault (maintenance, refused
    connection, bad gateway). `certain=False`: one request failed (a 500); whose fault it is, the run decides.
    """

    hint = "Nothing is lost; try again later. Check FRAPPE_LMS_BASE_URL if the LMS is up for others."

    def __init__(
        self,
        message: str,
        *,
        certain: bool = True,
        retry_after: float | None = None,
        http_status: int | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, retry_after=retry_after, http_status=http_status, hint=hint)
        self.certain = certain


class RateLimited(TransientError):
    """The LMS's budget is used up (429); nothing was done."""

    hint = "The LMS allows so much work per minute; the next run goes on. RECONCILE_RATE makes it gentler."


class AmbiguousWrite(TransientError):
    """A write was sent and not answered: it may be done now, later or never. Observe, do not send again."""


class TerminalError(ReconcileError):
    """Trying the same again cannot help."""

    def __init__(self, message: str, *, http_status: int | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.http_status = http_status


class AuthenticationFailed(TerminalError):
    """The key is wrong (`unauthorized`), lacks a role (`forbidden`) or cannot see others (`blind`)."""

    def __init__(
        self, message: str, *, reason: str, http_status: int | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, http_status=http_status, hint=hint)
        self.reason = reason


class ProtocolViolation(TerminalError):
    """An answer that the contract does not know: HTML, another shape, a wrong route.

    `ends_run=True`: every further request would be answered the same (wrong host, missing method).
    """

    def __init__(
        self,
        message: str,
        *,
        ends_run: bool = False,
        http_status: int | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, http_status=http_status, hint=hint)
        self.ends_run = ends_run


class StoreUnavailable(ReconcileError):
    """MongoDB cannot be reached or refuses; nothing further was written there."""


class MailUnavailable(ReconcileError):
    """The mail server cannot be reached or does not let us in; no mail was handed over."""


class TooManyEnrolls(ReconcileError):
    """A run wants to enroll far more than recent runs did; a person should say that this is right."""


class NotificationFailed(ReconcileError):
    """Nobody has taken a message; the run it is about is not touched by that."""


class AuditUnavailable(ReconcileError):
    """The audit database cannot be read or written; no LMS write may follow."""
