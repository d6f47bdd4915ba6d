"""What a check says, and what all of them say together. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from reconcile.run.summary import ExitCode


class Grade(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"  #: a run would succeed, and something should be seen to
    PROBLEM = "problem"  #: a run would not succeed
    SKIPPED = "skipped"  #: what it needs is a problem itself


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing looked at. `code` is the exit code of a run that meets this problem."""

    area: str  #: settings, mongodb, lms, key, courses, audit, schedule, backlog
    name: str
    grade: Grade
    says: str
    remedy: str = ""
    code: ExitCode = ExitCode.CONVERGED


def ok(area: str, name: str, says: str) -> Check:
    """All is well."""
    return Check(area=area, name=name, grade=Grade.OK, says=says)


def warning(area: str, name: str, says: str, remedy: str) -> Check:
    """A run would succeed all the same."""
    return Check(area=area, name=name, grade=Grade.WARNING, says=says, remedy=remedy)


def problem(area: str, name: str, says: str, remedy: str, *, code: ExitCode = ExitCode.USAGE) -> Check:
    """A run would not succeed."""
    return Check(area=area, name=name, grade=Grade.PROBLEM, says=says, remedy=remedy, code=code)


def skipped(area: str, name: str, because: str) -> Check:
    """Could not be looked at."""
    return Check(area=area, name=name, grade=Grade.SKIPPED, says=f"not looked at: {because}")


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """Every check, in the order in which a person should mend things."""

    checks: Sequence[Check] = field(default_factory=tuple)

    def of(self, grade: Grade) -> list[Check]:
        """Those that ended so."""
        return [check for check in self.checks if check.grade is grade]

    @property
    def would_succeed(self) -> bool:
        """Whether a run would, as far as can be told without writing."""
        return not self.of(Grade.PROBLEM)

    @property
    def exit_code(self) -> ExitCode:
        """0 where a run would succeed, else the code of the first problem."""
        problems = self.of(Grade.PROBLEM)
        return problems[0].code if problems else ExitCode.CONVERGED

    @property
    def conclusion(self) -> str:
        """The last line: would succeed, or what to do first."""
        problems = self.of(Grade.PROBLEM)
        if problems:
            return f"A run would fail. First: {problems[0].remedy}"
        warnings = len(self.of(Grade.WARNING))
        seen = f"; {warnings} things should be seen to" if warnings else ""
        return f"A run would succeed{seen}."
