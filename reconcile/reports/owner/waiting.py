"""Who has no access, and what they wait for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from reconcile.domain.model import Outcome, Reason
from reconcile.reports.model import Figure, Section, Table
from reconcile.reports.owner.causes import cause
from reconcile.reports.owner.facts import Fact
from reconcile.reports.owner.part import Oldest, Scope, numbers, words
from reconcile.reports.words import counted

_WAITS_FOR: Mapping[str, str] = {
    Reason.MEMBER_MISSING: "the learner to sign up",
    Reason.MEMBER_DISABLED: "the account to be enabled",
    Reason.COURSE_MISSING: "a course of this name",
    Reason.COURSE_UNPUBLISHED: "the course to be published",
    Reason.INVALID_EMAIL: "a corrected e-mail address",
    Reason.INVALID_COURSE: "a corrected courseId",
    Reason.MALFORMED: "a corrected order",
    Reason.LMS_UNAVAILABLE: "the LMS",
    Reason.RATE_LIMITED: "the LMS",
    Reason.LMS_TIMEOUT: "the LMS",
}
#: What a person has to do can be said of these alone.
_NAMED_WHEN_FAILED = (Reason.INVALID_EMAIL, Reason.INVALID_COURSE, Reason.MALFORMED)


def waits_for(fact: Fact) -> str:
    """Whose move it is, in a few words."""
    if fact.outcome == Outcome.FAILED and fact.reason not in _NAMED_WHEN_FAILED:
        return "a person"
    return _WAITS_FOR.get(fact.reason or "", "the next run")


class Waiting:
    """Part: the learners without access, the oldest order first."""

    def __init__(self, scope: Scope) -> None:
        self._as_of = scope.as_of
        self._oldest = Oldest()
        self._outcomes: Counter[str | None] = Counter()

    def add(self, fact: Fact) -> None:
        """Remember it if its learner is not in the course."""
        if fact.lacks_access:
            self._outcomes[fact.outcome] += 1
            self._oldest.add(fact)

    def section(self) -> Section:
        """The list, and who has to move."""
        outside, person = self._outcomes[Outcome.WAITING], self._outcomes[Outcome.FAILED]
        rest = self._outcomes.total() - outside - person
        figures = [
            Figure(name="outside", label="wait for somebody outside", value=outside),
            Figure(name="person", label="need a person", value=person),
            Figure(name="by_itself", label="are tried again by themselves", value=rest),
        ]
        if not self._outcomes:
            return Section(name="waiting", title="Who waits for what", words=["Nobody waits."])
        said = (
            f"Waiting for somebody outside: {counted(outside, 'order')}; access follows by itself once they "
            f"have moved. Needing a person: {counted(person, 'order')}. Tried again by themselves: {rest:,}."
        )
        return Section(
            name="waiting",
            title="Who waits for what",
            words=[said],
            figures=figures,
            tables=[self._table()],
        )

    def _table(self) -> Table:
        rows = [
            {
                "waits_for": waits_for(fact),
                "waiting_seconds": (self._as_of - fact.paid_at).total_seconds() if fact.paid_at else None,
                "email": fact.row["email"],
                "course": fact.row["course"],
                "amount": fact.row["amount"],
                "currency": fact.currency,
                "paid_at": fact.paid_at,
                "reason": cause(fact),
                "enrollment_id": fact.enrollment_id,
            }
            for fact in self._oldest.facts()
        ]
        return Table(
            name="waiting",
            caption="Orders without access, the oldest first",
            columns=(
                words("waits_for", 34),
                numbers("waiting_seconds"),
                words("email", 26),
                words("course", 24),
                numbers("amount"),
                words("currency", 8),
                words("paid_at", 20),
                words("reason", 18),
                words("enrollment_id", 24),
            ),
            rows=rows,
            left_out=self._oldest.left_out,
            command="reconcile report --view enrollments --format csv",
        )
