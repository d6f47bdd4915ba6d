"""What is counted, how things stand, and the text that is scraped, read by the library's own parsers."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain

from reconcile.domain.model import Outcome, Reason, Verdict
from reconcile.domain.shop_queue import ShopQueue
from reconcile.metrics.measures import ANSWERS, JOB_EVENTS, NO_REASON, OPERATIONS, RUN_STATUSES, VERDICTS
from reconcile.metrics.metrics import Metrics, exposition
from reconcile.run.summary import RunStatus, RunSummary
from reconcile.storefront.documents import parse_enrollment
from reconcile.story.backlog import Backlog
from tests.fakes.metrics import numbers
from tests.fakes.world import NOON, any_text_with_at, order

SHOPS = ("reconcile_unmarked_orders", "reconcile_shop_jobs_open", "reconcile_shop_jobs_overdue")
REQUESTS = "reconcile_lms_request_duration_seconds"
KINDS = {
    "reconcile_runs_total": "counter",
    "reconcile_enrollments_total": "counter",
    "reconcile_backlog": "gauge",
    "reconcile_oldest_unsynced_seconds": "gauge",
    "reconcile_unsynced_amount": "gauge",
    "reconcile_unmarked_orders": "gauge",
    "reconcile_shop_jobs_open": "gauge",
    "reconcile_shop_jobs_overdue": "gauge",
    "reconcile_run_duration_seconds": "histogram",
    "reconcile_lms_request_duration_seconds": "histogram",
    "reconcile_last_success_timestamp_seconds": "gauge",
    "reconcile_paid_to_access_seconds": "histogram",
    "reconcile_job_events_total": "counter",
}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(jobs=["nightly"])


def text_of(metrics: Metrics, accept: str = "") -> tuple[str, str]:
    text, content_type = exposition(metrics.collect(NOON), accept=accept)
    return text.decode(), content_type


def a_run(*verdicts: Verdict, status: RunStatus = RunStatus.COMPLETED, seconds: float = 7) -> RunSummary:
    summary = RunSummary(run_id="r1", mode="apply", started_at=NOON)
    for verdict in verdicts:
        summary.add(verdict, paid_at=NOON - timedelta(hours=2), at=NOON + timedelta(seconds=3))
    summary.close(status, at=NOON + timedelta(seconds=seconds))
    return summary


def a_backlog(*changes: dict[str, object]) -> Backlog:
    backlog = Backlog()
    for number, change in enumerate(changes):
        document = order(f"e{number}", **change)
        backlog.add(parse_enrollment(document, enrollment_id=f"e{number}", email_rule=any_text_with_at))
    return backlog


def test_what_a_run_adds(metrics: Metrics) -> None:
    summary = a_run(
        Verdict(outcome=Outcome.ENROLLED),
        Verdict(outcome=Outcome.RECOVERED),
        Verdict(outcome=Outcome.ALREADY_ENROLLED),
        Verdict(outcome=Outcome.WAITING, reason=Reason.MEMBER_MISSING),
    )
    summary.buried = 2

    metrics.run_over(summary)
    metrics.run_over(a_run(status=RunStatus.ABORTED, seconds=1))

    runs = {("completed",): 1, ("aborted",): 1, ("interrupted",): 0, ("crashed",): 2}
    assert numbers(metrics, "reconcile_runs_total") == runs
    verdicts = numbers(metrics, "reconcile_enrollments_total")
    assert verdicts["enrolled", NO_REASON] == 1
    assert verdicts["waiting", "member_missing"] == 1
    assert sum(verdicts.values()) == 4
    # Who had access already did not get it from us: there is no telling how long they waited.
    assert metrics.value("reconcile_paid_to_access_seconds_count") == 2
    assert metrics.value("reconcile_paid_to_access_seconds_sum") == 2 * (2 * 3600 + 3)
    assert metrics.value("reconcile_run_duration_seconds_count") == 2
    assert metrics.value("reconcile_run_duration_seconds_sum") == 8
    assert metrics.value("reconcile_last_success_timestamp_seconds") == NOON.timestamp() + 7


def test_a_run_without_an_end_has_no_duration(metrics: Metrics) -> None:
    metrics.run_over(RunSummary(run_id="r1", mode="apply", started_at=NOON, status=RunStatus.ABORTED))

    assert metrics.value("reconcile_runs_total", status="aborted") == 1
    assert metrics.value("reconcile_run_duration_seconds_count") == 0


def test_an_operation_that_nobody_knows_is_not_lost(metrics: Metrics) -> None:
    metrics.request("who knows", 200, 0.1)

    requests = numbers(metrics, f"{REQUESTS}_count")
    assert requests["other", "2xx"] == 1
    assert set(requests) == {(operation, answer) for operation in OPERATIONS for answer in ANSWERS}


def test_how_things_stand(metrics: Metrics) -> None:
    def oldest(hours: int) -> float:
        now = NOON + timedelta(hours=hours)
        return numbers(metrics, "reconcile_oldest_unsynced_seconds", now=now)[()]

    assert math.isnan(oldest(0))

    metrics.saw(a_backlog({"amount": 10, "currency": "eur"}, {"amount": 5}))
    backlog = {("pending",): 2, ("retrying",): 0, ("failed",): 0, ("unset",): 0}
    assert numbers(metrics, "reconcile_backlog") == backlog
    assert numbers(metrics, "reconcile_unsynced_amount") == {("eur",): 10, ("usd",): 5}
    assert oldest(0) == 86400
    # It grows though nobody looks again.
    assert oldest(1) == 86400 + 3600
    assert oldest(-48) == 0

    metrics.saw(a_backlog())
    assert numbers(metrics, "reconcile_unsynced_amount") == {("eur",): 0, ("usd",): 0}
    assert oldest(1) == 0


def test_success_never_goes_back(metrics: Metrics) -> None:
    metrics.succeeded(NOON)
    metrics.succeeded(NOON - timedelta(hours=1))

    assert metrics.value("reconcile_last_success_timestamp_seconds") == NOON.timestamp()


def test_a_number_that_there_is_not(metrics: Metrics) -> None:
    with pytest.raises(KeyError):
        metrics.value("reconcile_runs_total", status="well")


def test_what_was_collected_is_the_callers_own(metrics: Metrics) -> None:
    for metric in metrics.collect(NOON):
        metric.samples.clear()
    before = metrics.collect(NOON)
    metrics.run_broke()

    runs = {("completed",): 0, ("aborted",): 1, ("interrupted",): 0, ("crashed",): 0}
    assert numbers(metrics, "reconcile_runs_total") == runs
    assert set(numbers(before, "reconcile_runs_total").values()) == {0}


def test_every_label_value_is_there_from_the_beginning_with_0(metrics: Metrics) -> None:
    assert numbers(metrics, "reconcile_runs_total") == {(status,): 0 for status in RUN_STATUSES}
    assert numbers(metrics, "reconcile_enrollments_total") == dict.fromkeys(VERDICTS, 0)
    requests = {(operation, answer): 0 for operation in OPERATIONS for answer in ANSWERS}
    assert numbers(metrics, f"{REQUESTS}_count") == requests
    events = {("nightly", event): 0 for event in JOB_EVENTS}
    assert numbers(metrics, "reconcile_job_events_total") == events
    for name in ("run_duration", "paid_to_access"):
        assert numbers(metrics, f"reconcile_{name}_seconds_count") == {(): 0}
    assert numbers(metrics, "reconcile_last_success_timestamp_seconds") == {(): 0}


def test_what_nobody_has_looked_at_is_no_number(metrics: Metrics) -> None:
    backlog = numbers(metrics, "reconcile_backlog")
    assert set(backlog) == {("pending",), ("retrying",), ("failed",), ("unset",)}
    unknown = list(backlog.values())
    for name in ("reconcile_oldest_unsynced_seconds", "reconcile_unsynced_amount", *SHOPS):
        found = numbers(metrics, name).values()
        assert found
        unknown += found
    assert all(math.isnan(number) for number in unknown)


def test_what_the_shop_leaves_undone(metrics: Metrics) -> None:
    metrics.saw_shop(unmarked=3, queue=ShopQueue(collection="retry_jobs", open=12, overdue=9))

    assert [metrics.value(name) for name in SHOPS] == [3, 12, 9]


def test_an_empty_backlog_is_0(metrics: Metrics) -> None:
    metrics.saw(Backlog())

    assert set(numbers(metrics, "reconcile_backlog").values()) == {0}
    assert numbers(metrics, "reconcile_oldest_unsynced_seconds") == {(): 0}
    assert numbers(metrics, "reconcile_unsynced_amount") == {("usd",): 0}


def test_a_histogram_is_cumulative_and_ends_at_infinity(metrics: Metrics) -> None:
    for seconds in (0.01, 0.3, 99.0):
        metrics.request("enroll", None, seconds)
    text, _ = text_of(metrics)

    buckets = {
        sample.labels["le"]: sample.value
        for family in plain(text)
        for sample in family.samples
        if sample.name == f"{REQUESTS}_bucket"
        and (sample.labels["operation"], sample.labels["status"]) == ("enroll", "none")
    }
    assert (buckets["0.025"], buckets["0.25"], buckets["0.5"], buckets["30.0"]) == (1, 1, 2, 2)
    assert list(buckets)[-1] == "+Inf"
    assert buckets["+Inf"] == 3
    # The library would write 2.592e+06, which is another series.
    assert 'reconcile_paid_to_access_seconds_bucket{le="2592000.0"} 0.0' in text


def test_open_metrics_where_it_is_asked_for(metrics: Metrics) -> None:
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    text, content_type = text_of(metrics, accept)

    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert [family.name for family in open_metrics(text)] == [name.removesuffix("_total") for name in KINDS]


@pytest.mark.parametrize("accept", ["", "*/*", "text/plain;version=0.0.4", "nonsense;;,;q="])
def test_the_plain_format_else(accept: str, metrics: Metrics) -> None:
    text, content_type = text_of(metrics, accept)

    assert content_type.startswith("text/plain; version=0.0.4")
    # Its names are those that were promised; nothing says when a counter was made.
    assert [family.name for family in plain(text)] == [name.removesuffix("_total") for name in KINDS]
    assert "_created" not in text


def test_each_metric_says_what_it_is(metrics: Metrics) -> None:
    text, _ = text_of(metrics)

    for family, kind in zip(plain(text), KINDS.values(), strict=True):
        assert family.type == kind
        assert family.documentation.endswith(".")


def test_the_global_registry_stays_as_it_is(metrics: Metrics) -> None:
    text_of(metrics)

    assert not [metric.name for metric in REGISTRY.collect() if metric.name.startswith("reconcile")]
