"""What each setting may be, and what it becomes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcile.base.errors import ConfigurationError
from reconcile.settings import Settings, rules

ENVIRON = {
    "MONGODB_URI": "mongodb://reader:pa%2Fssword@h1,h2/shop?authSource=admin",
    "FRAPPE_LMS_BASE_URL": "https://lms.example.com",
    "FRAPPE_LMS_API_KEY": "0123abcd:s3cr3tvalue",
}


def load(**environ: str) -> Settings:
    return Settings.load(ENVIRON | environ, env_file=None)


def problems(**environ: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(**environ)
    return list(caught.value.problems)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0.2s", 0.2),
        ("90s", 90),
        ("5m", 300),
        ("2h", 7200),
        ("7d", 604800),
        ("45", 45),
        ("1.5", 1.5),
        ("0", 0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert rules.duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "5 minutes", "-1s", "1e3", "inf", "nan", "s", "5M", "1h30m", ".5s", "5.m", "٥s", "9" * 12 + "d"],
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        rules.duration(text)


@given(st.integers(0, 10**8) | st.floats(0, 1000).map(lambda number: round(number, 6)))
def test_durations_are_written_as_they_are_read(seconds: float) -> None:
    assert rules.duration(rules.as_duration(seconds)) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("word", "value"), [("1", True), ("TRUE", True), ("Yes", True), ("0", False), ("no", False)]
)
def test_flags(word: str, *, value: bool) -> None:
    assert load(RECONCILE_ALLOW_HTTP=word).allow_http is value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RECONCILE_ALLOW_HTTP", "on"),
        ("RECONCILE_ALLOW_HTTP", "tru"),
        ("RECONCILE_ENROLL_VIA", "REST"),
        ("RECONCILE_CONCURRENCY", "0"),
        ("RECONCILE_CONCURRENCY", "65"),
        ("RECONCILE_CONCURRENCY", "4.0"),
        ("RECONCILE_CONCURRENCY", "1_0"),
        ("RECONCILE_CONCURRENCY", "none"),
        ("RECONCILE_BATCH", "0"),
        ("RECONCILE_BATCH", "201"),
        ("RECONCILE_BATCH", "many"),
        ("RECONCILE_PAGE_SIZE", "0"),
        ("RECONCILE_PAGE_SIZE", "1001"),
        ("RECONCILE_MAX_ATTEMPTS", "0"),
        ("RECONCILE_LEASE_TTL", "0s"),
        ("RECONCILE_AMBIGUOUS_HOLD", "-1s"),
        ("RECONCILE_TIMEOUT", "0"),
        ("RECONCILE_TIMEOUT", "soon"),
        ("RECONCILE_RATE", "-1"),
        ("RECONCILE_RATE", "inf"),
        ("RECONCILE_TIMEZONE", "Mars/Olympus"),
        ("RECONCILE_TIMEZONE", "../UTC"),
        ("RECONCILE_TIMEZONE", "Europe"),
        ("RECONCILE_LOG_LEVEL", "loud"),
        ("RECONCILE_LOG_FORMAT", "xml"),
        ("RECONCILE_AUDIT_URL", "reconcile.db"),
        ("MONGODB_COLLECTION", "a$b"),
        ("MONGODB_COLLECTION", "system.users"),
        ("MONGODB_DB", "my.db"),
    ],
)
def test_one_wrong_value_is_one_problem(name: str, value: str) -> None:
    (problem,) = problems(**{name: value})

    assert problem.startswith(f"{name}: must ")


@pytest.mark.parametrize(
    ("text", "number"), [("auto", None), ("AUTO", None), ("1", 1), ("64", 64), ("", None)]
)
def test_a_number_that_is_found_out(text: str, number: int | None) -> None:
    assert load(RECONCILE_CONCURRENCY=text, RECONCILE_BATCH=text).concurrency == number
    assert load(RECONCILE_BATCH=text).batch == number


def test_a_word_that_is_no_number_names_the_word_that_is() -> None:
    (problem,) = problems(RECONCILE_BATCH="many")

    assert problem == "RECONCILE_BATCH: must be auto or a whole number (it is 'many')"


def test_short_plain_values_are_shown_and_others_are_not() -> None:
    (short,) = problems(RECONCILE_TIMEOUT="soon")
    (pasted,) = problems(RECONCILE_TIMEOUT="0123abcd:s3cr3tvalue-of-a-key")

    assert "'soon'" in short
    assert "s3cr3t" not in pasted


# MongoDB.


@pytest.mark.parametrize(
    ("uri", "fallback", "database"),
    [
        ("mongodb://h/shop", "", "shop"),
        ("mongodb://h/shop", "other", "shop"),
        ("mongodb://h", "other", "other"),
        ("mongodb://h/", "other", "other"),
        ("mongodb://h/?replicaSet=rs0", "other", "other"),
        ("mongodb+srv://u:p%40ss@cluster.example.net/my%2Dshop?w=majority", "", "my-shop"),
        ("mongodb://%2Ftmp%2Fmongodb-27017.sock/shop", "", "shop"),
        ("mongodb://h?authSource=a/b", "other", "other"),
    ],
)
def test_the_databases_name(uri: str, fallback: str, database: str) -> None:
    assert load(MONGODB_URI=uri, MONGODB_DB=fallback).database == database


@pytest.mark.parametrize(
    ("uri", "variable"),
    [
        ("mongodb://h", "MONGODB_DB"),
        ("mongodb://h/a.b", "MONGODB_URI"),
        ("mongodb://", "MONGODB_URI"),
        ("http://h/db", "MONGODB_URI"),
        ("mongodb://u:p/w@h/db", "MONGODB_URI"),
        ("mongodb://h /db", "MONGODB_URI"),
    ],
)
def test_there_is_no_silent_database(uri: str, variable: str) -> None:
    (problem,) = problems(MONGODB_URI=uri)

    assert problem.startswith(f"{variable}: ")


# The LMS.


@pytest.mark.parametrize(
    ("given_url", "used"),
    [
        ("lms.example.com", "https://lms.example.com"),
        ("https://lms.example.com/", "https://lms.example.com"),
        ("HTTPS://lms.example.com:8443//", "https://lms.example.com:8443"),
        ("https://lms.example.com/site/", "https://lms.example.com/site"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://lms.localhost:8000", "http://lms.localhost:8000"),
        ("http://127.0.0.2", "http://127.0.0.2"),
        ("http://[::1]:8000/", "http://[::1]:8000"),
        ("localhost:8000", "https://localhost:8000"),
        ("https://bücher.example", "https://bücher.example"),
    ],
)
def test_base_urls(given_url: str, used: str) -> None:
    assert load(FRAPPE_LMS_BASE_URL=given_url).lms_base_url == used


@pytest.mark.parametrize(
    "url",
    [
        "http://lms.example.com",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "ftp://lms.example.com",
        "https://",
        "https:///path",
        "https://user@lms.example.com",
        "https://user:hush@lms.example.com",
        "https://@lms.example.com",
        "https://lms.example.com?x=1",
        "https://lms.example.com?",
        "https://lms.example.com/#top",
        "https://lms example.com",
        "https://lms.example.com:99999",
        "https://lms.example.com:port",
        "https://lms..example.com",
        "https://-lms.example.com",
        "https://[::1",
        "https://lms.example.com\\@evil.example",
        "https://" + "a" * 64 + ".example.com",
    ],
)
def test_unusable_base_urls(url: str) -> None:
    (problem,) = problems(FRAPPE_LMS_BASE_URL=url)

    assert problem.startswith("FRAPPE_LMS_BASE_URL: ")
    assert "hush" not in problem


def test_plain_http_must_be_asked_for() -> None:
    settings = load(FRAPPE_LMS_BASE_URL="http://lms.example.com", RECONCILE_ALLOW_HTTP="1")

    assert settings.lms_base_url == "http://lms.example.com"


@pytest.mark.parametrize(
    ("key", "secret", "header"),
    [
        ("abc:def", "", "token abc:def"),
        ("abc", "def", "token abc:def"),
        ("abcdef", "", "Bearer abcdef"),
        ("", "", None),
    ],
)
def test_the_authorization_header(key: str, secret: str, header: str | None) -> None:
    authorization = load(FRAPPE_LMS_API_KEY=key, FRAPPE_LMS_API_SECRET=secret).authorization

    assert (authorization.get_secret_value() if authorization else None) == header


@pytest.mark.parametrize(
    ("key", "secret"),
    [
        ("token abc:def", ""),
        ("abc:def\n", ""),
        ("abc: def", ""),
        ("äbc:def", ""),
        ("abc\x00:def", ""),
        (":def", ""),
        ("abc:", ""),
        ("abc:def", "ghi"),
        ("", "def"),
        ("abc", "d ef"),
    ],
)
def test_keys_that_would_silently_make_us_a_guest(key: str, secret: str) -> None:
    (problem,) = problems(FRAPPE_LMS_API_KEY=key, FRAPPE_LMS_API_SECRET=secret)

    assert problem.startswith("FRAPPE_LMS_API_")
    assert "def" not in problem


def test_rest_needs_a_key() -> None:
    (problem,) = problems(FRAPPE_LMS_API_KEY="", RECONCILE_ENROLL_VIA="rest")

    assert problem.startswith("FRAPPE_LMS_API_KEY: is required")
