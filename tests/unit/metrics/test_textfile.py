"""The metrics file: what each run adds to it, whatever becomes of it."""

from __future__ import annotations

import math
import multiprocessing
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconcile.domain.model import Outcome, Verdict
from reconcile.domain.shop_queue import ShopQueue
from reconcile.metrics import textfile
from reconcile.metrics.measures import JOB_EVENTS, OPERATIONS, VERDICTS
from reconcile.metrics.metrics import Metrics, exposition
from reconcile.metrics.textfile import add_to_file, added
from reconcile.run.summary import RunStatus, RunSummary
from reconcile.storefront.documents import parse_enrollment
from reconcile.story.backlog import Backlog
from tests.fakes.metrics import numbers, numbers_in
from tests.fakes.world import NOON, any_text_with_at, order


def a_run(*, status: RunStatus = RunStatus.COMPLETED) -> Metrics:
    """What one run counts: two enrolled, one request."""
    summary = RunSummary(run_id="r1", mode="apply", started_at=NOON)
    for _ in range(2):
        summary.add(Verdict(outcome=Outcome.ENROLLED), paid_at=NOON - timedelta(hours=1), at=NOON)
    summary.close(status, at=NOON + timedelta(seconds=3))
    metrics = Metrics()
    metrics.run_over(summary)
    metrics.request("enroll", 200, 0.1)
    return metrics


def a_backlog(*changes: dict[str, object]) -> Backlog:
    backlog = Backlog()
    for number, change in enumerate(changes):
        document = order(str(number), **change)
        backlog.add(parse_enrollment(document, enrollment_id="x", email_rule=any_text_with_at))
    return backlog


def seeing(count: int) -> Metrics:
    metrics = a_run()
    metrics.saw(a_backlog(*[{}] * count))
    return metrics


def read(path: Path, name: str) -> float:
    """The number that has no labels."""
    return numbers_in(path.read_text(), name)[()]


def runs(path: Path) -> dict[str, float]:
    return {
        status: count for (status,), count in numbers_in(path.read_text(), "reconcile_runs_total").items()
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "reconcile.prom"


def test_each_run_adds_its_own(path: Path) -> None:
    for _ in range(3):
        add_to_file(path, a_run(), now=NOON)
    add_to_file(path, a_run(status=RunStatus.ABORTED), now=NOON)

    text = path.read_text()
    assert runs(path) == {"completed": 3, "aborted": 1, "interrupted": 0, "crashed": 0}
    assert numbers_in(text, "reconcile_enrollments_total")["enrolled", "none"] == 8
    assert read(path, "reconcile_paid_to_access_seconds_count") == 8
    assert read(path, "reconcile_paid_to_access_seconds_sum") == 8 * 3600
    waits = numbers_in(text, "reconcile_paid_to_access_seconds_bucket")
    assert (waits[("1800.0",)], waits[("3600.0",)], waits[("+Inf",)]) == (0, 8, 8)
    assert read(path, "reconcile_run_duration_seconds_count") == 4
    assert read(path, "reconcile_run_duration_seconds_sum") == 12
    assert numbers_in(text, "reconcile_lms_request_duration_seconds_count")["enroll", "2xx"] == 4
    assert read(path, "reconcile_last_success_timestamp_seconds") == NOON.timestamp() + 3
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(path.parent.iterdir()) == [path]


def test_what_others_have_put_there_is_nothing_to_us(path: Path) -> None:
    add_to_file(path, a_run(), now=NOON)
    path.write_text(path.read_text() + "other_gauge -5\nother_endless +Inf\n")

    add_to_file(path, a_run(), now=NOON)

    assert runs(path)["completed"] == 2


def test_what_could_not_be_looked_at_stays(path: Path) -> None:
    now = datetime.now(UTC)
    add_to_file(path, seeing(4), now=now)
    before = read(path, "reconcile_oldest_unsynced_seconds")
    add_to_file(path, a_run(status=RunStatus.ABORTED), now=now + timedelta(minutes=5))

    text = path.read_text()
    assert 'reconcile_backlog{status="pending"} 4.0' in text
    assert 'reconcile_unsynced_amount{currency="usd"} 796.0' in text
    # The oldest has gone on waiting meanwhile.
    assert before > 0
    assert read(path, "reconcile_oldest_unsynced_seconds") == pytest.approx(before + 300, abs=5)

    add_to_file(path, seeing(0), now=now)
    assert 'reconcile_backlog{status="pending"} 0.0' in path.read_text()
    assert "\nreconcile_oldest_unsynced_seconds 0.0" in path.read_text()


def test_what_the_shop_leaves_undone_is_read_back_and_unknown_in_an_older_file(path: Path) -> None:
    metrics = a_run()
    metrics.saw_shop(unmarked=2, queue=ShopQueue(open=5, overdue=4))
    add_to_file(path, metrics, now=NOON)
    shop = ("reconcile_unmarked_orders", "reconcile_shop_jobs_open", "reconcile_shop_jobs_overdue")
    assert [read(path, name) for name in shop] == [2, 5, 4]
    add_to_file(path, a_run(), now=NOON)
    assert [read(path, name) for name in shop] == [2, 5, 4]
    older = [
        line for line in path.read_text().splitlines() if "unmarked" not in line and "_shop_" not in line
    ]
    path.write_text("\n".join(older) + "\n")

    add_to_file(path, a_run(), now=NOON)

    assert all(f"\n{name} NaN\n" in path.read_text() for name in shop)
    assert runs(path)["completed"] == 3


def test_currencies_and_success_stay(path: Path) -> None:
    blind, seeing_nothing = Metrics(), Metrics()
    euros = Metrics()
    euros.saw(a_backlog({"amount": 10, "currency": "eur"}))
    euros.succeeded(NOON)
    seeing_nothing.saw(Backlog())

    add_to_file(path, euros, now=NOON)
    add_to_file(path, blind, now=NOON)
    assert numbers_in(path.read_text(), "reconcile_unsynced_amount") == {("eur",): 10, ("usd",): 0}
    add_to_file(path, seeing_nothing, now=NOON)
    assert numbers_in(path.read_text(), "reconcile_unsynced_amount") == {("eur",): 0, ("usd",): 0}
    assert set(numbers_in(path.read_text(), "reconcile_backlog").values()) == {0}
    assert read(path, "reconcile_last_success_timestamp_seconds") == NOON.timestamp()


def test_what_was_never_good_is_not_good_by_being_carried_on(path: Path) -> None:
    add_to_file(path, Metrics(), now=NOON)
    add_to_file(path, Metrics(), now=NOON)

    assert read(path, "reconcile_last_success_timestamp_seconds") == 0


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "\n",
        "no metrics at all",
        "reconcile_runs_total{status=\n",
        "other_total 7\n",
        "\x00" * 50,
        'reconcile_runs_total{status="completed"} -3\n',
        'reconcile_runs_total{status="completed"} NaN\n',
        'reconcile_runs_total{status="completed"} +Inf\n',
        "reconcile_runs_total 3\n",
        "reconcile_last_success_timestamp_seconds 1e300\n",
    ],
)
def test_a_damaged_file_begins_anew(damage: str, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.write_text(damage)

    add_to_file(path, a_run(), now=NOON)

    assert runs(path)["completed"] == 1
    assert "its counters begin anew" in caplog.text


@pytest.mark.parametrize(
    ("written", "damaged"),
    [
        ('runs_total{status="completed"} 1.0', 'runs_total{status="completed"} -3'),
        ('runs_total{status="completed"} 1.0', 'runs_total{status="completed"} NaN'),
        ('runs_total{status="completed"} 1.0', 'runs_total{status="completed"} +Inf'),
        ('runs_total{status="completed"} 1.0', "runs_total 3"),
        ("last_success_timestamp_seconds 1.", "last_success_timestamp_seconds 1e300\n# 1."),
        ('run_duration_seconds_bucket{le="2.5"} 0.0', 'run_duration_seconds_bucket{le="2.5"} 9'),
    ],
)
def test_one_damaged_line_is_enough(
    written: str, damaged: str, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    add_to_file(path, a_run(), now=NOON)
    assert written in path.read_text()
    path.write_text(path.read_text().replace(written, damaged))

    add_to_file(path, a_run(), now=NOON)

    assert runs(path) == {"completed": 1, "aborted": 0, "interrupted": 0, "crashed": 0}
    assert read(path, "reconcile_last_success_timestamp_seconds") == NOON.timestamp() + 3
    assert "its counters begin anew" in caplog.text


def test_bytes_that_are_no_text_begin_anew(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x80")

    add_to_file(path, a_run(), now=NOON)

    assert runs(path)["completed"] == 1


def test_another_versions_bounds_begin_anew(path: Path) -> None:
    add_to_file(path, a_run(), now=NOON)
    path.write_text(path.read_text().replace('le="2.5"', 'le="2.0"'))

    add_to_file(path, a_run(), now=NOON)

    assert runs(path)["completed"] == 1


def test_where_it_cannot_be_replaced_it_stays(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_to_file(path, a_run(), now=NOON)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(textfile.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        add_to_file(path, a_run(), now=NOON)

    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("place", ["missing/reconcile.prom", "."])
def test_a_place_that_cannot_be_written_to(place: str, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"No such file|not a file"):
        add_to_file(tmp_path / place, a_run(), now=NOON)


def _add(path: Path, times: int) -> None:
    for _ in range(times):
        add_to_file(path, a_run(), now=NOON)


def test_runs_at_the_same_time_take_turns(path: Path) -> None:
    start = multiprocessing.get_context("spawn")
    others = [start.Process(target=_add, args=(path, 10)) for _ in range(3)]
    for other in others:
        other.start()
    for other in others:
        other.join(60)

    assert [other.exitcode for other in others] == [0, 0, 0]
    assert runs(path)["completed"] == 30


def test_a_folder_that_somebody_else_keeps_locked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(textfile, "PATIENCE", 0.1)
    with textfile._turn(path.parent), pytest.raises(TimeoutError, match="lock"):
        add_to_file(path, a_run(), now=NOON)


SECONDS = st.floats(min_value=0, max_value=1e7)


@settings(max_examples=40, deadline=None)
@given(
    statuses=st.lists(st.sampled_from(RunStatus)),
    verdicts=st.lists(st.sampled_from(VERDICTS)),
    requests=st.lists(
        st.tuples(st.sampled_from(OPERATIONS), st.sampled_from([None, 200, 417, 429, 500]), SECONDS)
    ),
    waits=st.lists(SECONDS),
    events=st.lists(st.sampled_from(JOB_EVENTS)),
)
def test_what_is_written_is_added(
    statuses: list[RunStatus],
    verdicts: list[tuple[str, str]],
    requests: list[tuple[str, int | None, float]],
    waits: list[float],
    events: list[str],
) -> None:
    metrics, nothing = Metrics(jobs=["nightly"]), Metrics(jobs=["nightly"])
    for status in statuses:
        summary = RunSummary(run_id="r1", mode="apply", started_at=NOON, status=status)
        metrics.run_over(summary)
    for outcome, reason in verdicts:
        metrics._verdicts.labels(outcome, reason).inc()
    for request in requests:
        metrics.request(*request)
    for seconds in waits:
        metrics._waits.labels().observe(seconds)
        metrics._durations.labels().observe(seconds / 2)
    for event in events:
        metrics.job_event("nightly", event)
    metrics.succeeded(NOON)
    ours = metrics.collect(NOON)

    text = exposition(ours)[0].decode()
    to_nothing, twice = nothing.collect(NOON), metrics.collect(NOON)
    added(to_nothing, text, since=0)
    added(twice, text, since=0)

    assert exposition(to_nothing)[0].decode() == text
    for metric in ours:
        for sample in (sample for sample in metric.samples if metric.type != "gauge"):
            assert numbers(twice, sample.name)[tuple(sample.labels.values())] == 2 * sample.value
    assert numbers(twice, "reconcile_last_success_timestamp_seconds") == {(): NOON.timestamp()}
    assert all(math.isnan(number) for number in numbers(twice, "reconcile_backlog").values())
