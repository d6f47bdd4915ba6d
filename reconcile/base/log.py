"""Structured logging: structlog over the standard library's `logging`, to stderr, redacted.

`get_logger` costs nothing until something is logged. Events are constant words with key/value
pairs; every value passes the redaction, whatever it is. Nothing here writes to stdout: that is for results.
"""

from __future__ import annotations

import json
import logging
import math
import sys
from collections.abc import Mapping, MutableMapping
from datetime import date
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any, TextIO

from reconcile.base.redaction import (
    REPLACEMENT,
    escape_controls,
    mask_email,
    mask_emails_in,
    redact,
    register_secret,
)

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

__all__ = ["Logger", "configure", "get_logger", "mask_email", "mask_emails_in", "register_secret"]

LEVELS = ("debug", "info", "warning", "error", "critical")
FORMATS = ("auto", "text", "json")

#: Loggers that follow the chosen level; everybody else's libraries speak from WARNING on.
_OURS = ("reconcile",)
_FIRST = ("timestamp", "level", "logger", "event")
_TELLING_NAMES = frozenset(
    {"authorization", "api_key", "api_secret", "password", "secret", "cookie", "set-cookie"}
)
_DEEPEST = 6
_METHODS = {getattr(logging, name.upper()): name for name in LEVELS}

_Event = MutableMapping[str, Any]


class Logger:
    """A named logger with bound values. Cheap to make; structlog is imported when it first speaks."""

    __slots__ = ("_context", "_name")

    def __init__(self, name: str, context: Mapping[str, Any] | None = None) -> None:
        self._name = name
        self._context = dict(context or {})

    def bind(self, **values: Any) -> Logger:
        """A logger that adds these values to each of its lines."""
        return Logger(self._name, self._context | values)

    def debug(self, event: str, **values: Any) -> None:
        """Log at DEBUG."""
        self._log(logging.DEBUG, event, values)

    def info(self, event: str, **values: Any) -> None:
        """Log at INFO."""
        self._log(logging.INFO, event, values)

    def warning(self, event: str, **values: Any) -> None:
        """Log at WARNING."""
        self._log(logging.WARNING, event, values)

    def error(self, event: str, **values: Any) -> None:
        """Log at ERROR."""
        self._log(logging.ERROR, event, values)

    def exception(self, event: str, **values: Any) -> None:
        """Log at ERROR with the traceback of the exception being handled, without its local variables."""
        self._log(logging.ERROR, event, {"exc_info": True} | values)

    def critical(self, event: str, **values: Any) -> None:
        """Log at CRITICAL."""
        self._log(logging.CRITICAL, event, values)

    def _log(self, level: int, event: str, values: Mapping[str, Any]) -> None:
        if logging.getLogger(self._name).isEnabledFor(level):
            getattr(_structured(self._name), _METHODS[level])(event, **{**self._context, **values})


def get_logger(name: str) -> Logger:
    """The logger of this name; `name` is the module's `__name__`."""
    return Logger(name)


def configure(level: str = "info", log_format: str = "auto", *, stream: TextIO | None = None) -> None:
    """Send the log to `stream`, or to whatever `sys.stderr` is when a line is written.

    `level` is one of LEVELS and holds for our own loggers; libraries and Python warnings come from
    WARNING on. `log_format` is one of FORMATS; `auto` is text on a terminal and JSON lines elsewhere.
    May be repeated: the last call counts. Raises ValueError for an unknown level or format.
    """
    if level not in LEVELS or log_format not in FORMATS:
        raise ValueError(f"log level is one of {LEVELS}, format one of {FORMATS}")
    if log_format == "auto":
        log_format = "text" if _is_terminal(stream if stream is not None else sys.stderr) else "json"
    handler = _Handler(stream, as_text=log_format == "text")
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if isinstance(handler, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    for name in _OURS:
        logging.getLogger(name).setLevel(level.upper())
    logging.captureWarnings(capture=True)


class _Handler(logging.Handler):
    """Writes to the stream that is stderr at that moment: a progress bar replaces it while it is drawn."""

    def __init__(self, stream: TextIO | None, *, as_text: bool) -> None:
        super().__init__()
        self._stream = stream
        self._as_text = as_text

    def format(self, record: logging.LogRecord) -> str:
        if self.formatter is None:
            # Not before: most commands write no line, and the library takes longer to import than they work.
            self.formatter = _formatter(as_text=self._as_text)
        return super().format(record)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record) + "\n"
            stream = self._stream if self._stream is not None else sys.stderr
            if stream is None:  # a process without stderr
                return
            try:
                stream.write(line)
            except UnicodeEncodeError:  # a stream that is not UTF-8
                stream.write(line.encode("ascii", "backslashreplace").decode("ascii"))
            stream.flush()
        except Exception:  # noqa: BLE001  a log that cannot be written must not end a run
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  logging's own name
        """Stay silent: the default would print the raw record, unredacted, to the same broken stream."""


def _formatter(*, as_text: bool) -> logging.Formatter:
    from structlog.stdlib import ProcessorFormatter

    return ProcessorFormatter(
        foreign_pre_chain=_processors(),
        processors=[ProcessorFormatter.remove_processors_meta, _as_text if as_text else _as_json],
        use_get_message=True,
    )


@cache
def _structured(name: str) -> BoundLogger:
    # Wrapped one by one instead of structlog.configure(): importing us changes no other library's logging.
    import structlog

    bound: BoundLogger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[*_processors(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        context_class=dict,
    )
    return bound


def _processors() -> list[Any]:
    """What every line goes through, ours and the libraries': the last step makes it fit to be shown."""
    import structlog

    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        # The plain formatter of the standard library: it never prints local variables.
        structlog.processors.format_exc_info,
        _redacted,
    ]


def _redacted(_logger: object, _method: str, event: _Event) -> _Event:
    for key, value in event.items():
        if key in ("level", "timestamp", "logger") or key.startswith("_"):  # structlog's own
            continue
        event[key] = _shown(value, name=key)
    return event


def _shown(value: object, *, name: str = "", depth: int = 0) -> Any:
    """The value as it may be shown: JSON types only, every string redacted. Never raises."""
    if name.lower() in _TELLING_NAMES:
        return REPLACEMENT
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, date):
        return value.isoformat()
    try:
        if depth < _DEEPEST and isinstance(value, Mapping):
            return {
                redact(str(key)): _shown(item, name=str(key), depth=depth + 1) for key, item in value.items()
            }
        if depth < _DEEPEST and isinstance(value, (list, tuple, set, frozenset)):
            return [_shown(item, depth=depth + 1) for item in value]
        return redact(str(value))
    except Exception as error:  # noqa: BLE001  somebody's __str__ is broken; that must not end a run
        return f"<unprintable {type(value).__name__}: {type(error).__name__}>"


def _as_json(_logger: object, _method: str, event: _Event) -> str:
    ordered = {**{key: event[key] for key in _FIRST if key in event}, **event}
    # ASCII: no control or direction character survives, whatever reads the file.
    return json.dumps(ordered, default=str)


def _as_text(_logger: object, _method: str, event: _Event) -> str:
    """`2026-11-24T03:45:47Z info     event  key=value …`, and a traceback indented below it."""
    traceback = event.pop("exception", None)
    stack = event.pop("stack", None)
    head = f"{str(event.get('timestamp', ''))[:19]}Z {event.get('level', ''):<8} {_plain(event.get('event'))}"
    pairs = [f"{_plain(key)}={_quoted(value)}" for key, value in event.items() if key not in _FIRST]
    below = [
        f"    {escape_controls(line)}"
        for text in (traceback, stack)
        if text
        # Not splitlines(): that also splits at separators which are escaped here.
        for line in str(text).split("\n")
    ]
    return "\n".join(["  ".join([head, " ".join(pairs)]).rstrip(), *below])


def _plain(value: object) -> str:
    return escape_controls(str(value))


def _quoted(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    if isinstance(value, str) and (not text or any(letter in text for letter in ' "=')):
        return escape_controls(json.dumps(text, ensure_ascii=False))
    return escape_controls(text)


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False
