"""The metrics as a file for node_exporter's textfile collector: what each run adds to it.

The file is its own memory. A counter must only grow, and no single run's numbers do: so a run reads
what the file says, adds its own and replaces it as a whole (ADR 12). A file that is gone or damaged
begins anew, which Prometheus takes for the restart of a process.
"""

from __future__ import annotations

import fcntl
import math
import os
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from reconcile.base import log
from reconcile.domain.histogram import Histogram
from reconcile.metrics.measures import Standing, Tally
from reconcile.metrics.metering import Metrics
from reconcile.metrics.prometheus import exposition

_log = log.get_logger(__name__)

#: node_exporter runs as another user.
MODE = 0o644
#: Seconds to wait for another run that is replacing the file.
PATIENCE = 5.0
_LARGEST = 4 * 1024 * 1024


def add_to_file(path: Path, metrics: Metrics, *, now: datetime) -> None:
    """Add what `metrics` has counted to the file, atomically; runs at the same time take turns.

    Raises OSError where the file cannot be written; it is then as it was. Not to be repeated with
    the same metrics: they would count twice.
    """
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        raise OSError("it is not a file")
    with _turn(path.parent):
        before = _read(path)
        if before is not None:
            metrics.go_on_from(*before)
        tally, standing = metrics.snapshot()
        text, _ = exposition(tally, standing, now=now)
        _replace(path, text)


@contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """Nobody else of us writes into this folder meanwhile. Raises TimeoutError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError("another process holds a lock on its folder") from None
                time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, text: bytes) -> None:
    # The collector reads *.prom alone: a name that ends otherwise is never read half-written.
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".new", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), MODE)
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _read(path: Path) -> tuple[Tally, Standing] | None:
    """What the file says; None where there is none, or none of ours."""
    try:
        with path.open("rb") as file:
            written_at = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
            text = file.read(_LARGEST).decode("utf-8")
        return read_back(text, written_at=written_at)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, ArithmeticError) as error:  # not the format, or another version's
        _log.warning(
            "The metrics file cannot be read; its counters begin anew", file=str(path), error=str(error)
        )
        return None


def read_back(text: str, *, written_at: datetime) -> tuple[Tally, Standing]:
    """The numbers that `exposition` has written. Raises ValueError or KeyError for what it has not."""
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    if not samples:
        raise ValueError("it holds no metrics")
    tally, standing = Tally(), Standing()
    for sample in _named(samples, "reconcile_runs_total"):
        tally.runs[sample.labels["status"]] = _whole(sample.value)
    for sample in _named(samples, "reconcile_enrollments_total"):
        tally.verdicts[sample.labels["outcome"], sample.labels["reason"]] = _whole(sample.value)
    for sample in _named(samples, "reconcile_job_events_total"):
        tally.events[sample.labels["job"], sample.labels["event"]] = _whole(sample.value)
    _fill(tally.durations, samples, "reconcile_run_duration_seconds")
    _fill(tally.waits, samples, "reconcile_paid_to_access_seconds")
    for (operation, answer), spread in tally.requests.items():
        labels = {"operation": operation, "status": answer}
        _fill(spread, samples, "reconcile_lms_request_duration_seconds", labels)
    _stand(standing, samples, written_at)
    return tally, standing


def _stand(standing: Standing, samples: list[Sample], written_at: datetime) -> None:
    for sample in _named(samples, "reconcile_last_success_timestamp_seconds"):
        if sample.value > 0:
            standing.last_success = datetime.fromtimestamp(sample.value, UTC)
    # A file of an earlier version does not tell these.
    standing.unmarked = _known(samples, "reconcile_unmarked_orders")
    standing.jobs_open = _known(samples, "reconcile_shop_jobs_open")
    standing.jobs_overdue = _known(samples, "reconcile_shop_jobs_overdue")
    backlog = {sample.labels["status"]: sample.value for sample in _named(samples, "reconcile_backlog")}
    if not backlog or any(math.isnan(number) for number in backlog.values()):
        return
    standing.backlog = {status: _whole(number) for status, number in backlog.items()}
    for sample in _named(samples, "reconcile_unsynced_amount"):
        standing.amounts[sample.labels["currency"]] = Decimal(str(sample.value))
    for sample in _named(samples, "reconcile_oldest_unsynced_seconds"):
        if sample.value > 0:
            standing.oldest_paid_at = written_at - timedelta(seconds=sample.value)


def _known(samples: Iterable[Sample], name: str) -> int | None:
    """A count that stands for itself; None where it is not there, or was not known."""
    found = [sample.value for sample in _named(samples, name) if not math.isnan(sample.value)]
    return _whole(found[0]) if found else None


def _named(samples: Iterable[Sample], name: str) -> Iterator[Sample]:
    return (sample for sample in samples if sample.name == name)


def _fill(
    spread: Histogram, samples: list[Sample], name: str, labels: Mapping[str, str] | None = None
) -> None:
    """Read a histogram back. Raises ValueError where its bounds are another version's."""
    wanted = dict(labels or {})
    cumulative: list[tuple[float, int]] = []
    for sample in samples:
        if sample.name == f"{name}_bucket":
            rest = {key: value for key, value in sample.labels.items() if key != "le"}
            if rest == wanted:
                cumulative.append((float(sample.labels["le"]), _whole(sample.value)))
        elif sample.name == f"{name}_sum" and sample.labels == wanted:
            spread.total = sample.value
    cumulative.sort()
    if [bound for bound, _ in cumulative] != [*spread.bounds, math.inf]:
        raise ValueError(f"{name} has other bounds")
    below = 0
    for place, (_, so_far) in enumerate(cumulative):
        if so_far < below:
            raise ValueError(f"{name} is not cumulative")
        spread.counts[place], below = so_far - below, so_far


def _whole(value: float) -> int:
    """A count. Raises ValueError and OverflowError (an ArithmeticError) for what is none."""
    if value < 0:
        raise ValueError("a count below zero")
    return int(value)
