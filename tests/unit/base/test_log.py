"""The log: what a line looks like, what never gets into one, and where it goes."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import structlog

from reconcile.base import log
from reconcile.base.redaction import forget_secrets
from reconcile.domain.model import Reason


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in ("reconcile",):
        logging.getLogger(name).setLevel(logging.NOTSET)
    forget_secrets()


def lines(log_format: str, level: str = "info", **values: Any) -> str:
    stream = io.StringIO()
    log.configure(level, log_format, stream=stream)
    log.get_logger("reconcile.test").info("something_happened", **values)
    return stream.getvalue()


def log_exception(logger: log.Logger, message: str, **values: Any) -> None:
    def fail() -> None:
        raise ValueError(message)

    try:
        fail()
    except ValueError:
        logger.exception("failed", **values)


def line(**values: Any) -> dict[str, Any]:
    text = lines("json", **values)
    assert text.count("\n") == 1
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def test_a_json_line() -> None:
    parsed = line(run_id="r1", count=3, share=0.5, nothing=None)

    assert datetime.fromisoformat(parsed.pop("timestamp")).tzinfo == UTC
    assert parsed == {
        "level": "info",
        "logger": "reconcile.test",
        "event": "something_happened",
        "run_id": "r1",
        "count": 3,
        "share": 0.5,
        "nothing": None,
    }


def test_a_text_line() -> None:
    text = lines("text", run_id="r1", words="two words", empty="", listed=["a", 1])

    assert datetime.fromisoformat(text[:20]).tzinfo == UTC
    assert text[20:] == (
        ' info     something_happened  run_id=r1 words="two words" empty="" listed=["a", 1]\n'
    )


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_addresses_are_masked_wherever_they_stand(log_format: str) -> None:
    class Person:
        def __str__(self) -> str:
            return "Person(student@example.com)"

    stream = io.StringIO()
    log.configure("info", log_format, stream=stream)
    logger = log.get_logger("reconcile.test").bind(bound="student@example.com")
    nested = {"student@example.com": ["student@example.com", ("student@example.com",), {"x": Person()}]}
    logger.info("student@example.com came", email="student@example.com", nested=nested)
    log_exception(logger, "no student@example.com here", error=ValueError("student@example.com"))
    logging.getLogger("urllib3").warning("retry %s", "student@example.com")

    assert "student" not in stream.getvalue()
    assert stream.getvalue().count("s***@example.com") >= 10


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_secrets_never_get_into_a_line(log_format: str) -> None:
    stream = io.StringIO()
    log.configure("info", log_format, stream=stream)
    log.register_secret("hunter22")
    logger = log.get_logger("reconcile.test")
    logger.info(
        "using hunter22", url="https://u:hunter22@h/", headers={"Authorization": "x", "a": b"hunter22"}
    )
    log_exception(logger, "hunter22")
    logging.getLogger("pymongo").error("hunter22")

    assert "hunter22" not in stream.getvalue()
    assert '"x"' not in stream.getvalue()


def test_a_traceback_shows_no_local_variables() -> None:
    stream = io.StringIO()
    log.configure("info", "text", stream=stream)

    def fail() -> None:
        password = "visible-" + "only-as-local"
        raise RuntimeError(f"{len(password)} letters")

    try:
        fail()
    except RuntimeError:
        log.get_logger("reconcile.test").exception("failed")

    assert "RuntimeError: 21 letters" in stream.getvalue()
    assert "visible-only-as-local" not in stream.getvalue()


def test_text_cannot_be_forged_with_control_characters() -> None:
    stream = io.StringIO()
    log.configure("info", "text", stream=stream)
    forged = "x\n2026-01-01T00:00:00Z info     all is well\r\x1b[2J\u2028"
    logger = log.get_logger("reconcile.test")
    logger.info(forged, value=forged)
    log_exception(logger, forged)

    written = stream.getvalue()
    assert all(letter == "\n" or letter.isprintable() for letter in written)
    for text in written.splitlines():
        assert text.startswith("    ") or "all is well" not in text[:40]


def test_values_of_any_type_become_json() -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no")

    parsed = line(
        reason=Reason.BLIND,
        money=Decimal("9.90"),
        at=datetime(2026, 1, 2, tzinfo=UTC),
        nan=float("nan"),
        bad=Broken(),
    )

    assert parsed["reason"] == "blind"
    assert parsed["money"] == "9.90"
    assert parsed["at"] == "2026-01-02T00:00:00+00:00"
    assert parsed["nan"] == "nan"
    assert parsed["bad"] == "<unprintable Broken: RuntimeError>"


def test_level_holds_for_us_and_warning_for_libraries() -> None:
    stream = io.StringIO()
    log.configure("debug", "json", stream=stream)

    log.get_logger("reconcile.test").debug("ours")
    log.get_logger("reconcile.jobs.scheduler").debug("ours, too")
    logging.getLogger("urllib3").info("theirs")
    logging.getLogger("urllib3").warning("theirs, and serious")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old habit", DeprecationWarning, stacklevel=1)

    events = [json.loads(text)["event"] for text in stream.getvalue().splitlines()]
    assert events[:3] == ["ours", "ours, too", "theirs, and serious"]
    assert "old habit" in events[3]


def test_below_the_level_nothing_is_written() -> None:
    assert lines("json", level="warning") == ""


def test_stderr_is_looked_up_when_a_line_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    log.configure("info", "json")
    replaced = io.StringIO()
    monkeypatch.setattr(sys, "stderr", replaced)

    log.get_logger("reconcile.test").info("hello")

    assert json.loads(replaced.getvalue())["event"] == "hello"


@pytest.mark.parametrize(("terminal", "first"), [(True, "2"), (False, "{")])
def test_auto_is_text_on_a_terminal_only(*, terminal: bool, first: str) -> None:
    class Stream(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    stream = Stream()
    log.configure("info", "auto", stream=stream)
    log.get_logger("reconcile.test").info("hello")

    assert stream.getvalue()[0] == first


def test_configuring_twice_writes_once() -> None:
    lines("json")

    assert lines("json").count("\n") == 1


@pytest.mark.parametrize(("level", "log_format"), [("loud", "json"), ("info", "xml")])
def test_unknown_words_are_refused(level: str, log_format: str) -> None:
    with pytest.raises(ValueError, match="log level"):
        log.configure(level, log_format)


def test_a_broken_stream_is_no_reason_to_stop() -> None:
    stream = io.StringIO()
    log.configure("info", "json", stream=stream)
    stream.close()

    log.get_logger("reconcile.test").info("into the void")


def test_a_stream_that_is_not_utf8() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    log.configure("info", "text", stream=stream)

    log.get_logger("reconcile.test").info("Zoë")

    assert b"Zo\\xeb" in stream.buffer.getvalue()


def test_bound_values_and_context_variables_are_added() -> None:
    stream = io.StringIO()
    log.configure("info", "json", stream=stream)
    with structlog.contextvars.bound_contextvars(run_id="r1"):
        log.get_logger("reconcile.test").bind(page=2).info("hello", page=3)

    parsed = json.loads(stream.getvalue())
    assert (parsed["run_id"], parsed["page"]) == ("r1", 3)


def test_a_logger_costs_no_import_of_structlog() -> None:
    program = (
        "import sys; from reconcile.base import log; log.configure('warning', 'json');"
        "log.get_logger('reconcile.x').info('quiet');"
        "sys.exit('structlog' in sys.modules or 'pydantic' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
