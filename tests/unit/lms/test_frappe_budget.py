"""When the LMS wants to be asked again: its 429, and what it says of its budget before that."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcile.base.errors import RateLimited
from reconcile.lms.answers import breather
from reconcile.lms.errors import check_status, retry_after
from reconcile.lms.http.answer import Answer


def answer(status: int, body: bytes, **headers: str) -> Answer:
    return Answer.of(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry_After": "54"}, 54.0),
        ({"Retry_After": "0"}, 0.0),
        ({"Retry_After": "1.5"}, 1.5),
        ({"Retry_After": " 7 "}, 7.0),
        ({"Retry_After": "999999999"}, 86400.0),
        ({"Retry_After": "-5"}, None),
        ({"Retry_After": "soon"}, None),
        ({"Retry_After": "nan", "X_RateLimit_Reset": "9"}, 9.0),
        ({"X_RateLimit_Reset": "33"}, 33.0),
        ({"Retry_After": "Tue, 24 Nov 2026 04:00:30 GMT", "Date": "Tue, 24 Nov 2026 04:00:00 GMT"}, 30.0),
        ({"Retry_After": "Tue, 24 Nov 2026 03:00:00 GMT", "Date": "Tue, 24 Nov 2026 04:00:00 GMT"}, 0.0),
        ({"Retry_After": "Tue, 24 Nov 2026 04:00:30 GMT"}, None),
        ({"Retry_After": "Tue, 24 Nov 2026 04:00:30 GMT", "Date": "Tue, 24 Nov 2026 04:00:00 -0000"}, None),
        ({}, None),
    ],
)
def test_when_to_come_back(headers: dict[str, str], seconds: float | None) -> None:
    with pytest.raises(RateLimited) as caught:
        check_status(answer(429, b"", **headers), "ping", write=False)

    assert caught.value.retry_after == seconds == retry_after(answer(429, b"", **headers))


@pytest.mark.parametrize(
    ("limit", "remaining", "reset", "seconds"),
    [
        ("5000000", "5000000", "59", 0.0),
        ("5000000", "500000", "59", 0.0),
        ("5000000", "499999", "59", 59.0),
        ("5000000", "0", "12", 12.0),
        ("5000000", "0", "9999", 60.0),
        ("5000000", "0", "-3", 0.0),
        ("5000000", "0", "nan", 0.0),
        ("5000000", "nan", "12", 0.0),
        ("much", "0", "12", 0.0),
    ],
)
def test_the_last_tenth_of_the_budget_is_the_learners(
    limit: str, remaining: str, reset: str, seconds: float
) -> None:
    headers = {"x-ratelimit-limit": limit, "x-ratelimit-remaining": remaining, "x-ratelimit-reset": reset}

    assert breather(headers) == seconds


def test_a_site_without_a_budget_asks_for_no_breather() -> None:
    assert breather({"x-ratelimit-limit": "5000000"}) == breather({}) == 0.0


@given(st.dictionaries(st.sampled_from(["limit", "remaining", "reset"]), st.text(max_size=12)))
def test_any_header_is_a_bounded_breather(values: dict[str, str]) -> None:
    assert 0 <= breather({f"x-ratelimit-{name}": value for name, value in values.items()}) <= 60
