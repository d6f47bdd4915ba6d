"""One request to the LMS, and its answer as a value, whatever went wrong with that one request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from reconcile.base.errors import (
    AmbiguousWrite,
    ProtocolViolation,
    RateLimited,
    ServiceUnavailable,
)
from reconcile.domain.model import Enrollment, Reason
from reconcile.run.answers import (
    CreatedMany,
    Garbled,
    RefusedMany,
    Unanswered,
    Unserved,
    WriteResult,
)
from reconcile.run.ports import LearningPlatform

Answer = TypeVar("Answer")
ManyResult = CreatedMany | RefusedMany | Unserved | Unanswered | Garbled


def send(platform: LearningPlatform, enrollment: Enrollment) -> WriteResult:
    """Ask for one enrollment. NOT to be repeated unless looked again.

    Raises only what ends the run: AuthenticationFailed, and ProtocolViolation of a wrong host.
    """
    return _answered(lambda: platform.enroll(enrollment))


def send_many(platform: LearningPlatform, enrollments: Sequence[Enrollment]) -> ManyResult:
    """Ask for several, of as many learners, in one request: all or nothing. As `send` otherwise."""
    return _answered(lambda: platform.enroll_many(enrollments))


def _answered(ask: Callable[[], Answer]) -> Answer | Unserved | Unanswered | Garbled:
    try:
        return ask()
    except RateLimited as error:
        return Unserved(
            reason=Reason.RATE_LIMITED,
            error=str(error),
            certain=True,
            http_status=error.http_status,
            retry_after=error.retry_after,
        )
    except AmbiguousWrite as error:
        return Unanswered(error=str(error), http_status=error.http_status)
    except ServiceUnavailable as error:
        return Unserved(
            reason=Reason.LMS_UNAVAILABLE,
            error=str(error),
            certain=error.certain,
            http_status=error.http_status,
            retry_after=error.retry_after,
        )
    except ProtocolViolation as error:
        if error.ends_run:
            raise
        return Garbled(error=str(error), http_status=error.http_status)
