"""What the settings say about times: checked, reloaded, told in advance."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from reconcile.base.errors import ConfigurationError
from reconcile.jobs.registry import checked, timetable, upcoming
from tests.fakes.schedule import JOBS, MINUTE, NIGHTLY, OFTEN, settings, simulation, until

NOON = datetime(2026, 11, 24, 12, 0, 30, tzinfo=UTC)


def test_a_reload_changes_what_has_changed_and_leaves_the_rest_its_next_time() -> None:
    with simulation(NOON) as simulated:
        before = simulated.scheduler.next_times()
        simulated.clock.move_to(NOON + 5 * MINUTE)  # due, and not yet looked at
        simulated.settings = settings(RECONCILE_SCHEDULE_DIGEST="0 4 * * *")
        simulated.scheduler.reload()
        until(lambda: simulated.recorder.times(OFTEN))
        after = simulated.scheduler.next_times()

        simulated.settings = settings(RECONCILE_SCHEDULE="off", RECONCILE_SCHEDULE_DIGEST="OFF")
        simulated.scheduler.reload()
        none = simulated.scheduler.next_times()
        simulated.move_to(NOON + timedelta(days=3))

        simulated.settings = settings(RECONCILE_TIMEZONE="Asia/Kolkata")
        simulated.scheduler.reload()
        again = simulated.scheduler.next_times()

    assert before[NIGHTLY] == datetime(2026, 11, 25, 1, 30, tzinfo=UTC)
    assert after[NIGHTLY] == datetime(2026, 11, 25, 4, 0, tzinfo=UTC)
    assert len(simulated.recorder.fired) == 1
    assert none == {}
    assert again[NIGHTLY] == datetime(2026, 11, 27, 20, 0, tzinfo=UTC)


def test_settings_that_cannot_be_used_leave_the_old_ones(caplog: pytest.LogCaptureFixture) -> None:
    with simulation(NOON) as simulated:
        before = simulated.scheduler.next_times()
        simulated.settings = settings(RECONCILE_SCHEDULE="whenever")
        simulated.scheduler.reload()

        assert simulated.scheduler.next_times() == before
        assert simulated.scheduler.settings.schedule == "*/5 * * * *"
    assert "RECONCILE_SCHEDULE: 'whenever'" in caplog.text


# --- the timetable -----------------------------------------------------------------------------------


def test_every_wrong_schedule_is_told_at_once() -> None:
    wrong = settings(RECONCILE_SCHEDULE="whenever", RECONCILE_SCHEDULE_DIGEST="99 * * * *")

    with pytest.raises(ConfigurationError) as caught:
        checked(wrong)

    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "RECONCILE_SCHEDULE",
        "RECONCILE_SCHEDULE_DIGEST",
    ]


def test_a_job_that_is_off_has_no_next_time() -> None:
    found = upcoming(settings(RECONCILE_SCHEDULE=" Off "), now=NOON, jobs=JOBS)

    assert [(job.name, expression, when) for job, expression, when in found] == [
        (OFTEN, None, None),
        (NIGHTLY, "30 1 * * *", datetime(2026, 11, 25, 1, 30, tzinfo=UTC)),
    ]


def test_a_day_can_be_told_in_advance() -> None:
    """It is what the loop does, too."""
    given = settings(RECONCILE_SCHEDULE="0 */6 * * *", RECONCILE_SCHEDULE_DIGEST="0 18 * * *")
    day = list(timetable(given, after=NOON, until=NOON + timedelta(days=1), jobs=JOBS))

    with simulation(NOON, given) as simulated:
        simulated.live(NOON, NOON + timedelta(days=1))

    assert [(job.name, when.hour) for when, job in day] == [
        (OFTEN, 18),
        (NIGHTLY, 18),
        (OFTEN, 0),
        (OFTEN, 6),
        (OFTEN, 12),
    ]
    fired = [(name, when.hour) for name, when in simulated.recorder.fired]
    assert sorted(fired) == sorted((job.name, when.hour) for when, job in day)
    assert list(timetable(settings(RECONCILE_SCHEDULE="off"), after=NOON, until=NOON, jobs=JOBS[:1])) == []
