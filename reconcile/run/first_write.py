"""In an LMS without any enrollment nothing proves that the key sees them: one write goes alone (ADR 9)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from reconcile.base.errors import AuthenticationFailed, ReconcileError
from reconcile.domain.model import EffectKey, Enrolled, Observation, Outcome
from reconcile.run.page import Try

#: What the LMS shows of a learner and course; None where it cannot be asked now.
Look = Callable[[EffectKey], Observation | None]


class FirstWrite:
    """Lets one write after another through until one of them proves that the key sees what it makes."""

    def __init__(self, *, proven: bool) -> None:
        self.proven = proven
        self._lock = threading.Lock()

    def alone(
        self, write: Callable[[], list[Try]], look: Look, halt: Callable[[ReconcileError], None]
    ) -> list[Try]:
        """Write; nobody else does meanwhile, until sight is proven. A key that is blind halts the run."""
        if self.proven:
            return write()
        with self._lock:
            tries = write()
            if not self.proven:
                self._prove_by(tries, look, halt)
            return tries

    def _prove_by(self, tries: Sequence[Try], look: Look, halt: Callable[[ReconcileError], None]) -> None:
        outcomes = [(each.task, each.attempt.conclusion.verdict.outcome) for each in tries if each.attempt]
        key = next((task.lease.key for task, outcome in outcomes if outcome is Outcome.ENROLLED), None)
        seen = look(key) if key is not None else None
        if isinstance(seen, Enrolled):
            self.proven = True
        elif seen is not None:
            halt(
                AuthenticationFailed(
                    "the key cannot see the LMS enrollment that it has just created",
                    reason="blind",
                    hint="Give the key's user the role Moderator in the LMS, then run again.",
                )
            )
