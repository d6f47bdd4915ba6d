"""The word for why a run ended early, for `run --json` and the audit. Pure."""

from __future__ import annotations

from reconcile.domain.model import Reason
from reconcile.domain.summary import AbortReason
from reconcile.errors import (
    AuditUnavailable,
    AuthenticationFailed,
    ConfigurationError,
    ProtocolViolation,
    RateLimited,
    StoreUnavailable,
    TooManyEnrolls,
    TransientError,
)


def abort_reason(cause: BaseException) -> str:
    """The word for why a run ended, for `run --json` and the audit; an error that is not ours is a bug."""
    match cause:
        case AuthenticationFailed():
            return cause.reason
        case RateLimited():
            return Reason.RATE_LIMITED
        case TransientError():
            return Reason.LMS_UNAVAILABLE
        case ProtocolViolation():
            # The ping was understood: one odd answer among good ones is a passing trouble of the LMS.
            return Reason.PROTOCOL if cause.ends_run else Reason.LMS_UNAVAILABLE
        case StoreUnavailable():
            return AbortReason.STORE_UNAVAILABLE
        case AuditUnavailable():
            return AbortReason.AUDIT_UNAVAILABLE
        case ConfigurationError():
            return AbortReason.CONFIGURATION
        case TooManyEnrolls():
            return AbortReason.TOO_MANY_ENROLLS
        case _:
            return AbortReason.BUG
