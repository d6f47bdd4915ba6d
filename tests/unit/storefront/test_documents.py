"""From documents of any age to enrollments: nothing raises, every problem is named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcile.domain.model import EffectKey, Enrollment, MalformedEnrollment, Reason, SyncState
from reconcile.storefront.documents import parse_enrollment, sync_state
from reconcile.storefront.order_times import instant
from tests.fakes.world import NOON, any_text_with_at, order


def parse(**changes: Any) -> Any:
    document = order("e1", **changes)
    document = {key: value for key, value in document.items() if value is not ...}
    return parse_enrollment(document, enrollment_id="e1", email_rule=any_text_with_at)


def test_a_plain_order() -> None:
    item = parse(email="  Sam@Example.COM ", courseId=" Python-Basics ", amount=249.5, currency="EUR")

    assert isinstance(item, Enrollment)
    assert item.key == EffectKey("sam@example.com", "python-basics")
    assert item.amount == Decimal("249.5")
    assert item.currency == "eur"
    assert item.paid
    assert item.payment_id == "pi_e1"
    assert item.paid_at is not None
    assert item.sync == SyncState(status="pending")


@pytest.mark.parametrize(
    ("changes", "reason", "problem"),
    [
        ({"email": ...}, Reason.MALFORMED, "email is missing"),
        ({"email": None}, Reason.MALFORMED, "email is missing"),
        ({"email": ""}, Reason.MALFORMED, "email is missing"),
        ({"email": 7}, Reason.MALFORMED, "email is a number, not a string"),
        ({"email": True}, Reason.MALFORMED, "email is a boolean, not a string"),
        ({"email": ["a@b.c"]}, Reason.MALFORMED, "email is a list, not a string"),
        ({"email": {}}, Reason.MALFORMED, "email is an object, not a string"),
        ({"email": b"x"}, Reason.MALFORMED, "email is of type bytes, not a string"),
        ({"email": "nobody"}, Reason.INVALID_EMAIL, "email is not an address"),
        ({"email": "a" * 140 + "@x.com"}, Reason.INVALID_EMAIL, "email is too long for the LMS"),
        ({"courseId": ...}, Reason.MALFORMED, "courseId is missing"),
        ({"courseId": 5}, Reason.MALFORMED, "courseId is a number, not a string"),
        ({"courseId": "No Slug!"}, Reason.INVALID_COURSE, "not a course slug"),
        ({"courseId": "python-"}, Reason.INVALID_COURSE, "not a course slug"),
        ({"courseId": "a" * 141}, Reason.INVALID_COURSE, "not a course slug"),
        ({"paymentId": 5}, Reason.MALFORMED, "paymentId"),
        ({"paymentId": "pi\n1"}, Reason.MALFORMED, "paymentId"),
        ({"paymentId": "p" * 256}, Reason.MALFORMED, "paymentId"),
        ({"amount": "a lot"}, Reason.MALFORMED, "amount"),
        ({"amount": -1}, Reason.MALFORMED, "amount"),
        ({"amount": True}, Reason.MALFORMED, "amount"),
        ({"amount": float("nan")}, Reason.MALFORMED, "amount"),
        ({"amount": float("inf")}, Reason.MALFORMED, "amount"),
        ({"amount": 10**30}, Reason.MALFORMED, "amount"),
        ({"currency": 7}, Reason.MALFORMED, "currency"),
        ({"currency": "dollars"}, Reason.MALFORMED, "currency"),
        ({"lmsContext": {"frappeEmail": "nobody"}}, Reason.INVALID_EMAIL, "lmsContext.frappeEmail"),
        # two kinds of trouble are neither
        ({"email": "nobody", "courseId": "No Slug!"}, Reason.MALFORMED, "course slug"),
    ],
)
def test_what_cannot_be_sent_says_why(changes: dict[str, Any], reason: Reason, problem: str) -> None:
    item = parse(**changes)

    assert isinstance(item, MalformedEnrollment)
    assert item.reason is reason
    assert problem in "; ".join(item.problems)


def test_every_problem_is_named() -> None:
    item = parse(email=1, courseId=2, amount="x", currency=3, paymentId=4)

    assert len(item.problems) == 5


@pytest.mark.parametrize(
    ("field", "value", "attribute", "expected"),
    [
        ("amount", 0, "amount", Decimal(0)),
        ("amount", "199.00", "amount", Decimal("199.00")),
        ("amount", None, "amount", None),
        ("amount", ..., "amount", None),
        ("currency", ..., "currency", "usd"),
        ("currency", None, "currency", "usd"),
        ("paymentId", None, "payment_id", None),
        ("paymentId", "  ", "payment_id", None),
        ("lmsContext", {"frappeEmail": "Other@Example.com"}, "member", "other@example.com"),
        ("lmsContext", {"frappeEmail": None}, "member", "e1@example.com"),
        ("lmsContext", "x", "member", "e1@example.com"),
        ("affiliateData", {"affiliateEmail": " p@example.com "}, "referral_code", "p@example.com"),
        ("affiliateData", {"affiliateEmail": "x\n"}, "referral_code", "x"),
        ("affiliateData", {"affiliateEmail": "a\nb"}, "referral_code", None),
        ("affiliateData", {"affiliateEmail": 5}, "referral_code", None),
        ("affiliateData", {"affiliateEmail": " "}, "referral_code", None),
        ("affiliateData", None, "referral_code", None),
        ("status", "pending", "paid", False),
        ("status", ["paid"], "paid", False),
        ("frappeSync", None, "sync", SyncState()),
        ("frappeSync", "synced", "sync", SyncState()),
    ],
)
def test_old_habits_are_understood(field: str, value: Any, attribute: str, expected: Any) -> None:
    item = parse(**{field: value})

    assert isinstance(item, Enrollment), item
    assert getattr(item, attribute) == expected


def test_the_order_time_is_the_best_that_the_document_tells() -> None:
    made = datetime(2024, 1, 1, tzinfo=UTC)
    document = order("e1", timestamp="yesterday", createdAt=None)
    item = parse_enrollment(document, enrollment_id="e1", email_rule=any_text_with_at, created_at=made)

    assert item.paid_at == made
    assert parse(timestamp="nonsense", createdAt=NOON).paid_at == NOON


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-11-24T12:00:00.000Z", NOON),
        ("2026-11-24T12:00:00", NOON),
        ("2026-11-24T17:30:00+05:30", NOON),
        (NOON.replace(tzinfo=None), NOON),
        (NOON, NOON),
        ("soon", None),
        (1700000000, None),
        (None, None),
        ("9999-12-31T23:59:59-12:00", None),
    ],
)
def test_instants(value: object, expected: datetime | None) -> None:
    assert instant(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *[(3, 3), (3.9, 3), ("4", 4), (-1, 0), (True, 0), ("many", 0), (float("nan"), 0)],
        *[(float("inf"), 0), (10**30, 10**6), ([], 0), (None, 0)],
    ],
)
def test_retry_counts_as_they_may_stand_there(value: Any, expected: int) -> None:
    assert sync_state({"retryCount": value}).retry_count == expected


def test_synced_is_the_storefronts_definition() -> None:
    full = {"synced": True, "syncStatus": "success", "enrollmentId": "x1"}

    assert sync_state(full).is_synced
    for broken in ({"synced": False}, {"syncStatus": "failed"}, {"enrollmentId": ""}, {"enrollmentId": 5}):
        assert not sync_state(full | broken).is_synced


bson = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary(max_size=20)
    | st.datetimes()
    | st.datetimes(timezones=st.just(UTC)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = [
    *["courseId", "email", "paymentId", "amount", "currency", "status", "timestamp", "createdAt"],
    *["lmsContext", "affiliateData", "stripeEvents", "frappeSync"],
]
NESTED = "frappeEmail affiliateEmail synced syncStatus enrollmentId errorMessage retryCount lastSyncAttempt"


@given(
    st.dictionaries(
        st.sampled_from(FIELDS),
        bson | st.dictionaries(st.sampled_from(NESTED.split()), bson, max_size=8),
        max_size=12,
    )
)
def test_no_document_raises(document: dict[str, Any]) -> None:
    item = parse_enrollment(document, enrollment_id="e1", email_rule=any_text_with_at)

    if isinstance(item, MalformedEnrollment):
        assert item.problems
        assert item.reason in (Reason.MALFORMED, Reason.INVALID_EMAIL, Reason.INVALID_COURSE)
    else:
        assert item.member == item.member.strip().lower()
        assert item.currency


MADE_UP = "Temp_1764300000000@placeholder.com"


@pytest.mark.parametrize(
    ("changes", "sent", "member", "found_in"),
    [
        # the LMS account's address, then the one that the shop itself has sent
        ({"lmsContext": {"frappeEmail": "Sam@Example.com"}}, (), "sam@example.com", "lmsContext.frappeEmail"),
        ({}, ("kim@example.com",), "kim@example.com", "the shop's retry job"),
        ({}, (MADE_UP, "nobody", "Kim@Example.com "), "kim@example.com", "the shop's retry job"),
        (
            {"lmsContext": {"frappeEmail": "sam@example.com"}},
            ("kim@example.com",),
            "sam@example.com",
            "lmsContext.frappeEmail",
        ),
        (
            {"lmsContext": {"frappeEmail": MADE_UP}},
            ("kim@example.com",),
            "kim@example.com",
            "the shop's retry job",
        ),
    ],
)
def test_a_made_up_address_is_never_kept(
    changes: dict[str, Any], sent: tuple[str, ...], member: str, found_in: str
) -> None:
    document = order("e1", email=MADE_UP, **changes)

    item = parse_enrollment(document, enrollment_id="e1", email_rule=any_text_with_at, job_addresses=sent)

    assert isinstance(item, Enrollment)
    assert (item.member, item.email, item.member_from) == (member, member, found_in)


@pytest.mark.parametrize("sent", [(), (MADE_UP,), ("nobody",), ("a" * 140 + "@example.com",)])
def test_a_made_up_address_is_nobodys(sent: tuple[str, ...]) -> None:
    item = parse_enrollment(
        order("e1", email=MADE_UP), enrollment_id="e1", email_rule=any_text_with_at, job_addresses=sent
    )

    assert isinstance(item, MalformedEnrollment)
    assert (item.reason, item.email) == (Reason.PLACEHOLDER_EMAIL, None)
    assert "made up" in item.problems[0]


def test_which_addresses_are_made_up_is_the_shops_own_habit() -> None:
    item = parse_enrollment(
        order("e1", email="guest-7@shop.example.com"),
        enrollment_id="e1",
        email_rule=any_text_with_at,
        placeholders=("guest-*@shop.example.com",),
    )

    assert item.reason is Reason.PLACEHOLDER_EMAIL  # type: ignore[union-attr]
    assert isinstance(parse(email="template_1@placeholder.com"), Enrollment)


def test_an_address_of_the_orders_own_needs_no_other() -> None:
    item = parse_enrollment(
        order("e1"), enrollment_id="e1", email_rule=any_text_with_at, job_addresses=("kim@example.com",)
    )

    assert isinstance(item, Enrollment)
    assert (item.member, item.member_from) == ("e1@example.com", None)
    account = parse(lmsContext={"frappeEmail": "sam@example.com"})
    assert (account.email, account.member_from) == ("e1@example.com", "lmsContext.frappeEmail")


def test_the_times_of_an_order_come_with_it() -> None:
    completed = {"eventType": "checkout.session.completed", "processedAt": NOON}

    item = parse(timestamp="2026-11-24T07:00:00Z", stripeEvents=[completed])

    assert (item.ordered_at, item.paid_at) == (NOON - timedelta(hours=5), NOON)
    assert NOON in item.touched
    broken = parse(amount="x", timestamp="2026-11-24T07:00:00Z", stripeEvents=[completed])
    assert (broken.ordered_at, broken.paid_at) == (NOON - timedelta(hours=5), NOON)
