"""What may be an address: the library's syntax, and every domain by which an LMS may know somebody."""

from __future__ import annotations

import pytest

from reconcile.storefront.email_rule import email_problem


@pytest.mark.parametrize(
    "address",
    [
        "sam@example.com",
        "o'brien+x@example.com",
        "sam@shop.test",
        "sam@lms.local",
        "sam@mail.localhost",
        "bøb@exämple.com",
    ],
)
def test_what_the_lms_may_hold_is_no_problem(address: str) -> None:
    assert email_problem(address) is None


@pytest.mark.parametrize(
    "address",
    ["sam", "sam@", "@example.com", "sam@@example.com", "sam@example", "a b@example.com", "sam@x.invalid"],
)
def test_what_nobody_can_be_reached_at_is_named_without_repeating_it(address: str) -> None:
    problem = email_problem(address)

    assert problem
    assert address not in problem
