"""The metrics file: what each run adds to it, whatever becomes of it."""

from __future__ import annotations

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
from reconcile.metrics.measures import ANSWERS, JOB_EVENTS, OPERATIONS, VERDICTS, Standing, Tally
from reconcile.metrics.metering import Metrics
from reconcile.metrics.prometheus import exposition
from reconcile.metrics.textfile import add_to_file, read_back
from reconcile.run.summary import RunStatus, RunSummary
from reconcile.storefront.documents import parse_enrollment
from reconcile.story.backlog import Backlog
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


def seeing(count: int) -> Metrics:
    metrics = a_run()
    backlog = Backlog()
    for number in range(count):
        backlog.add(parse_enrollment(order(str(number)), enrollment_id="x", email_rule=any_text_with_at))
    metrics.saw(backlog)
    return metrics


def read(path: Path) -> tuple[Tally, Standing]:
    return read_back(path.read_text(), written_at=datetime.fromtimestamp(path.stat().st_mtime, UTC))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "reconcile.prom"


def test_each_run_adds_its_own(path: Path) -> None:
    for _ in range(3):
        add_to_file(path, a_run(), now=NOON)
    add_to_file(path, a_run(status=RunStatus.ABORTED), now=NOON)

    tally, standing = read(path)
    assert tally.runs == {"completed": 3, "aborted": 1, "interrupted": 0, "crashed": 0}
    assert tally.verdicts["enrolled", "none"] == 8
    assert (tally.waits.count, tally.waits.total) == (8, 8 * 3600)
    assert (tally.durations.count, tally.durations.total) == (4, 12)
    assert tally.requests["enroll", "2xx"].count == 4
    assert standing.last_success == NOON + timedelta(seconds=3)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(path.parent.iterdir()) == [path]


def test_what_could_not_be_looked_at_stays(path: Path) -> None:
    now = datetime.now(UTC)
    add_to_file(path, seeing(4), now=now)
    before = read(path)[1]
    add_to_file(path, a_run(status=RunStatus.ABORTED), now=now + timedelta(minutes=5))

    text = path.read_text()
    assert 'reconcile_backlog{status="pending"} 4.0' in text
    assert 'reconcile_unsynced_amount{currency="usd"} 796.0' in text
    # The oldest has gone on waiting meanwhile.
    assert before.oldest_paid_at is not None
    age = float(text.split("\nreconcile_oldest_unsynced_seconds ")[1].split()[0])
    assert age == pytest.approx((now - before.oldest_paid_at).total_seconds() + 300, abs=5)

    add_to_file(path, seeing(0), now=now)
    assert 'reconcile_backlog{status="pending"} 0.0' in path.read_text()
    assert "\nreconcile_oldest_unsynced_seconds 0.0" in path.read_text()


def test_what_the_shop_leaves_undone_is_read_back_and_unknown_in_an_older_file(path: Path) -> None:
    metrics = a_run()
    metrics.saw_shop(unmarked=2, queue=ShopQueue(open=5, overdue=4))
    add_to_file(path, metrics, now=NOON)
    known = read(path)[1]
    older = [
        line for line in path.read_text().splitlines() if "unmarked" not in line and "_shop_" not in line
    ]
    path.write_text("\n".join(older) + "\n")
    unknown = read(path)[1]

    assert (known.unmarked, known.jobs_open, known.jobs_overdue) == (2, 5, 4)
    assert (unknown.unmarked, unknown.jobs_open, unknown.jobs_overdue) == (None, None, None)
    add_to_file(path, a_run(), now=NOON)
    assert "\nreconcile_unmarked_orders NaN\n" in path.read_text()


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

    assert read(path)[0].runs["completed"] == 1
    assert "its counters begin anew" in caplog.text


def test_bytes_that_are_no_text_begin_anew(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x80")

    add_to_file(path, a_run(), now=NOON)

    assert read(path)[0].runs["completed"] == 1


def test_another_versions_bounds_begin_anew(path: Path) -> None:
    add_to_file(path, a_run(), now=NOON)
    path.write_text(path.read_text().replace('le="2.5"', 'le="2.0"'))

    add_to_file(path, a_run(), now=NOON)

    assert read(path)[0].runs["completed"] == 1


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
    assert read(path)[0].runs["completed"] == 30


def test_a_folder_that_somebody_else_keeps_locked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(textfile, "PATIENCE", 0.1)
    with textfile._turn(path.parent), pytest.raises(TimeoutError, match="lock"):
        add_to_file(path, a_run(), now=NOON)


SECONDS = st.floats(min_value=0, max_value=1e7)


@settings(max_examples=40, deadline=None)
@given(
    runs=st.lists(st.sampled_from(["completed", "aborted", "interrupted", "crashed"])),
    verdicts=st.lists(st.sampled_from(VERDICTS)),
    requests=st.lists(
        st.tuples(st.sampled_from(OPERATIONS), st.sampled_from([None, 200, 417, 429, 500]), SECONDS)
    ),
    waits=st.lists(SECONDS),
    events=st.lists(st.sampled_from(JOB_EVENTS)),
)
def test_what_is_written_is_read_back(
    runs: list[str],
    verdicts: list[tuple[str, str]],
    requests: list[tuple[str, int | None, float]],
    waits: list[float],
    events: list[str],
) -> None:
    tally = Tally()
    tally.runs.update(runs)
    tally.verdicts.update(verdicts)
    for operation, status, seconds in requests:
        tally.count_request(operation, status, seconds)
    for seconds in waits:
        tally.waits.observe(seconds)
        tally.durations.observe(seconds / 2)
    tally.events.update(("nightly", event) for event in events)

    text, _ = exposition(tally, Standing(last_success=NOON), now=NOON)
    found, standing = read_back(text.decode(), written_at=NOON)

    assert found == tally
    assert standing.last_success == NOON
    assert standing.backlog is None
    assert len(found.requests) == len(OPERATIONS) * len(ANSWERS)
