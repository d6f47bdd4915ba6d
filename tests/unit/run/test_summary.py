"""A run's counts and the exit code that follows."""

from __future__ import annotations

import pytest

from reconcile.domain.model import Outcome, Reason, Verdict
from reconcile.run.summary import AbortReason, ExitCode, RunStatus, RunSummary
from tests.fakes.world import NOON


def summary(*verdicts: Verdict) -> RunSummary:
    made = RunSummary(run_id="r1", mode="apply", started_at=NOON)
    for verdict in verdicts:
        made.add(verdict)
    return made


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Outcome.ENROLLED, ExitCode.CONVERGED),
        (Outcome.ALREADY_ENROLLED, ExitCode.CONVERGED),
        (Outcome.RECOVERED, ExitCode.CONVERGED),
        (Outcome.WAITING, ExitCode.CONVERGED),
        (Outcome.SKIPPED, ExitCode.CONVERGED),
        (Outcome.RETRYING, ExitCode.ATTENTION),
        (Outcome.FAILED, ExitCode.ATTENTION),
    ],
)
def test_the_exit_code_of_a_completed_run(outcome: Outcome, code: ExitCode) -> None:
    run = summary(Verdict(outcome=Outcome.ENROLLED), Verdict(outcome=outcome))
    run.close(RunStatus.COMPLETED, at=NOON)

    assert run.exit_code is code


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (Reason.UNAUTHORIZED, 2),
        (Reason.FORBIDDEN, 2),
        (Reason.BLIND, 2),
        (Reason.PROTOCOL, 2),
        (AbortReason.CONFIGURATION, 2),
        (Reason.LMS_UNAVAILABLE, 75),
        (Reason.RATE_LIMITED, 75),
        (AbortReason.STORE_UNAVAILABLE, 75),
        (AbortReason.AUDIT_UNAVAILABLE, 4),
        (AbortReason.BUG, 4),
        (AbortReason.TOO_MANY_ENROLLS, 1),
        (None, 4),
    ],
)
def test_the_exit_code_of_an_aborted_run(reason: str | None, code: int) -> None:
    run = summary(Verdict(outcome=Outcome.FAILED))
    run.close(RunStatus.ABORTED, at=NOON, reason=reason)

    assert run.exit_code == code


def test_an_interrupted_run() -> None:
    run = summary()
    run.close(RunStatus.INTERRUPTED, at=NOON)

    assert run.exit_code == 130


def test_what_a_limit_left_over_needs_attention() -> None:
    run = summary()
    run.left_over = 1
    run.close(RunStatus.COMPLETED, at=NOON)

    assert run.exit_code is ExitCode.ATTENTION


def test_the_first_cause_is_the_cause() -> None:
    run = summary()
    run.close(RunStatus.ABORTED, at=NOON, reason="first")
    run.close(RunStatus.COMPLETED, at=NOON)

    assert (run.status, run.reason) == (RunStatus.ABORTED, "first")


def test_json_counts_all_seven_outcomes_and_only_the_reasons_that_happened() -> None:
    run = summary(
        Verdict(outcome=Outcome.ENROLLED),
        Verdict(outcome=Outcome.SKIPPED, reason=Reason.TOO_NEW),
        Verdict(outcome=Outcome.SKIPPED, reason=Reason.TOO_NEW),
    )
    run.scanned = 3

    before = run.as_json()
    run.close(RunStatus.COMPLETED, at=NOON)
    after = run.as_json()

    assert before["finished_at"] is None
    assert after["finished_at"] == NOON.isoformat()
    assert after["outcomes"] == {
        "enrolled": 1,
        "already_enrolled": 0,
        "recovered": 0,
        "retrying": 0,
        "waiting": 0,
        "failed": 0,
        "skipped": 2,
    }
    assert after["reasons"] == {"too_new": 2}
    assert after["exit_code"] == 0
