"""Masking: what may be shown of addresses and secrets, and that it costs no more than the text is long."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcile.base.redaction import (
    escape_controls,
    excerpt,
    forget_secrets,
    mask_email,
    mask_emails_in,
    redact,
    register_secret,
)


@pytest.fixture(autouse=True)
def no_secrets() -> Iterator[None]:
    forget_secrets()
    yield
    forget_secrets()


@pytest.mark.parametrize(
    ("address", "masked"),
    [
        ("student@example.com", "s***@example.com"),
        ("  student@example.com ", "s***@example.com"),
        ("s@example.com", "s***@example.com"),
        ('"a@b"@example.com', '"***@example.com'),
        ("no-address", "n***"),
        ("", ""),
        (" ", ""),
    ],
)
def test_one_address(address: str, masked: str) -> None:
    assert mask_email(address) == masked


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("hello student@example.com!", "hello s***@example.com!"),
        ("'o'brien+x@example.com'", "'o***@example.com'"),
        ("email='a.b@x.io'", "email='a***@x.io'"),
        ('{"member":"student@example.com"}', '{"member":"s***@example.com"}'),
        ("<strong>lowpriv@example.com</strong>", "<strong>l***@example.com</strong>"),
        ('"john doe"@example.com', '"j***"@example.com'),
        ("a@x.io,b@x.io;c@x.io", "a***@x.io,b***@x.io;c***@x.io"),
        ("/x?u=o%27brien%2Bx%40example.com", "/x?u=o***%40example.com"),
        ("stúdent@exämple.de", "s***@exämple.de"),
        ("s***@example.com", "s***@example.com"),
        ("@property is no address", "@property is no address"),
        ("at 5 @ noon", "at 5 @ noon"),
    ],
)
def test_addresses_in_text(text: str, masked: str) -> None:
    assert mask_emails_in(text) == masked


@given(
    before=st.text(alphabet=" ,;:<>()\n\"'", max_size=3),
    local=st.from_regex(r"[a-z0-9][a-z0-9._+'-]{2,30}", fullmatch=True),
    after=st.text(alphabet=" ,;:<>()\n\"'", max_size=3),
)
def test_no_whole_address_survives(before: str, local: str, after: str) -> None:
    assert f"{local}@" not in mask_emails_in(f"{before}{local}@example.com{after}")


@given(st.text(max_size=200))
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    once = redact(text)

    assert redact(once) == once


def test_secrets_go_in_every_spelling() -> None:
    register_secret('pa/ss"wörd')
    register_secret("pa")  # too short to be one

    shown = redact('pa/ss"wörd pa%2Fss%22w%C3%B6rd pa\\/ pa/ss\\"w\\u00f6rd')

    assert shown == "*** *** pa\\/ ***"


def test_a_secret_inside_a_longer_one() -> None:
    register_secret("secret")
    register_secret("key:secret")

    assert redact("token key:secret and secret") == "token *** and ***"


@pytest.mark.parametrize(
    "text",
    [
        "mongodb://user:pa:ssword@h1,h2/db",
        "https://user:pa:ssword@lms.example.com/x",
        "Authorization: token 0123abcd:pa:ssword",
        "Bearer pa:ssword0123",
        "basic cGE6c3N3b3Jk0:pa:ssword",
    ],
)
def test_logins_and_headers_go_without_being_registered(text: str) -> None:
    assert "ssword" not in redact(text)


@pytest.mark.parametrize("text", ["the token given", "one basic idea", "a bearer of news", "https://x.io/a"])
def test_plain_words_stay(text: str) -> None:
    assert redact(text) == text


def test_controls_are_escaped() -> None:
    assert escape_controls("a\nb\r\t\x1b[31m\x9b\u202e\ud800z") == r"a\nb\r\t\x1b[31m\x9b\u202e\ud800z"


@given(st.text(max_size=2000), st.integers(10, 400))
def test_an_excerpt_is_one_short_clean_line(text: str, limit: int) -> None:
    shown = excerpt(text, limit=limit)

    assert len(shown) <= limit
    assert shown.isprintable() or all(letter.isprintable() or ord(letter) > 0xA0 for letter in shown)
    assert "\n" not in shown
    shown.encode("utf-8")


@pytest.mark.parametrize(
    "text",
    [
        "a" * 500_000 + "@",
        "a@" * 200_000,
        '"' * 100_000 + "@",
        "a%41" * 50_000 + "%40",
        "token " * 50_000,
        "://" * 50_000,
        "://a:b" * 30_000,
    ],
    ids=["one run", "many ats", "quotes", "percent", "token", "schemes", "logins"],
)
def test_hostile_text_costs_linear_time(text: str) -> None:
    started = time.perf_counter()

    redact(text)

    assert time.perf_counter() - started < 5
