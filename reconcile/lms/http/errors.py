"""From what `requests` raises to our errors: one table, and one question: was the request sent?

A write that may have been sent and was not answered is ambiguous, whatever broke (FRAPPE, point 4);
only what broke before the first byte left may be called not done. Messages are our own words: the
libraries' hold URLs and whatever the peer wrote.
"""

from __future__ import annotations

import errno
import http.client
import os
import socket
import ssl
from collections.abc import Iterator
from enum import Enum, auto

import requests.exceptions as theirs
import urllib3.exceptions as below

from reconcile.base.errors import AmbiguousWrite, ProtocolViolation, ReconcileError, ServiceUnavailable


class Fault(Enum):
    """What an exception of the library says about the request."""

    NOT_SENT = auto()  #: no byte of it left
    UNANSWERED = auto()  #: it was sent, or may have been
    DEPENDS = auto()  #: the causes tell; without a telling one it was sent
    UNSENDABLE = auto()  #: it cannot be sent at all: a broken URL


#: Every exception class that a request can end with. A test walks `requests.exceptions` for a missing one.
MAPPING: dict[type[BaseException], Fault] = {
    theirs.RequestException: Fault.DEPENDS,
    theirs.ConnectionError: Fault.DEPENDS,
    theirs.SSLError: Fault.DEPENDS,
    theirs.ProxyError: Fault.DEPENDS,
    theirs.ConnectTimeout: Fault.NOT_SENT,
    theirs.Timeout: Fault.UNANSWERED,
    theirs.ReadTimeout: Fault.UNANSWERED,
    theirs.ChunkedEncodingError: Fault.UNANSWERED,
    theirs.ContentDecodingError: Fault.UNANSWERED,
    theirs.StreamConsumedError: Fault.UNANSWERED,
    theirs.RetryError: Fault.UNANSWERED,
    theirs.HTTPError: Fault.UNANSWERED,
    theirs.TooManyRedirects: Fault.UNANSWERED,
    theirs.JSONDecodeError: Fault.UNANSWERED,
    # Raised for a broken header of the *answer* too, so it proves nothing about sending.
    theirs.InvalidHeader: Fault.UNANSWERED,
    theirs.InvalidJSONError: Fault.UNSENDABLE,
    theirs.URLRequired: Fault.UNSENDABLE,
    theirs.MissingSchema: Fault.UNSENDABLE,
    theirs.InvalidSchema: Fault.UNSENDABLE,
    theirs.InvalidURL: Fault.UNSENDABLE,
    theirs.InvalidProxyURL: Fault.UNSENDABLE,
    theirs.UnrewindableBodyError: Fault.UNSENDABLE,
    # What requests lets through: we read the body from urllib3 ourselves.
    below.HTTPError: Fault.DEPENDS,
    http.client.HTTPException: Fault.UNANSWERED,
    OSError: Fault.DEPENDS,
    UnicodeError: Fault.UNANSWERED,
}
#: What the edge catches.
CAUGHT = (theirs.RequestException, below.HTTPError, http.client.HTTPException, OSError, UnicodeError)

#: Causes that prove that no connection stood. NameResolutionError is a NewConnectionError.
_NO_CONNECTION = (below.NewConnectionError, below.ConnectTimeoutError, ssl.SSLCertVerificationError)
#: TLS alerts that only a handshake can raise; any other TLS error may come after the request was sent.
_HANDSHAKE = frozenset(
    {
        "HTTP_REQUEST",
        "NO_PROTOCOLS_AVAILABLE",
        "SSLV3_ALERT_HANDSHAKE_FAILURE",
        "TLSV1_ALERT_PROTOCOL_VERSION",
        "TLSV1_UNRECOGNIZED_NAME",
        "UNSUPPORTED_PROTOCOL",
        "WRONG_VERSION_NUMBER",
    }
)


def fault_of(error: BaseException) -> Fault:
    """Whether the request was sent, as far as `error` and its causes can tell; in doubt it was."""
    fault = next((MAPPING[kind] for kind in type(error).__mro__ if kind in MAPPING), Fault.UNANSWERED)
    if fault is not Fault.DEPENDS:
        return fault
    return Fault.NOT_SENT if any(map(_before_sending, causes(error))) else Fault.UNANSWERED


def to_error(error: BaseException, operation: str, *, write: bool) -> ReconcileError:
    """Our error for the library's. `operation` names the request in the message."""
    fault = fault_of(error)
    told = _told(error)
    if fault is Fault.UNSENDABLE:
        return ProtocolViolation(
            f"{operation}: the request cannot be sent ({type(error).__name__})",
            ends_run=True,
            hint="Check FRAPPE_LMS_BASE_URL.",
        )
    if fault is Fault.NOT_SENT:
        return ServiceUnavailable(f"{operation}: cannot connect to the LMS ({told})", hint=_hint(error))
    if write:
        return AmbiguousWrite(f"{operation}: sent, and the LMS did not answer ({told})")
    return ServiceUnavailable(f"{operation}: the LMS did not answer ({told})")


def passes(error: ReconcileError) -> bool:
    """Whether asking again in a moment may help: not where the host's name or certificate is wrong."""
    return error.__cause__ is None or _hint(error.__cause__) is None


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was made from: its arguments, `reason` and explicit causes.

    Never `__context__`: that may be an earlier request's error that was just being handled.
    """
    queue, seen = [error], set()
    while queue:
        current = queue.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        inner = (*current.args, getattr(current, "reason", None), current.__cause__)
        queue += [item for item in inner if isinstance(item, BaseException)]


def _before_sending(error: BaseException) -> bool:
    return isinstance(error, _NO_CONNECTION) or _tls_alert(error) in _HANDSHAKE


def _tls_alert(error: BaseException) -> str | None:
    """OpenSSL's name for what went wrong; Python sets it on most TLS errors, not on all."""
    return getattr(error, "reason", None) if isinstance(error, ssl.SSLError) else None


def _told(error: BaseException) -> str:
    """What happened, in the system's words where there are some."""
    chain = list(causes(error))
    for item in chain:
        if isinstance(item, ssl.SSLCertVerificationError):
            return "its TLS certificate is not trusted"
        if isinstance(item, ssl.SSLError):
            return f"TLS: {_tls_alert(item) or 'broken'}"
    for item in chain:
        if isinstance(item, (below.NameResolutionError, socket.gaierror)):
            return "its host name is unknown"
        # A NewConnectionError is a time-out by its class alone: what the system said stands further on.
        if isinstance(item, (TimeoutError, theirs.Timeout, below.TimeoutError)) and not isinstance(
            item, below.NewConnectionError
        ):
            return "timed out"
    for item in chain:
        if isinstance(item, OSError) and item.errno is not None and item.errno in errno.errorcode:
            return os.strerror(item.errno).lower()
        if isinstance(item, http.client.RemoteDisconnected):
            return "connection closed"
    return "the answer broke off"


def _hint(error: BaseException) -> str | None:
    for item in causes(error):
        if isinstance(item, ssl.SSLCertVerificationError):
            return (
                "Check that FRAPPE_LMS_BASE_URL names the host in the LMS's certificate and that it is valid."
            )
        if isinstance(item, ssl.SSLError):
            return "Check that the LMS speaks https at this address and port (FRAPPE_LMS_BASE_URL)."
        if isinstance(item, (below.NameResolutionError, socket.gaierror)):
            return "Check the host name in FRAPPE_LMS_BASE_URL, and this machine's DNS."
    return None
