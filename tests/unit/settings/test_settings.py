"""Settings: where they come from, what they may be, and that all problems are named without a secret."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcile.base.errors import ConfigurationError
from reconcile.base.redaction import redact
from reconcile.settings import SETTINGS, Settings

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


def test_defaults_are_those_of_the_interface() -> None:
    settings = load()

    assert settings.mongodb_collection == "enrollments"
    assert settings.enroll_via == "confirm_payment"
    assert settings.audit_url.get_secret_value() == "sqlite:///reconcile-audit.db"
    assert (settings.min_age, settings.max_attempts) == (300, 5)
    assert (settings.backoff_base, settings.backoff_max, settings.retry_delay) == (120, 1920, 2)
    assert (settings.timeout, settings.lease_ttl, settings.ambiguous_hold) == (10, 120, 180)
    assert (settings.concurrency, settings.batch) == (None, None)
    assert (settings.rate, settings.page_size) == (0, 200)
    assert (settings.schedule, settings.timezone) == ("*/5 * * * *", "UTC")
    assert (settings.log_level, settings.log_format, settings.allow_http) == ("info", "auto", False)


def test_documentation_lists_every_setting_once() -> None:
    names = [doc.name for doc in SETTINGS]
    defaults = {doc.name: doc.default for doc in SETTINGS}

    assert len(names) == len(set(names)) == len(Settings.model_fields)
    assert {doc.name for doc in SETTINGS if doc.required} == {"MONGODB_URI", "FRAPPE_LMS_BASE_URL"}
    assert {doc.name for doc in SETTINGS if doc.secret} == {
        "MONGODB_URI",
        "FRAPPE_LMS_API_KEY",
        "FRAPPE_LMS_API_SECRET",
        "RECONCILE_AUDIT_URL",
        "RECONCILE_SMTP_URL",
        "RECONCILE_ALERT_URLS",
        "RECONCILE_PING_URL",
    }
    assert defaults["RECONCILE_BACKOFF_MAX"] == "32m"
    assert defaults["RECONCILE_RATE"] == "0"
    assert defaults["RECONCILE_CONCURRENCY"] == defaults["RECONCILE_BATCH"] == "auto"
    assert all(doc.description.endswith(".") for doc in SETTINGS)


@pytest.mark.parametrize("doc", SETTINGS, ids=lambda doc: doc.name)
def test_documented_defaults_can_be_written_into_the_environment(doc: Any) -> None:
    if doc.default:
        load(**{doc.name: doc.default})


# Sources.


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text('RECONCILE_TIMEOUT=3s\nexport RECONCILE_RATE="5"\n# a comment\nOTHER=x\n')

    settings = Settings.load(ENVIRON | {"RECONCILE_TIMEOUT": "4s"}, env_file=env_file)

    assert (settings.timeout, settings.rate) == (4, 5)


@pytest.mark.parametrize("empty", ["", "  ", "\t"])
def test_empty_counts_as_unset(tmp_path: Path, empty: str) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("RECONCILE_TIMEOUT=3s\nRECONCILE_PAGE_SIZE=\n")

    settings = Settings.load(
        ENVIRON | {"RECONCILE_TIMEOUT": empty, "FRAPPE_LMS_API_KEY": empty}, env_file=env_file
    )

    assert (settings.timeout, settings.page_size, settings.authorization) == (3, 200, None)


def test_the_file_in_the_working_directory_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("RECONCILE_TIMEOUT=3s\n")
    monkeypatch.chdir(tmp_path)
    for doc in SETTINGS:
        monkeypatch.delenv(doc.name, raising=False)
        monkeypatch.delenv(f"{doc.name}_FILE", raising=False)
    monkeypatch.setenv("RECONCILE_PAGE_SIZE", "7")

    settings = Settings.load(require=())

    assert (settings.timeout, settings.page_size) == (3, 7)


@pytest.mark.parametrize("content", ["0123:s3cr3tvalue", "0123:s3cr3tvalue\n", "\ufeff0123:s3cr3tvalue\r\n"])
def test_a_secret_from_a_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "key"
    path.write_bytes(content.encode())

    settings = load(FRAPPE_LMS_API_KEY="", FRAPPE_LMS_API_KEY_FILE=str(path))

    assert settings.lms_api_key.get_secret_value() == "0123:s3cr3tvalue"


@pytest.mark.parametrize("name", [doc.name for doc in SETTINGS if doc.secret])
def test_every_secret_can_be_a_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / "secret"
    values = {
        "MONGODB_URI": "mongodb://h/x",
        "RECONCILE_AUDIT_URL": "sqlite:///x",
        "RECONCILE_SMTP_URL": "smtp://h",
        "RECONCILE_ALERT_URLS": "json://h/x",
        "RECONCILE_PING_URL": "https://h/x",
    }
    path.write_text(values.get(name, "abcd"))
    environ = ENVIRON | {"FRAPPE_LMS_API_KEY": "key", name: "", f"{name}_FILE": str(path)}
    environ["RECONCILE_MAIL_FROM"] = "shop@example.com"

    Settings.load(environ, env_file=None)


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe", b"x" * 100_000])
def test_an_unusable_secret_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)

    (problem,) = problems(FRAPPE_LMS_API_KEY="", FRAPPE_LMS_API_KEY_FILE=str(path))

    assert problem.startswith("FRAPPE_LMS_API_KEY: FRAPPE_LMS_API_KEY_FILE ")
    assert ";" in problem  # the remedy


def test_a_directory_or_a_broken_path_is_no_secret_file(tmp_path: Path) -> None:
    assert len(problems(MONGODB_URI="", MONGODB_URI_FILE=str(tmp_path))) == 1
    assert len(problems(MONGODB_URI="", MONGODB_URI_FILE="a\0b")) == 1


def test_a_name_and_its_file_exclude_each_other(tmp_path: Path) -> None:
    (problem,) = problems(FRAPPE_LMS_API_KEY_FILE=str(tmp_path))

    assert problem.startswith("FRAPPE_LMS_API_KEY: is given twice")


def test_the_environments_file_wins_over_the_value_in_the_env_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from:keyfile")
    (tmp_path / ".env").write_text("FRAPPE_LMS_API_KEY=from:envfile\n")
    environ = ENVIRON | {"FRAPPE_LMS_API_KEY": "", "FRAPPE_LMS_API_KEY_FILE": str(tmp_path / "key")}

    settings = Settings.load(environ, env_file=tmp_path / ".env")

    assert settings.lms_api_key.get_secret_value() == "from:keyfile"


def test_an_env_file_that_is_no_text(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_bytes(b"A=\xff\xfe")

    with pytest.raises(ConfigurationError, match=r"\.env: is not UTF-8"):
        Settings.load(ENVIRON, env_file=env_file)


def test_an_env_file_that_cannot_be_read() -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        Settings.load(ENVIRON, env_file="x" * 5000)


# Problems.


def test_all_problems_at_once_without_any_secret() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings.load(
            {
                "MONGODB_URI": "mongo://u:hush-password@h",
                "FRAPPE_LMS_API_KEY": "token hush:password",
                "FRAPPE_LMS_BASE_URL": "https://u:hush-password@lms.example.com",
                "RECONCILE_AUDIT_URL": "hush-password",
                "RECONCILE_CONCURRENCY": "many",
                "RECONCILE_ENROLL_VIA": "rest",
            },
            env_file=None,
        )

    assert sorted(problem.partition(":")[0] for problem in caught.value.problems) == [
        "FRAPPE_LMS_API_KEY",
        "FRAPPE_LMS_BASE_URL",
        "MONGODB_URI",
        "RECONCILE_AUDIT_URL",
        "RECONCILE_CONCURRENCY",
    ]
    assert "hush" not in f"{caught.value} {caught.value!r} {caught.value.hint} {caught.value.__context__!r}"


def test_what_is_required_is_asked_for_with_its_file() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings.load({}, env_file=None)

    assert caught.value.problems == (
        "MONGODB_URI: is required; set it (or MONGODB_URI_FILE)",
        "FRAPPE_LMS_BASE_URL: is required; set it",
    )


def test_a_command_that_needs_the_audit_only_asks_for_nothing_else() -> None:
    environ = {"RECONCILE_AUDIT_URL": "sqlite:///x.db", "FRAPPE_LMS_API_KEY": "bro ken", "MONGODB_URI": "?"}

    settings = Settings.load(environ, env_file=None, require=("audit",))

    assert settings.audit_url.get_secret_value() == "sqlite:///x.db"


# Secrets stay secret.


def test_no_representation_shows_a_secret() -> None:
    settings = load(RECONCILE_AUDIT_URL="postgresql://u:auditpass@h/db")
    shown = f"{settings} {settings!r} {settings.model_dump()} {settings.authorization!r}"
    shown += settings.model_dump_json()

    assert not any(secret in shown for secret in ("ssword", "s3cr3t", "auditpass", "0123abcd", "reader"))
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(settings)
    assert copy.deepcopy(settings) == settings


def test_loading_registers_the_secrets_with_the_redaction() -> None:
    load(RECONCILE_AUDIT_URL="postgresql://u:auditpass@h/db")

    shown = redact("auditpass s3cr3tvalue pa/ssword pa%2Fssword reconcile-audit.db")

    assert shown == "*** *** *** *** reconcile-audit.db"


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().timeout = 1  # type: ignore[misc]


@given(st.dictionaries(st.sampled_from([doc.name for doc in SETTINGS]), st.text(max_size=40)))
def test_any_environment_is_settings_or_problems(environ: dict[str, str]) -> None:
    try:
        Settings.load(environ, env_file=None)
        named = set()
    except ConfigurationError as error:
        named = {problem.partition(":")[0] for problem in error.problems}

    assert named <= {doc.name for doc in SETTINGS}
