"""What checks say together: the exit code, and the last line."""

from __future__ import annotations

from reconcile.diagnosis.checks import Diagnosis, Grade, ok, problem, skipped, warning
from reconcile.run.summary import ExitCode

FINE = ok("mongodb", "there", "answers")
ODD = warning("audit", "space", "is large", "Prune it.")
DOWN = problem("lms", "there", "does not answer", "Start it.", code=ExitCode.TEMPORARY)
WRONG = problem("key", "roles", "sees nothing", "Give it a role.")
UNSEEN = skipped("courses", "there", "the LMS does not answer")


def test_a_run_would_succeed() -> None:
    found = Diagnosis(checks=[FINE])

    assert found.would_succeed
    assert found.exit_code is ExitCode.CONVERGED
    assert found.conclusion == "A run would succeed."


def test_a_warning_does_not_fail_a_run() -> None:
    found = Diagnosis(checks=[FINE, ODD, ODD])

    assert found.would_succeed
    assert found.of(Grade.WARNING) == [ODD, ODD]
    assert found.conclusion == "A run would succeed; 2 things should be seen to."


def test_the_first_problem_tells_what_to_do() -> None:
    found = Diagnosis(checks=[ODD, DOWN, UNSEEN, WRONG])

    assert not found.would_succeed
    assert found.exit_code is ExitCode.TEMPORARY
    assert Diagnosis(checks=[WRONG, DOWN]).exit_code is ExitCode.USAGE
    assert found.conclusion == "A run would fail. First: Start it."
    assert UNSEEN.says == "not looked at: the LMS does not answer"
