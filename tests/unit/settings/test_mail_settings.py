"""The settings of the mail: off by default, and everything that is wrong told at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from reconcile.base.errors import ConfigurationError
from reconcile.base.redaction import redact
from reconcile.settings import Settings
from reconcile.settings.mail import course_address, sender, smtp_server

ENVIRON = {
    "MONGODB_URI": "mongodb://h/shop",
    "FRAPPE_LMS_BASE_URL": "https://lms.example.com",
    "RECONCILE_SMTP_URL": "smtp://shop:pa%2Fss%40word@mail.example.com",
    "RECONCILE_MAIL_FROM": "Shop <shop@example.com>",
}


def load(**environ: str) -> Settings:
    return Settings.load(ENVIRON | environ, env_file=None)


def problems(**environ: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(**environ)
    return list(caught.value.problems)


def test_off_by_default_and_nothing_else_matters_then(tmp_path: Path) -> None:
    assert load().mails
    off = load(RECONCILE_SMTP_URL="", RECONCILE_MAIL_FROM="", RECONCILE_MAIL_TEMPLATE=str(tmp_path / "gone"))
    assert not off.mails


def test_jinja_is_only_imported_for_mail() -> None:
    program = (
        "import sys, os\n"
        "from reconcile.settings import Settings\n"
        "Settings.load(dict(os.environ), env_file=None)\n"
        "print('jinja2' in sys.modules)\n"
    )
    loaded = [
        subprocess.run(
            [sys.executable, "-c", program], env=ENVIRON | changes, capture_output=True, text=True, check=True
        ).stdout.strip()
        for changes in ({"RECONCILE_SMTP_URL": ""}, {})
    ]

    assert loaded == ["False", "True"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example.com", ("mail.example.com", 587, False, "", "")),
        ("smtps://mail.example.com", ("mail.example.com", 465, True, "", "")),
        ("smtp://u:p@mail.example.com:25/", ("mail.example.com", 25, False, "u", "p")),
        ("smtps://shop%40example.com:a%2Fb@[::1]:2465", ("::1", 2465, True, "shop@example.com", "a/b")),
    ],
)
def test_a_mail_servers_url(url: str, expected: tuple[object, ...]) -> None:
    found = smtp_server(url)

    assert (found.host, found.port, found.tls, found.user, found.password) == expected
    assert found.is_loopback == (found.host == "::1")
    assert "a/b" not in repr(found)


@pytest.mark.parametrize(
    "url",
    [
        "mail.example.com",
        "http://mail.example.com",
        "smtp://",
        "smtp://host:port",
        "smtp://host:99999",
        "smtp://ho st",
        "smtp://user@host",
        "smtp://:password@host",
        "smtp://host/path",
        "smtp://host?tls=no",
        "smtp://user:pass/word@host",
        "smtp://user:pass%C3%BC@host",
    ],
)
def test_what_is_no_mail_server(url: str) -> None:
    (problem,) = problems(RECONCILE_SMTP_URL=url)

    assert problem.startswith("RECONCILE_SMTP_URL: ")
    assert url == "smtp://" or url not in problem
    assert "pass/word" not in problem


def test_the_password_is_a_secret() -> None:
    settings = load()

    assert "pa%2Fss" not in repr(settings)
    assert redact("login with pa/ss@word, or pa%2Fss%40word") == "login with ***, or ***"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("shop@example.com", "shop@example.com"),
        ("Shop <shop@example.com>", "Shop <shop@example.com>"),
        ('"Kurse & mehr, GmbH" <shop@example.com>', '"Kurse & mehr, GmbH" <shop@example.com>'),
        ("Köln <shop@köln.example>", "Köln <shop@xn--kln-sna.example>"),
    ],
)
def test_a_sender(given: str, shown: str) -> None:
    assert str(sender(given)) == shown


@pytest.mark.parametrize(
    "given",
    [
        "Shop",
        "shop@",
        "@example.com",
        "shop@localhost",
        "jörg@example.com",
        "a b <x>",
        "x@a b.example",
        "a@x.example, b@x.example",
    ],
)
def test_no_sender(given: str) -> None:
    (problem,) = problems(RECONCILE_MAIL_FROM=given)

    assert problem.startswith("RECONCILE_MAIL_FROM: must")


def test_a_courses_address() -> None:
    base = "https://lms.example.com"
    pattern = load().course_url

    assert course_address(pattern, base=base, course="web-dev") == f"{base}/lms/courses/web-dev"
    assert (
        course_address("https://s.example/{course}?x=1", base=base, course="a/b")
        == "https://s.example/a%2Fb?x=1"
    )


@pytest.mark.parametrize(
    "pattern",
    ["https://lms.example.com", "{course}", "ftp://x/{course}", "https://x/{course}/{slug}", "//x/{course}"],
)
def test_no_courses_address(pattern: str) -> None:
    (problem,) = problems(RECONCILE_COURSE_URL=pattern)

    assert problem.startswith("RECONCILE_COURSE_URL: m")


def test_everything_at_once(tmp_path: Path) -> None:
    (tmp_path / "mail.txt").write_text("{{ nobody }}")

    found = problems(
        RECONCILE_MAIL_FROM="",
        RECONCILE_MAIL_SUBJECT="{% if %}",
        RECONCILE_MAIL_TEMPLATE=str(tmp_path),
        RECONCILE_COURSE_URL="nowhere",
        FRAPPE_LMS_BASE_URL="",
    )

    assert {problem.partition(":")[0] for problem in found} == {
        "RECONCILE_MAIL_FROM",
        "RECONCILE_MAIL_SUBJECT",
        "RECONCILE_MAIL_TEMPLATE",
        "RECONCILE_COURSE_URL",
        "FRAPPE_LMS_BASE_URL",
    }
    assert any("is required, because RECONCILE_SMTP_URL is set" in problem for problem in found)
    assert any("'nobody' is undefined" in problem for problem in found)


def test_commands_that_send_nothing_do_not_check_the_mail() -> None:
    Settings.load(ENVIRON | {"RECONCILE_MAIL_SUBJECT": "{% if %}"}, env_file=None, require=("audit",))
