"""The metrics in Prometheus' words: names, labels, help, and the text that is scraped.

A registry of our own, made for each text: the library's global one would add what others register.
The numbers are counted without the library (`domain.measures`); docs/monitoring.md explains them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from reconcile.domain.histogram import Histogram
from reconcile.metrics.measures import BACKLOG_STATUSES, Standing, Tally

#: Label values -> number or spread.
Samples = Iterable[tuple[tuple[str, ...], float]]
Spreads = Iterable[tuple[tuple[str, ...], Histogram]]


@dataclass(frozen=True, kw_only=True)
class Family:
    """One metric: its full name, what it is, its labels, and one line of help."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    about: str


_ALL = (
    Family(
        name="reconcile_runs_total",
        kind="counter",
        labels=("status",),
        about="Runs that are over, by their end.",
    ),
    Family(
        name="reconcile_enrollments_total",
        kind="counter",
        labels=("outcome", "reason"),
        about="Verdicts on orders, one for each order and run.",
    ),
    Family(
        name="reconcile_backlog",
        kind="gauge",
        labels=("status",),
        about="Paid orders without confirmed access, by sync status.",
    ),
    Family(
        name="reconcile_oldest_unsynced_seconds",
        kind="gauge",
        labels=(),
        about="How long the oldest paid order without confirmed access has waited.",
    ),
    Family(
        name="reconcile_unsynced_amount",
        kind="gauge",
        labels=("currency",),
        about="Money paid without confirmed access, in major units.",
    ),
    Family(
        name="reconcile_unmarked_orders",
        kind="gauge",
        labels=(),
        about="Orders that somebody has paid and that the shop has never marked as paid.",
    ),
    Family(
        name="reconcile_shop_jobs_open",
        kind="gauge",
        labels=(),
        about="Jobs in the shop's own retry queue that are not done.",
    ),
    Family(
        name="reconcile_shop_jobs_overdue",
        kind="gauge",
        labels=(),
        about="Of these, the ones whose time has come and that nobody is at.",
    ),
    Family(name="reconcile_run_duration_seconds", kind="histogram", labels=(), about="How long runs took."),
    Family(
        name="reconcile_lms_request_duration_seconds",
        kind="histogram",
        labels=("operation", "status"),
        about="How long the LMS took to answer a request, or not to.",
    ),
    Family(
        name="reconcile_last_success_timestamp_seconds",
        kind="gauge",
        labels=(),
        about="When the last completed run ended (Unix time); 0 where none is known.",
    ),
    Family(
        name="reconcile_paid_to_access_seconds",
        kind="histogram",
        labels=(),
        about="From payment to access, for those who got it by us.",
    ),
    Family(
        name="reconcile_job_events_total",
        kind="counter",
        labels=("job", "event"),
        about="What became of the scheduler's jobs.",
    ),
)
FAMILIES: Mapping[str, Family] = {family.name: family for family in _ALL}


class _Collector:
    """Hands the library one moment's numbers."""

    def __init__(self, tally: Tally, standing: Standing, now: datetime) -> None:
        self._tally = tally
        self._standing = standing
        self._now = now

    def collect(self) -> Iterator[Metric]:
        tally, standing = self._tally, self._standing
        backlog: Mapping[str, float] = standing.backlog or dict.fromkeys(BACKLOG_STATUSES, math.nan)
        amounts = {name: float(amount) for name, amount in standing.amounts.items()}
        oldest, success = standing.oldest_age(self._now), standing.last_success
        yield _numbers("reconcile_runs_total", _by_word(tally.runs))
        yield _numbers("reconcile_enrollments_total", tally.verdicts.items())
        yield _numbers("reconcile_backlog", _by_word(backlog))
        yield _numbers("reconcile_oldest_unsynced_seconds", _one(oldest))
        yield _numbers(
            "reconcile_unsynced_amount",
            _by_word(amounts if standing.backlog is not None else dict.fromkeys(amounts, math.nan)),
        )
        yield _numbers("reconcile_unmarked_orders", _one(standing.unmarked))
        yield _numbers("reconcile_shop_jobs_open", _one(standing.jobs_open))
        yield _numbers("reconcile_shop_jobs_overdue", _one(standing.jobs_overdue))
        yield _spreads("reconcile_run_duration_seconds", [((), tally.durations)])
        yield _spreads("reconcile_lms_request_duration_seconds", tally.requests.items())
        yield _numbers(
            "reconcile_last_success_timestamp_seconds", [((), success.timestamp() if success else 0.0)]
        )
        yield _spreads("reconcile_paid_to_access_seconds", [((), tally.waits)])
        yield _numbers("reconcile_job_events_total", tally.events.items())


def exposition(tally: Tally, standing: Standing, *, now: datetime, accept: str = "") -> tuple[bytes, str]:
    """The text and its content type; OpenMetrics where `accept` asks for it, else the format 0.0.4."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(tally, standing, now))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def _one(number: float | None) -> Samples:
    """A number without labels; what nobody could look at yet is none."""
    return [((), math.nan if number is None else number)]


def _by_word(numbers: Mapping[str, float]) -> Samples:
    return (((word,), number) for word, number in numbers.items())


def _numbers(name: str, samples: Samples) -> Metric:
    family = FAMILIES[name]
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(name, family.about, labels=family.labels)
    for labels, number in sorted(samples):
        metric.add_metric(labels, number)
    return metric


def _spreads(name: str, spreads: Spreads) -> Metric:
    family = FAMILIES[name]
    metric = HistogramMetricFamily(name, family.about, labels=family.labels)
    for labels, spread in sorted(spreads, key=lambda item: item[0]):
        buckets = [
            ("+Inf" if math.isinf(bound) else str(float(bound)), float(count))
            for bound, count in spread.cumulative()
        ]
        metric.add_metric(labels, buckets, spread.total)
    return metric
