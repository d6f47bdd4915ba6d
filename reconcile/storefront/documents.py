"""From a storefront document of any age to an Enrollment, or to a MalformedEnrollment that says why not.

Nothing here raises: documents come from several years of a shop's habits and from imports. Field
names and rules are the storefront's (STOREFRONT: collection `enrollments`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from reconcile.domain.identity import (
    MAX_NAME,
    PLACEHOLDERS,
    is_placeholder,
    normalise_course,
    normalise_email,
)
from reconcile.domain.model import (
    AnyEnrollment,
    Enrollment,
    MalformedEnrollment,
    Reason,
    SyncState,
)
from reconcile.storefront.order_times import instant, order_times

COURSE_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_CURRENCY = re.compile(r"[a-z]{3}")
_MAX_PAYMENT_ID = 255
#: Amounts beyond this are no price but a broken number.
_MAX_AMOUNT = Decimal(10) ** 12
_MAX_RETRY_COUNT = 10**6

#: Says what is wrong with an address, or None. The library behind it lives outside the core.
EmailRule = Callable[[str], str | None]

Problem = tuple[Reason, str]

#: Where a member's address may stand, beside the order's own `email`.
_ACCOUNT, _RETRY_JOB = "lmsContext.frappeEmail", "the shop's retry job"


def parse_enrollment(
    document: Mapping[str, Any],
    *,
    enrollment_id: str,
    email_rule: EmailRule,
    created_at: datetime | None = None,
    placeholders: Sequence[str] = PLACEHOLDERS,
    job_addresses: Sequence[str] = (),
) -> AnyEnrollment:
    """Read one order document. `created_at` is the instant that the document id itself tells, if any.

    Never raises; every problem is named. A structural problem makes it `malformed`; an address or a
    slug that is a string but breaks the rules is `invalid_email` or `invalid_course`; an address that
    the shop made up (`placeholders`) is `placeholder_email`, unless another one is known: the LMS
    account's, or what the shop itself sent to the LMS (`job_addresses`).
    """
    problems: list[Problem] = []
    email = own = _email(document.get("email"), "email", email_rule, problems)
    member, found_in = _member(document.get("lmsContext"), email_rule, placeholders, problems), _ACCOUNT
    if email is not None and is_placeholder(email, placeholders):
        if member is None:
            member, found_in = _sent(job_addresses, email_rule, placeholders), _RETRY_JOB
        if member is None:
            problems.append((Reason.PLACEHOLDER_EMAIL, "email was made up by the shop: it is nobody's"))
        # A made-up address is never kept: nobody is mailed there, and no account is made of it.
        email = member
    course = _course(document.get("courseId"), problems)
    payment_id = _payment_id(document.get("paymentId"), problems)
    amount = _amount(document.get("amount"), problems)
    currency = _currency(document.get("currency"), problems)
    paid = document.get("status") == "paid"
    times = order_times(document, created_at=created_at)
    sync = sync_state(document.get("frappeSync"))
    if problems or email is None or course is None:
        reasons = {reason for reason, _ in problems}
        return MalformedEnrollment(
            id=enrollment_id,
            problems=tuple(text for _, text in problems),
            reason=problems[0][0] if len(reasons) == 1 else Reason.MALFORMED,
            payment_id=payment_id,
            email=email,
            course=course,
            amount=amount,
            currency=currency,
            paid=paid,
            paid_at=times.paid_at,
            ordered_at=times.ordered_at,
            touched=times.touched,
            sync=sync,
        )
    return Enrollment(
        id=enrollment_id,
        payment_id=payment_id,
        member=member or email,
        email=email,
        course=course,
        amount=amount,
        currency=currency,
        paid=paid,
        paid_at=times.paid_at,
        ordered_at=times.ordered_at,
        touched=times.touched,
        member_from=found_in if member not in (None, own) else None,
        referral_code=_referral(document.get("affiliateData")),
        sync=sync,
    )


def sync_state(value: object) -> SyncState:
    """`frappeSync` made regular; whatever is not as it should be reads as its default."""
    if not isinstance(value, Mapping):
        return SyncState()
    return SyncState(
        synced=value.get("synced") is True,
        status=_text(value.get("syncStatus")),
        lms_id=_text(value.get("enrollmentId")),
        error=_text(value.get("errorMessage")),
        retry_count=_count(value.get("retryCount")),
        last_attempt=instant(value.get("lastSyncAttempt")),
    )


def _email(value: object, name: str, rule: EmailRule, problems: list[Problem]) -> str | None:
    if value is None or value == "":
        problems.append((Reason.MALFORMED, f"{name} is missing"))
        return None
    if not isinstance(value, str):
        problems.append((Reason.MALFORMED, f"{name} is {_kind(value)}, not a string"))
        return None
    email = normalise_email(value)
    trouble = "is too long for the LMS" if len(email) > MAX_NAME else rule(email)
    if trouble is not None:
        problems.append((Reason.INVALID_EMAIL, f"{name} {trouble}"))
        return None
    return email


def _member(
    context: object, rule: EmailRule, placeholders: Sequence[str], problems: list[Problem]
) -> str | None:
    """`lmsContext.frappeEmail`, the LMS account where it differs from the buyer's; None where not given."""
    given = context.get("frappeEmail") if isinstance(context, Mapping) else None
    if given in (None, "") or (isinstance(given, str) and is_placeholder(given, placeholders)):
        return None
    return _email(given, _ACCOUNT, rule, problems)


def _sent(addresses: Sequence[str], rule: EmailRule, placeholders: Sequence[str]) -> str | None:
    """The first address that the shop sent to the LMS and that can be somebody's."""
    usable = (each for each in map(normalise_email, addresses) if not is_placeholder(each, placeholders))
    return next((each for each in usable if len(each) <= MAX_NAME and rule(each) is None), None)


def _course(value: object, problems: list[Problem]) -> str | None:
    if value is None or value == "":
        problems.append((Reason.MALFORMED, "courseId is missing"))
        return None
    if not isinstance(value, str):
        problems.append((Reason.MALFORMED, f"courseId is {_kind(value)}, not a string"))
        return None
    course = normalise_course(value)
    if len(course) > MAX_NAME or COURSE_SLUG.fullmatch(course) is None:
        problems.append((Reason.INVALID_COURSE, "courseId is not a course slug (like python-basics)"))
        return None
    return course


def _payment_id(value: object, problems: list[Problem]) -> str | None:
    """May be absent (imports); the LMS does not need it."""
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > _MAX_PAYMENT_ID or not value.isprintable():
        problems.append((Reason.MALFORMED, "paymentId is not a payment id (a short printable string)"))
        return None
    return value.strip() or None


def _amount(value: object, problems: list[Problem]) -> Decimal | None:
    """Major units. ints, floats, BSON decimals and numeric strings are all a price; absent is unknown."""
    if value is None:
        return None
    try:
        amount = None if isinstance(value, bool) else Decimal(str(value).strip())
    except InvalidOperation:
        amount = None
    if amount is None or not amount.is_finite() or not 0 <= amount <= _MAX_AMOUNT:
        problems.append((Reason.MALFORMED, "amount is not a price (a number ≥ 0)"))
        return None
    return amount


def _currency(value: object, problems: list[Problem]) -> str:
    if value is None or value == "":
        return "usd"  # absent on old documents
    currency = value.strip().lower() if isinstance(value, str) else ""
    if _CURRENCY.fullmatch(currency) is None:
        problems.append((Reason.MALFORMED, "currency is not a currency code (like usd)"))
        return "usd"
    return currency


def _referral(affiliate: object) -> str | None:
    """`affiliateData.affiliateEmail`, sent as `referral_code`; dropped when it is not plain short text."""
    value = affiliate.get("affiliateEmail") if isinstance(affiliate, Mapping) else None
    if not isinstance(value, str) or not value.strip():
        return None
    code = value.strip()
    return code if len(code) <= _MAX_PAYMENT_ID and code.isprintable() else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _count(value: object) -> int:
    """A retryCount as it may stand there: an int, a float, digits; never negative, never absurd."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return 0
    try:
        return max(0, min(int(value), _MAX_RETRY_COUNT))
    except (ValueError, OverflowError):  # "many", NaN, infinity
        return 0


def _kind(value: object) -> str:
    """The JSON word for a value's type; never the value itself, which may hold anything."""
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, (list, tuple)):
        return "a list"
    return f"of type {type(value).__name__}"
