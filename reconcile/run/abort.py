"""The word for why a run ended early, for `run --json` and the audit; runs that never began."""

from __future__ import annotations

from datetime import datetime

from reconcile.base.errors import (
    AuditUnavailable,
    AuthenticationFailed,
    ConfigurationError,
    ProtocolViolation,
    RateLimited,
    ReconcileError,
    StoreUnavailable,
    TooManyEnrolls,
    TransientError,
)
from reconcile.domain.model import Reason
from reconcile.run.options import RunResult
from reconcile.run.summary import AbortReason, RunStatus, RunSummary


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


def never_begun(error: ReconcileError, *, mode: str, at: datetime) -> RunResult:
    """The result of a run that could not even begin, in the words of one that did."""
    summary = RunSummary(run_id="", mode=mode, started_at=at)
    summary.close(RunStatus.ABORTED, at=at, reason=abort_reason(error))
    return RunResult(summary=summary, failure=error)
