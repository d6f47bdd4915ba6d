"""The lines that operators see at the level WARNING and above, without a file."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


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
