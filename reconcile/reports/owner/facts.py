"""One fact per enrollment: its row in the view `enrollments`, and what only the owner's report asks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import Connection, case, func

from reconcile.audit import tables
from reconcile.domain.model import DUPLICATE_PAYMENT, Outcome, Reason
from reconcile.reports.model import ReportFilter, Row
from reconcile.reports.queries import enrollment_row, latest_verdicts, stream

_ACCESS = frozenset(outcome.value for outcome in Outcome if outcome.has_access)


class Fact(NamedTuple):
    """What the audit says of one enrollment now."""

    row: Row
    learner: int  #: the same number for the same LMS account, whatever the address' spelling
    flagged: bool  #: another paid order for the same learner and course was seen
    first_outcome: str | None
    first_reason: str | None
    has_access: bool  #: the learner is in the course, by the LMS's own word
    lacks_access: bool  #: it is paid and the learner is not in; an order found unpaid lacks nothing

    @property
    def enrollment_id(self) -> str:
        """The order."""
        return str(self.row["enrollment_id"])

    @property
    def outcome(self) -> str | None:
        """The latest verdict; None while its only attempt is open."""
        return self.row["outcome"]  # type: ignore[return-value]  # the view's column

    @property
    def reason(self) -> str | None:
        """Why."""
        return self.row["reason"]  # type: ignore[return-value]  # the view's column

    @property
    def paid_at(self) -> datetime | None:
        """When it was paid, as the order tells."""
        return self.row["paid_at"]  # type: ignore[return-value]  # the view's column

    @property
    def amount(self) -> Decimal | None:
        """In major units; None where the order does not tell."""
        found = self.row["amount"]
        return Decimal(found) if isinstance(found, int | Decimal) else None

    @property
    def currency(self) -> str | None:
        """Of the amount."""
        return self.row["currency"]  # type: ignore[return-value]  # the view's column


def facts(connection: Connection, chosen: ReportFilter, *, with_emails: bool = False) -> Iterator[Fact]:
    """Each enrollment that the audit has seen, by its id; streamed."""
    row = tables.attempts.c
    first = tables.attempts.alias("first_sight")
    flagged = case((row.flags.contains(DUPLICATE_PAYMENT, autoescape=True), 1), else_=0)
    query, summed = latest_verdicts(
        connection,
        chosen,
        with_emails=with_emails,
        also=(func.min(row.attempt_id).label("first"), func.max(flagged).label("flagged")),
    )
    query = query.add_columns(
        func.coalesce(row.member_key, row.email_key).label("learner"),
        first.c.outcome.label("first_outcome"),
        first.c.reason.label("first_reason"),
    ).join(first, first.c.attempt_id == summed.c.first)
    for found in stream(connection, query):
        of_order = enrollment_row(found, also=2)
        has_access = of_order["outcome"] in _ACCESS
        lacks_access = not has_access and of_order["reason"] != Reason.NOT_PAID
        learner, first_outcome, first_reason = found[-3:]
        # By position: of a million orders that is a second.
        yield Fact(
            of_order,
            _number(learner, found.enrollment_id),
            bool(found.flagged),
            first_outcome,
            first_reason,
            has_access,
            lacks_access,
        )


def _number(key: str | None, enrollment_id: str) -> int:
    """60 bits of the person's key. An order without an address is a learner of its own."""
    digits = key or hashlib.sha256(enrollment_id.encode("utf-8", "replace")).hexdigest()
    return int(digits[:15], 16)
