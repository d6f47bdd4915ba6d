"""The audit database's columns as reports name them.

The tables themselves belong to the adapter that writes them; reports and adapters do not know each
other, and a test compares these names with the real schema.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, ColumnClause, DateTime, Integer, TableClause, Text, column, table

_WORDS, _NUMBER, _LONG, _INSTANT = Text(), Integer(), BigInteger(), DateTime(timezone=True)


def _words(*names: str) -> list[ColumnClause[str]]:
    return [column(name, _WORDS) for name in names]


def _instants(*names: str) -> list[ColumnClause[object]]:
    return [column(name, _INSTANT) for name in names]


META: TableClause = table("meta", *_words("key", "value"))
PEOPLE: TableClause = table("people", *_words("person_key", "email"))
RUNS: TableClause = table(
    "runs",
    *_words("run_id", "mode", "status", "reason", "version", "outcomes"),
    *_instants("started_at", "finished_at", "heartbeat_at"),
    *(column(name, _NUMBER) for name in ("scanned", "lms_requests", "exit_code", "unmarked")),
)
ATTEMPTS: TableClause = table(
    "attempts",
    *_words("run_id", "enrollment_id", "payment_id", "email_masked", "email_key", "member_key", "course"),
    *_words("action", "outcome", "reason", "lms_enrollment_id", "error", "flags", "currency"),
    *_instants("started_at", "finished_at", "paid_at"),
    *(column(name, _NUMBER) for name in ("number", "http_status", "counted", "shop_tries")),
    *(column(name, _LONG) for name in ("attempt_id", "amount_e4")),
)
INTERVENTIONS: TableClause = table(
    "interventions",
    *_words("kind", "who", "enrollment_id", "scope", "because"),
    *_instants("at", "until"),
    column("intervention_id", _LONG),
)
#: What a test compares with the real schema.
ALL = (META, PEOPLE, RUNS, ATTEMPTS, INTERVENTIONS)
