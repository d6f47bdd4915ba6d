"""A shop's day with the scheduler: the jobs at their simulated times, and stories that agree."""

from __future__ import annotations

import subprocess
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from reconcile.cli import demo_schedule
from reconcile.cli.demo_schedule import DAY, run_day
from reconcile.cli.demo_stories import FACTS, GIVEN, MAILED, TELLERS, TOLD, TWICE, Teller
from reconcile.cli.demo_stories import UNMARKED as UNMARKED_ORDERS
from reconcile.sandbox.clock import SimulatedClock
from reconcile.sandbox.day import (
    CANCELLED,
    GIVEN_UP,
    GRANT,
    LOST,
    MALFORMED,
    NO_ACCOUNT,
    PAGE,
    PLACEHOLDER,
    UNMARKED,
    WEBHOOK,
    script,
)
from tests.acceptance.harness import program

SOME_HOURS = range(12, 15)


def test_the_day_holds_what_the_demo_is_about() -> None:
    day = script(DAY)

    fates = Counter(sale.fate for sale in day.sales)
    assert set(fates) == {
        WEBHOOK, PAGE, GRANT, LOST, GIVEN_UP, NO_ACCOUNT, MALFORMED, PLACEHOLDER, UNMARKED, CANCELLED,
    }  # fmt: skip
    assert (fates[GIVEN_UP], fates[PLACEHOLDER], fates[UNMARKED]) == (3, 1, 1)
    assert {WEBHOOK, PAGE} <= {sale.fate for sale in day.sales if day.is_down(sale.at)}
    assert any(sale.at - sale.opened_at > timedelta(hours=1) for sale in day.sales if sale.fate == PAGE)
    assert {sale.fate for sale in day.left_to_us} == {WEBHOOK, PAGE, LOST, GIVEN_UP, NO_ACCOUNT}
    assert any(sale.signs_up_at for sale in day.sales)
    assert len({sale.person.email for sale in day.sales}) == len(day.sales)
    assert all((day.start <= sale.at) is (sale.fate != GIVEN_UP) for sale in day.sales)
    assert all(sale.opened_at <= sale.at < day.end for sale in day.sales)
    assert script(DAY) == day


def test_some_hours_with_the_outage_in_them(capsys: pytest.CaptureFixture[str]) -> None:
    """Three hours of the day, as `reconcile demo --schedule` shows all of it."""
    day = script(DAY, hours=SOME_HOURS)

    code = run_day(day)
    out = capsys.readouterr().out

    assert code == 0, out
    assert "13:00  the LMS is down for maintenance\n" in out
    assert out.count("Job could not run") == 1
    assert "14:00  runs again, after 12 in vain\n" in out
    count = f"{len(day.left_to_us):>10}"
    assert f"{GIVEN:<37}" + count * 6 + f"{'-':>10}" * 2 + "\n" in out
    assert f"{MAILED:<37}{count}{count}" in out
    assert f"{TOLD:<37}{2:>10}{2:>10}" in out
    assert f"{UNMARKED_ORDERS:<37}{1:>10}" in out
    assert "@" not in out


def test_stories_that_differ_fail_the_demo(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    liar = Teller(name="liar", tell=lambda _: {GIVEN: 4711, TWICE: 1})
    monkeypatch.setattr(demo_schedule, "TELLERS", (*TELLERS, liar))

    assert run_day(script(DAY, hours=range(2, 3))) == 1

    out = capsys.readouterr().out
    assert out.count("<- they differ") == 2
    assert all(fact in out for fact in FACTS)


def test_the_simulated_clock_goes_on_and_never_back() -> None:
    start = datetime(2026, 6, 2, tzinfo=UTC)
    clock = SimulatedClock(start)

    began = clock.monotonic()
    clock.sleep(60)
    assert clock.now() >= start + timedelta(seconds=60)
    assert clock.monotonic() >= began + 60
    clock.set(start + timedelta(hours=1))
    assert start + timedelta(hours=1) <= clock.now() < start + timedelta(hours=1, seconds=30)
    clock.set(start)
    assert clock.now() >= start + timedelta(hours=1)


@pytest.mark.slow
def test_the_whole_day() -> None:
    done = subprocess.run(
        [*program(), "demo", "--schedule"], capture_output=True, text=True, timeout=600, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "07:00  reconcile: " in done.stdout
    assert done.stdout.endswith("They tell the same story.\n")
