"""Which of the storefront's error texts proves that the LMS does nothing more with its call."""

from __future__ import annotations

import pytest

from reconcile.run.shop_errors import was_answered

_FRAPPE = '{"exception":"frappe.exceptions.ValidationError: no","exc_type":"ValidationError"}'
_DUPLICATE = '{"_server_messages":"[]","exc_type":"DuplicateEntryError"}'
_PAGE = "<!DOCTYPE html><html><head><title>Bad Gateway</title></head></html>"


@pytest.mark.parametrize(
    "error",
    [
        f"FrappeLMS API returned 417: EXPECTATION FAILED. Details: {_FRAPPE}",
        f"FrappeLMS API returned 409: CONFLICT. Details: {_DUPLICATE}",
        f"FrappeLMS API returned 403: FORBIDDEN. Details: {_FRAPPE}",
        "FrappeLMS API returned 401: UNAUTHORIZED. Details: {'exc_type': 'AuthenticationError'}",
        "FrappeLMS API returned 413: Request Entity Too Large. Details: " + _PAGE,
        "FrappeLMS API returned 429: Too Many Requests. Details: ",
        "Request failed with status code 431",
        "User not found",
        " user not found ",
        "Course not found",
        "User is already enrolled in this course",
        "User is disabled",
        "Could not find Member: sam@example.com",
        "Could not find Course: python-basics, Member: sam@example.com",
        "Student is already enrolled in this course.",
        "Sam Doe is already a Student of the course Python Basics",
        "You cannot enroll in an unpublished course.",
        "You cannot enroll in this course as self-learning is disabled. Please contact the Administrator.",
        "You need to complete the payment for this course before enrolling.",
        "frappe.exceptions.LinkValidationError: Could not find Member: sam@example.com",
        "connect ECONNREFUSED 203.0.113.20:443",
        "getaddrinfo ENOTFOUND lms.example.com",
    ],
)
def test_an_answer(error: str) -> None:
    assert was_answered(error)


@pytest.mark.parametrize(
    "error",
    [
        None,
        "",
        "The operation was aborted due to timeout",
        "This operation was aborted",
        "fetch failed",
        "timeout of 10000ms exceeded",
        "read ECONNRESET",
        "socket hang up",
        "connect ETIMEDOUT 203.0.113.20:443",
        "Unexpected token < in JSON at position 0",
        f"FrappeLMS API returned 502: Bad Gateway. Details: {_PAGE}",
        f"FrappeLMS API returned 503: Service Unavailable. Details: {_PAGE}",
        f"FrappeLMS API returned 500: INTERNAL SERVER ERROR. Details: {_FRAPPE}",
        # a firewall's page, a gateway's own refusal
        f"FrappeLMS API returned 403: Forbidden. Details: {_PAGE}",
        f"FrappeLMS API returned 417: EXPECTATION FAILED. Details: {_PAGE}",
        'FrappeLMS API returned 400: Bad Request. Details: {"message":"no"}',
        "FrappeLMS API returned 408: Request Timeout. Details: ",
        "Request failed with status code 417",
        "Request failed with status code 504",
        "we wrote: User not found",
        "anything else",
    ],
)
def test_no_answer(error: str | None) -> None:
    assert not was_answered(error)
