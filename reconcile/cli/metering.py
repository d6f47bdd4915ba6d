"""`--metrics-file`: what a command's run adds to the metrics of those who have no scheduler to scrape."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from reconcile.cli.errors import say

if TYPE_CHECKING:
    from reconcile.metrics.metering import Metrics


@contextmanager
def metering(path: Path | None) -> Iterator[Metrics | None]:
    """Metrics for the block to count in; added to the file at `path` however the block ends.

    None without a path. A file that cannot be written is told on stderr and changes nothing else:
    learners do not wait for monitoring.
    """
    if path is None:
        yield None
        return
    from reconcile.metrics.metering import Metrics

    metrics = Metrics()
    try:
        yield metrics
    except Exception:
        # A run that has begun says so by itself, however it ends: this one could not, or had a bug.
        metrics.run_broke()
        raise
    finally:
        _add(path, metrics)


def _add(path: Path, metrics: Metrics) -> None:
    from reconcile.metrics.textfile import add_to_file

    try:
        add_to_file(path, metrics, now=datetime.now(UTC))
    except OSError as error:
        say(
            f"reconcile: the metrics were not written to {path}: {error.strerror or error}\n"
            "  → The run is not affected. The folder must exist and be writable for this user."
        )
