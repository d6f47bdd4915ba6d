"""What is logged, without a file: the lines that operators see, or everything; and what must not be in it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from reconcile.sandbox.servers import KEY

SECRET = KEY.partition(":")[2]
ADDRESS = "victim.of.a.leak@example.com"


class WarningLines(logging.Handler):
    """Counts what operators would see as WARNING or above."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextmanager
def warnings_counted() -> Iterator[list[str]]:
    """The WARNING lines (and above) of our own loggers in the block."""
    handler, ours = WarningLines(), logging.getLogger("reconcile")
    level = ours.level
    ours.addHandler(handler)
    ours.setLevel(logging.WARNING)
    try:
        yield handler.lines
    finally:
        ours.removeHandler(handler)
        ours.setLevel(level)


class Everything(logging.Handler):
    """All that is logged, at any level, as one text."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += record.getMessage() + "\n"


@contextmanager
def everything_logged() -> Iterator[Everything]:
    lines, ours = Everything(), logging.getLogger("reconcile")
    level = ours.level
    ours.addHandler(lines)
    ours.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        ours.removeHandler(lines)
        ours.setLevel(level)


def shows_no_secret(text: str) -> None:
    assert SECRET not in text
    assert ADDRESS not in text
