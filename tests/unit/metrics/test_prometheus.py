"""The text that is scraped, read by the library's own parsers."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain
from prometheus_client.samples import Sample

from reconcile.domain.shop_queue import ShopQueue
from reconcile.metrics.measures import (
    ANSWERS,
    JOB_EVENTS,
    OPERATIONS,
    RUN_STATUSES,
    VERDICTS,
    Standing,
    Tally,
)
from reconcile.metrics.prometheus import FAMILIES, exposition
from reconcile.story.backlog import Backlog
from tests.fakes.world import NOON

SHOPS = ("reconcile_unmarked_orders", "reconcile_shop_jobs_open", "reconcile_shop_jobs_overdue")
NAMES = {
    "reconcile_runs_total",
    "reconcile_enrollments_total",
    "reconcile_backlog",
    "reconcile_oldest_unsynced_seconds",
    "reconcile_unsynced_amount",
    "reconcile_run_duration_seconds",
    "reconcile_lms_request_duration_seconds",
    "reconcile_last_success_timestamp_seconds",
    "reconcile_paid_to_access_seconds",
    "reconcile_job_events_total",
    "reconcile_unmarked_orders",
    "reconcile_shop_jobs_open",
    "reconcile_shop_jobs_overdue",
}


def a_tally() -> Tally:
    tally = Tally()
    tally.expect_jobs(["nightly"])
    return tally


def samples(tally: Tally, standing: Standing) -> list[Sample]:
    text, _ = exposition(tally, standing, now=NOON)
    return [sample for family in plain(text.decode()) for sample in family.samples]


def values(found: list[Sample], name: str, *labels: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(sample.labels[label] for label in labels): sample.value
        for sample in found
        if sample.name == name
    }


def test_the_names_are_those_that_were_promised() -> None:
    assert set(FAMILIES) == NAMES


def test_every_label_value_is_there_from_the_beginning_with_0() -> None:
    found = samples(a_tally(), Standing())

    assert values(found, "reconcile_runs_total", "status") == {(status,): 0 for status in RUN_STATUSES}
    assert values(found, "reconcile_enrollments_total", "outcome", "reason") == dict.fromkeys(VERDICTS, 0)
    requests = values(found, "reconcile_lms_request_duration_seconds_count", "operation", "status")
    assert requests == {(operation, answer): 0 for operation in OPERATIONS for answer in ANSWERS}
    events = values(found, "reconcile_job_events_total", "job", "event")
    assert events == {("nightly", event): 0 for event in JOB_EVENTS}
    for name in ("run_duration", "paid_to_access"):
        assert values(found, f"reconcile_{name}_seconds_count") == {(): 0}
    assert values(found, "reconcile_last_success_timestamp_seconds") == {(): 0}


def test_what_nobody_has_looked_at_is_no_number() -> None:
    found = samples(a_tally(), Standing())

    backlog = values(found, "reconcile_backlog", "status")
    assert set(backlog) == {("pending",), ("retrying",), ("failed",), ("unset",)}
    unknown = [*backlog.values(), *values(found, "reconcile_oldest_unsynced_seconds").values()]
    unknown += values(found, "reconcile_unsynced_amount", "currency").values()
    for name in SHOPS:
        unknown += values(found, name).values()
    assert all(math.isnan(number) for number in unknown)


def test_what_the_shop_leaves_undone() -> None:
    standing = Standing()
    standing.see_shop(unmarked=3, queue=ShopQueue(collection="retry_jobs", open=12, overdue=9))
    found = samples(a_tally(), standing)

    assert [values(found, name)[()] for name in SHOPS] == [3, 12, 9]


def test_an_empty_backlog_is_0() -> None:
    standing = Standing(last_success=NOON - timedelta(minutes=1))
    standing.see(Backlog())
    found = samples(a_tally(), standing)

    assert set(values(found, "reconcile_backlog", "status").values()) == {0}
    assert values(found, "reconcile_oldest_unsynced_seconds") == {(): 0}
    assert values(found, "reconcile_unsynced_amount", "currency") == {("usd",): 0}
    assert values(found, "reconcile_last_success_timestamp_seconds") == {(): NOON.timestamp() - 60}


def test_a_histogram_is_cumulative_and_ends_at_infinity() -> None:
    tally = a_tally()
    for seconds in (0.01, 0.3, 99.0):
        tally.count_request("enroll", None, seconds)
    found = samples(tally, Standing())

    buckets = {
        sample.labels["le"]: sample.value
        for sample in found
        if sample.name == "reconcile_lms_request_duration_seconds_bucket"
        and (sample.labels["operation"], sample.labels["status"]) == ("enroll", "none")
    }
    assert (buckets["0.025"], buckets["0.25"], buckets["0.5"], buckets["30.0"]) == (1, 1, 2, 2)
    assert list(buckets)[-1] == "+Inf"
    assert buckets["+Inf"] == 3


def test_open_metrics_where_it_is_asked_for() -> None:
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    text, content_type = exposition(a_tally(), Standing(), now=NOON, accept=accept)

    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name: family for family in open_metrics(text.decode())}
    assert {name.removesuffix("_total") for name in NAMES} == set(families)


@pytest.mark.parametrize("accept", ["", "*/*", "text/plain;version=0.0.4", "nonsense;;,;q="])
def test_the_plain_format_else(accept: str) -> None:
    text, content_type = exposition(a_tally(), Standing(), now=NOON, accept=accept)

    assert content_type.startswith("text/plain; version=0.0.4")
    assert {family.name for family in plain(text.decode())} == {name.removesuffix("_total") for name in NAMES}


def test_each_metric_says_what_it_is() -> None:
    text, _ = exposition(a_tally(), Standing(), now=NOON)

    for family in plain(text.decode()):
        promised = FAMILIES.get(family.name) or FAMILIES[f"{family.name}_total"]
        assert (family.type, family.documentation) == (promised.kind, promised.about)


def test_the_global_registry_stays_as_it_is() -> None:
    exposition(a_tally(), Standing(), now=NOON)

    assert not [metric.name for metric in REGISTRY.collect() if metric.name.startswith("reconcile")]
