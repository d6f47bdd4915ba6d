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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from reconcile.base import log
from reconcile.metrics.metrics import Metrics, exposition

_log = log.get_logger(__name__)

#: node_exporter runs as another user.
MODE = 0o644
#: Seconds to wait for another run that is replacing the file.
PATIENCE = 5.0
_LARGEST = 4 * 1024 * 1024

#: A sample's name and its labels.
_Key = tuple[str, tuple[tuple[str, str], ...]]


def add_to_file(path: Path, metrics: Metrics, *, now: datetime) -> None:
    """Add what `metrics` has counted to the file, atomically; runs at the same time take turns.

    Raises OSError where the file cannot be written; it is then as it was. Not to be repeated with
    the same metrics: they would count twice.
    """
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        raise OSError("it is not a file")
    with _turn(path.parent):
        text, _ = exposition(_with_those_of(path, metrics.collect(now), now))
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


def _with_those_of(path: Path, metrics: list[Metric], now: datetime) -> Sequence[Metric]:
    """These numbers and what the file says; without it where there is none, or none of ours."""
    try:
        with path.open("rb") as file:
            written_at = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
            text = file.read(_LARGEST).decode("utf-8")
        return added(metrics, text, since=(now - written_at).total_seconds())
    except FileNotFoundError:
        return metrics
    except (ValueError, KeyError, ArithmeticError) as error:  # not the format, or another version's
        _log.warning(
            "The metrics file cannot be read; its counters begin anew", file=str(path), error=str(error)
        )
        return metrics


def added(metrics: Sequence[Metric], text: str, *, since: float) -> Sequence[Metric]:
    """The numbers with those of `text` added, which was written `since` seconds ago.

    Raises ValueError, KeyError and OverflowError where the text is not what `exposition` writes.
    """
    ours = {metric.name for metric in metrics}
    families = [family for family in text_string_to_metric_families(text) if family.name in ours]
    if not families:
        raise ValueError("it holds no metrics of ours")
    said = {family.name: _numbers(family) for family in families}
    both = [_added(metric, said.get(metric.name, {}), since) for metric in metrics]
    for metric, samples in zip(metrics, both, strict=True):
        metric.samples = samples
    return metrics


def _added(metric: Metric, before: Mapping[_Key, float], since: float) -> list[Sample]:
    if metric.type == "histogram":
        return _both(metric.samples, before)
    if metric.type == "counter":
        samples = _with_others(metric.samples, before)
        return [each._replace(value=each.value + before.get(_key(each), 0)) for each in samples]
    if metric.name == "reconcile_last_success_timestamp_seconds":
        (success,) = metric.samples
        last = max(success.value, before.get(_key(success), 0))
        datetime.fromtimestamp(last, UTC)  # or it is no time
        return [success._replace(value=last)]
    waited = since if metric.name == "reconcile_oldest_unsynced_seconds" else 0.0
    return _known(metric.samples, before, waited)


def _numbers(family: Metric) -> Mapping[_Key, float]:
    for sample in family.samples:
        unknown = family.type == "gauge" and math.isnan(sample.value)
        if not unknown and not 0 <= sample.value < math.inf:
            raise ValueError(f"{sample.name} is {sample.value:g}")
    return {_key(sample): sample.value for sample in family.samples}


def _key(sample: Sample) -> _Key:
    return sample.name, tuple(sorted(sample.labels.items()))


def _both(samples: Sequence[Sample], before: Mapping[_Key, float]) -> list[Sample]:
    """A histogram's numbers added. Raises KeyError where the file's bounds are another version's."""
    for lower, upper in pairwise(samples):
        if lower.name == upper.name and before[_key(lower)] > before[_key(upper)]:
            raise ValueError(f"{lower.name} is not cumulative")
    return [each._replace(value=each.value + before[_key(each)]) for each in samples]


def _known(samples: Sequence[Sample], before: Mapping[_Key, float], waited: float) -> list[Sample]:
    """How things stand; what nobody could look at stays as it was, `waited` seconds ago."""
    unknown = all(math.isnan(each.value) for each in samples)
    samples = _with_others(samples, before)
    if not unknown:
        return samples
    values = (before.get(_key(each), math.nan) for each in samples)
    return [
        each._replace(value=max(value + waited, 0.0) if value > 0 else value)
        for each, value in zip(samples, values, strict=True)
    ]


def _with_others(samples: Sequence[Sample], before: Mapping[_Key, float]) -> list[Sample]:
    """The samples, and one of 0 for each of which only the file knows."""
    ours = {_key(each) for each in samples}
    others = [Sample(name, dict(labels), 0.0) for name, labels in before.keys() - ours]
    if len({frozenset(each.labels) for each in (*samples, *others)}) > 1:
        raise ValueError(f"{samples[0].name} has other labels")
    return sorted((*samples, *others), key=lambda each: tuple(each.labels.values()))
