"""What may be an address: the library's syntax, and every domain by which an LMS may know somebody."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconcile.storefront.email_rule import asked_library, email_problem

_SIGNS = "ab09.-_+@'\"\\ (),:;<>[]%&ßé\u0130\u200b\ufffdA\n"
_LABEL = st.one_of(
    st.from_regex(r"\A[a-z0-9-]{1,5}\Z"),
    st.sampled_from(["xn--bcher-kva", "xn--a", "ab--cd", "a" * 63, "a" * 64, "-a", "a-", "", "invalid", "1"]),
)
_LOCAL = st.one_of(st.from_regex(r"\A[a-z0-9_+.-]{1,8}\Z"), st.sampled_from(["a" * 64, "a" * 65, "a" * 190]))
_NEAR = st.builds(lambda local, labels: f"{local}@{'.'.join(labels)}", _LOCAL, st.lists(_LABEL, max_size=5))


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


@settings(max_examples=500, deadline=None)
@given(address=st.one_of(_NEAR, st.text(_SIGNS, max_size=14), st.emails().map(str.lower)))
@example(address="a@invalid.com")
@example(address="a@b.invalid")
@example(address="a@b.com\n")
@example(address="a@" + "b." * 126 + "com")
@example(address="a@" + "b" * 63 + ".com")
@example(address="a@" + "b" * 64 + ".com")
@example(address="a@b." + "c" * 64)
@example(address="a" * 250 + "@b.com")
def test_what_is_plainly_right_is_right_for_the_library(address: str) -> None:
    assert email_problem(address) == asked_library(address)
