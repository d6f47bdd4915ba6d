"""The LMS: there, trusted, and what its key may do."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

from reconcile.base.errors import AuthenticationFailed, ReconcileError, TerminalError
from reconcile.base.redaction import mask_email
from reconcile.diagnosis.checks import Check, ok, problem, skipped, warning
from reconcile.lms.http.tls import certificate_end
from reconcile.lms.lms import FrappeLms
from reconcile.lms.probe import Present
from reconcile.run.summary import ExitCode
from reconcile.settings import Settings

_LMS, _KEY = "lms", "key"
_MODERATOR = "Moderator"
#: Days before a certificate's end at which somebody should know.
_SOON = 14
_SLOW_MS = 2000


def lms_checks(lms: FrappeLms, settings: Settings) -> Iterator[Check]:
    """Name, certificate, ping, latency, versions."""
    parts = urlsplit(settings.lms_base_url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.getaddrinfo(host, port)
    except OSError:
        yield problem(
            _LMS,
            "name",
            f"{host} is not known",
            "correct FRAPPE_LMS_BASE_URL, or see to DNS",
            code=ExitCode.TEMPORARY,
        )
        return
    yield ok(_LMS, "name", f"{host} is known")
    if parts.scheme == "https":
        yield _certificate(certificate_end(host, port, timeout=settings.timeout))
    before = time.monotonic()
    try:
        lms.ping()
    except AuthenticationFailed:
        # It answers; that it does not like the key is told below.
        yield ok(_LMS, "ping", "answers")
        return
    except ReconcileError as error:
        code = ExitCode.USAGE if isinstance(error, TerminalError) else ExitCode.TEMPORARY
        yield problem(_LMS, "ping", str(error), error.hint or "look at the LMS", code=code)
        return
    took = (time.monotonic() - before) * 1000
    if took > _SLOW_MS:
        yield warning(_LMS, "ping", f"answers in {took:.0f} ms", "look at the LMS: it is slow")
    else:
        yield ok(_LMS, "ping", f"answers in {took:.0f} ms")
    versions = lms.probe().versions()
    told = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    yield ok(_LMS, "versions", told or "not told")


def _certificate(end: datetime | None) -> Check:
    if end is None:
        return problem(
            _LMS,
            "certificate",
            "is not trusted, has ended, or cannot be read",
            "renew the certificate of the LMS, or correct FRAPPE_LMS_BASE_URL",
            code=ExitCode.TEMPORARY,
        )
    days = (end - datetime.now(UTC)).days
    if days < _SOON:
        return warning(_LMS, "certificate", f"ends in {days} days", "renew it")
    return ok(_LMS, "certificate", f"valid until {end:%Y-%m-%d}")


def key_checks(lms: FrappeLms, settings: Settings) -> Iterator[Check]:
    """Accepted, whose, which roles, sees others, may create, and the vendor's method."""
    if not lms.verified:
        yield warning(
            _KEY,
            "key",
            "none is set: runs are unverified",
            "set FRAPPE_LMS_API_KEY to a Moderator's key",
        )
        yield _method(lms, settings)
        return
    try:
        whose = lms.whoami()
    except ReconcileError as error:
        yield _refused("accepted", error)
        yield skipped(_KEY, "rights", "the key is not accepted")
        return
    yield ok(_KEY, "accepted", f"belongs to {_masked(whose)}")
    yield _roles(lms.probe().roles())
    try:
        sight = lms.prove_sight()
    except ReconcileError as error:
        yield _refused("sees others", error)
    else:
        yield (
            ok(_KEY, "sees others", f"{sight.total if sight.total is not None else 'many'} LMS enrollments")
            if sight.proven
            else warning(
                _KEY,
                "sees others",
                "cannot be told: there are none yet",
                "nothing; the first write will tell",
            )
        )
    yield _creates(lms, settings)
    yield _method(lms, settings)


def _roles(roles: list[str] | None) -> Check:
    if roles is None:
        return ok(_KEY, "roles", "not told by this LMS")
    told = ", ".join(roles)
    if _MODERATOR in roles:
        return ok(_KEY, "roles", told)
    return warning(
        _KEY, "roles", told, "give its user the role Moderator: others are refused on paid courses"
    )


def _refused(name: str, error: ReconcileError) -> Check:
    code = ExitCode.USAGE if isinstance(error, TerminalError) else ExitCode.TEMPORARY
    return problem(_KEY, name, str(error), error.hint or "give its user the role Moderator", code=code)


def _creates(lms: FrappeLms, settings: Settings) -> Check:
    if settings.enroll_via != "rest":
        return ok(_KEY, "may create", "not needed: the vendor's method enrolls")
    try:
        found = lms.probe().may_create()
    except ReconcileError as error:
        return _refused("may create", error)
    if found is Present.NO:
        return problem(
            _KEY, "may create", "may not create LMS enrollments", "give its user the role Moderator"
        )
    if found is Present.UNKNOWN:
        return warning(_KEY, "may create", "could not be told", "run once with --max-enrolls 1")
    return ok(_KEY, "may create", "may create LMS enrollments")


def _method(lms: FrappeLms, settings: Settings) -> Check:
    if settings.enroll_via == "rest":
        return ok(_LMS, "confirm_payment", "not needed: RECONCILE_ENROLL_VIA=rest")
    try:
        found = lms.probe().has_confirm_payment()
    except ReconcileError as error:
        return _refused("confirm_payment", error)
    if found is Present.NO:
        return problem(
            _LMS, "confirm_payment", "this LMS lacks the vendor's method", "set RECONCILE_ENROLL_VIA=rest"
        )
    if found is Present.UNKNOWN:
        return warning(_LMS, "confirm_payment", "could not be told", "run once with --max-enrolls 1")
    return ok(_LMS, "confirm_payment", "there")


def _masked(user: str) -> str:
    return mask_email(user) if "@" in user else user
