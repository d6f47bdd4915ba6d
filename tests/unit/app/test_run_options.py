"""What of the settings reaches a run."""

from __future__ import annotations

import pytest

from reconcile.app.app import App
from reconcile.app.build import build
from reconcile.settings import Settings
from tests.fakes.harness import World


def app(**settings: str) -> App:
    world = World()
    required = {"MONGODB_URI": "mongodb://localhost/shop", "FRAPPE_LMS_BASE_URL": "lms.example.com"}
    return build(
        Settings.load(required | settings, env_file=None),
        source=world.source,
        platform=world.lms,
        audit=world.audit,
        leases=world.leases,
        clock=world.clock,
    )


def test_settings_reach_the_run() -> None:
    with app(RECONCILE_RATE="0.5", RECONCILE_PAGE_SIZE="7", RECONCILE_MAX_ATTEMPTS="3") as ready:
        options = ready.options(max_enrolls=2, include_failed=True)

    assert (options.rate, options.page_size, options.max_enrolls) == (0.5, 497, 2)
    assert (options.policy.max_attempts, options.policy.include_failed) == (3, True)


@pytest.mark.parametrize(("told", "at_once"), [("auto", None), ("", None), ("1", 1), ("16", 16)])
def test_how_many_writes_are_in_flight(told: str, at_once: int | None) -> None:
    with app(RECONCILE_CONCURRENCY=told) as ready:
        assert ready.options().concurrency == at_once


def test_a_dry_run_is_not_slowed_down() -> None:
    with app(RECONCILE_RATE="0.5") as ready:
        assert ready.options(dry_run=True).rate == 0
