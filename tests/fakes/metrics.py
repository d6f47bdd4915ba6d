"""What the metrics say, for tests: their samples by label values."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from reconcile.metrics.metrics import Metrics
from tests.fakes.world import NOON

Numbers = dict[tuple[str, ...], float]


def numbers(metrics: Metrics | Iterable[Metric], name: str, *, now: datetime = NOON) -> Numbers:
    """The samples of one whole name; label values in the order in which the metric has its labels."""
    families = metrics.collect(now) if isinstance(metrics, Metrics) else metrics
    return {
        tuple(sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
        if sample.name == name
    }


def numbers_in(text: str, name: str) -> Numbers:
    """The same of a text; labels come in the order of their names there."""
    return numbers(text_string_to_metric_families(text), name)
