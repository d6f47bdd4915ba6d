"""Writes that are not answered: done now, done later or never. Two hundred of them, nobody twice."""

from __future__ import annotations

import time

import pytest

from reconcile.domain.model import Outcome
from reconcile.run.leases import IN_FLIGHT
from tests.faults.bench import Bench

#: Seconds: the hold after an unanswered write, and when the late LMS commits.
HOLD, LATE = 6.0, 4.0
KINDS = ("timeout_after_write", "cut_after_write", "cut_before", "502_html", "504_html", "late_write")
EACH = 34  # of six kinds: 204 spoiled writes
PATHS = ("confirm_payment", "rest")


def settle(bench: Bench, *, patience: float, **options: str) -> list[dict[str, int]]:
    """Runs every 0.3 s until everybody has access; what each of them said."""
    runs, deadline = [], time.monotonic() + patience
    while bench.unsynced():
        assert time.monotonic() < deadline, "does not converge"
        result = bench.run(**options)
        assert result.summary.exit_code in (0, 1, 75), result
        runs.append(result.summary.as_json()["outcomes"])
        if bench.unsynced():
            time.sleep(0.3)
    return runs


@pytest.mark.parametrize("via", PATHS)
def test_no_unanswered_write_enrolls_anybody_twice(bench: Bench, via: str) -> None:
    spoiled = {kind: bench.orders(EACH // 2) for kind in KINDS}
    sound = bench.orders(2 * EACH)
    for kind, emails in spoiled.items():
        for email in emails:
            bench.fault(kind, operation="enroll", member=email, delay=LATE)

    outcomes = settle(
        bench,
        patience=120,
        RECONCILE_ENROLL_VIA=via,
        RECONCILE_AMBIGUOUS_HOLD=f"{HOLD}s",
        RECONCILE_BACKOFF_BASE="0s",
        RECONCILE_BACKOFF_MAX="0s",
        RECONCILE_CONCURRENCY="4",
        RECONCILE_BATCH="1",  # each fault is one learner's
        RECONCILE_MIN_AGE="0s",
    )

    everybody = [*sound, *(email for emails in spoiled.values() for email in emails)]
    time.sleep(LATE)  # whatever may still come
    assert {bench.copies(email) for email in everybody} == {1}
    assert {bench.sync(email)["syncStatus"] for email in everybody} == {"success"}
    assert sum(run["failed"] for run in outcomes) == 0
    # Those that were done are found; those that never were are asked for once more, after the hold.
    for kind, requests in (("timeout_after_write", 1), ("cut_after_write", 1), ("late_write", 1)):
        assert {bench.asked(email) for email in spoiled[kind]} == {requests}, kind
    for kind in ("cut_before", "502_html", "504_html"):
        assert {bench.asked(email) for email in spoiled[kind]} == {2}, kind
    assert {bench.asked(email) for email in sound} == {1}
    bench.is_whole()


def test_a_write_that_is_done_long_after_we_gave_up(bench: Bench) -> None:
    emails = bench.orders(4)
    bench.fault("late_write", operation="enroll", times=4, delay=LATE)
    began = time.monotonic()

    first = bench.run(RECONCILE_AMBIGUOUS_HOLD=f"{HOLD}s", RECONCILE_CONCURRENCY="4")

    assert time.monotonic() - began < LATE, "the machine is too slow for this test's times"
    assert first.summary.outcomes == {Outcome.RETRYING: 4}
    assert [bench.copies(email) for email in emails] == [0] * 4
    between = 0
    while bench.copies(emails[0]) == 0:
        # Looks every time, writes never: the hold keeps even an order that is due from being sent.
        held = bench.run(RECONCILE_AMBIGUOUS_HOLD=f"{HOLD}s", RECONCILE_BACKOFF_BASE="0s")
        between += sum(held.summary.outcomes[word] for word in (Outcome.SKIPPED,)) > 0
    assert between >= 1
    time.sleep(0.1)
    last = bench.run(RECONCILE_AMBIGUOUS_HOLD=f"{HOLD}s", RECONCILE_BACKOFF_BASE="0s")

    assert bench.asked() == 4
    assert [bench.copies(email) for email in emails] == [1] * 4
    assert bench.unsynced() == 0
    assert last.summary.exit_code == 0
    outcomes = [row["outcome"] for row in bench.audit("SELECT * FROM attempts WHERE action = 'confirm'")]
    assert outcomes == ["recovered"] * 4
    bench.is_whole()


def test_a_write_that_never_was_done_is_made_once_more_after_the_hold(bench: Bench) -> None:
    (email,) = bench.orders(1)
    bench.fault("timeout_before", operation="enroll")
    began = time.monotonic()
    options = {"RECONCILE_AMBIGUOUS_HOLD": f"{HOLD}s", "RECONCILE_BACKOFF_BASE": "0s"}

    bench.run(**options)
    settle(bench, patience=30, **options)

    first, second = (entry.at for entry in bench.lms.log if entry.member == email)
    assert second - first >= HOLD
    assert second - began < HOLD + IN_FLIGHT + 5
    assert bench.copies(email) == 1
    bench.is_whole()
