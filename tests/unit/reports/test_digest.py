"""The daily digest: what it says, of which period, in which words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from reconcile.audit.log import SqlAuditLog, open_audit
from reconcile.domain.model import AnyEnrollment, Outcome, Reason, Verdict
from reconcile.domain.shop_queue import ShopQueue
from reconcile.reports.digest import Digest, Past, age_text, last_working_day
from reconcile.reports.period import past
from reconcile.run.ports import Origin, Record
from reconcile.run.summary import RunStatus, RunSummary
from reconcile.storefront.documents import parse_enrollment
from reconcile.story.backlog import Backlog
from reconcile.story.shop_texts import UNMARKED_REMEDY

BERLIN = ZoneInfo("Europe/Berlin")
MONDAY = datetime(2026, 11, 23, 7, 0, tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("now", "before"),
    [
        ("Mon 2026-11-23", "Fri 2026-11-20"),
        ("Tue 2026-11-24", "Mon 2026-11-23"),
        ("Fri 2026-11-27", "Thu 2026-11-26"),
        ("Sat 2026-11-28", "Fri 2026-11-27"),
        ("Sun 2026-11-29", "Fri 2026-11-27"),
    ],
)
def test_the_period_goes_back_to_the_last_working_day(now: str, before: str) -> None:
    at = datetime.strptime(now, "%a %Y-%m-%d").replace(hour=7, tzinfo=BERLIN)

    assert last_working_day(at).strftime("%a %Y-%m-%d %H:%M") == f"{before} 07:00"


def test_the_period_keeps_its_time_of_the_day_when_the_clocks_change() -> None:
    since = last_working_day(datetime(2026, 10, 26, 7, 0, tzinfo=BERLIN))

    assert since == datetime(2026, 10, 23, 7, 0, tzinfo=BERLIN)
    assert since.astimezone(UTC).hour == 5


def order(number: int, **changes: object) -> AnyEnrollment:
    document = {
        "_id": f"{number:024x}",
        "courseId": "python-basics",
        "email": f"learner{number}@example.com",
        "paymentId": f"pi_{number}",
        "amount": 49.5,
        "currency": "usd",
        "status": "paid",
        "timestamp": "2026-11-20T08:51:00Z",
        "frappeSync": {"syncStatus": "failed"},
    } | changes
    return parse_enrollment(document, enrollment_id=str(document["_id"]), email_rule=lambda _: None)


def backlog(*orders: AnyEnrollment) -> Backlog:
    found = Backlog()
    for item in orders:
        found.add(item)
    return found


def test_a_bad_morning() -> None:
    digest = Digest(
        since=last_working_day(MONDAY),
        until=MONDAY,
        past=Past(
            outcomes=Counter(
                {Outcome.ENROLLED: 9, Outcome.ALREADY_ENROLLED: 2, Outcome.RECOVERED: 1, Outcome.FAILED: 1}
            ),
            runs=Counter({"completed": 850, "aborted": 13, "crashed": 1}),
            aborted=Counter({"lms_unavailable": 12, "mongodb_unavailable": 1}),
        ),
        backlog=backlog(order(1), order(2), order(3, frappeSync={"syncStatus": "retrying"}, currency="eur")),
        failed=Counter({Reason.MALFORMED: 2}),
        waiting=Counter({Reason.MEMBER_MISSING: 1}),
    )

    assert digest.title == "reconcile: 2 paid orders need a person; 12 learners got access"
    assert digest.body == (
        "Since Friday 20 November 07:00 (CET)\n"
        "  12 learners got access: 9 enrolled, 2 had it already, 1 recovered\n"
        "  1 paid order failed\n"
        "  864 runs: 850 completed, 13 aborted, 1 crashed\n"
        "  12 runs aborted by lms_unavailable\n"
        "  1 run aborted by mongodb_unavailable\n"
        "\n"
        "Now\n"
        "  3 paid orders without confirmed access: 1 retrying, 2 failed\n"
        "  Money paid without access: 49.50 EUR, 99.00 USD\n"
        "  Longest wait: 3 days, ordered 2026-11-20 08:51 UTC (000000000000000000000001)\n"
        "\n"
        "Needs a person: 2 paid orders\n"
        "  2 x malformed: The order cannot be sent as it is; correct the fields named.\n"
        "\n"
        "Waits for something outside: 1 paid order\n"
        "  1 x member_missing: The LMS has no account with this e-mail yet; access follows after sign-up.\n"
        "\n"
        "Next: reconcile report --view enrollments --outcome failed\n"
    )
    assert "@" not in digest.body


def test_a_backlog_that_waits_by_itself_is_told_without_a_wait_that_nobody_knows() -> None:
    waiting = backlog(order(1, timestamp=None, frappeSync={"syncStatus": "pending"}))
    digest = Digest(since=last_working_day(MONDAY), until=MONDAY, backlog=waiting)

    assert digest.title == "reconcile: 1 paid order without confirmed access; 0 learners got access"
    assert "1 paid order without confirmed access: 1 pending" in digest.body
    assert "Longest wait" not in digest.body


def test_a_good_morning_is_short() -> None:
    digest = Digest(since=last_working_day(MONDAY), until=MONDAY, past=Past(runs=Counter(completed=288)))

    assert digest.title == "reconcile: every paid order has its access; 0 learners got access"
    assert digest.body == (
        "Since Friday 20 November 07:00 (CET)\n"
        "  0 learners got access\n"
        "  288 runs: 288 completed\n"
        "\n"
        "Now\n"
        "  Every paid order is synced.\n"
    )


def test_what_the_shop_leaves_undone_is_told_in_a_good_morning_too() -> None:
    paid = {"eventType": "checkout.session.completed", "processedAt": "2026-11-20T09:30:00Z"}
    digest = Digest(since=last_working_day(MONDAY), until=MONDAY, past=Past(runs=Counter(completed=288)))
    digest.unmarked.add(order(1, status="pending", stripeEvents=[paid]))
    due = MONDAY.astimezone(UTC) - timedelta(hours=3)
    digest.queue = ShopQueue(collection="retry_jobs", open=2, overdue=1, oldest_due_at=due)

    assert digest.title == "reconcile: 1 order is paid and never marked; 0 learners got access"
    assert digest.body.endswith(
        "Now\n"
        "  Every paid order is synced.\n"
        "  1 order is paid at Stripe and never marked as paid in the shop, 49.50 USD; "
        "the oldest was paid 2026-11-20 09:30 UTC (000000000000000000000001).\n"
        "  The shop's own retry queue (retry_jobs): 2 open, 0 in work, 1 overdue since 2026-11-23 03:00 UTC; "
        "last completed: never.\n"
        "  The shop's own worker has not run since 2026-11-23 03:00 UTC.\n"
        "\n"
        f"Paid and never marked: {UNMARKED_REMEDY}\n"
        "Next: reconcile diagnose\n"
    )


def test_silence_is_told() -> None:
    """No run was completed: whoever reads this should know, and since when."""
    long_ago = datetime(2026, 11, 12, 3, 5, tzinfo=UTC)

    never = Digest(since=MONDAY, until=MONDAY)
    stopped = Digest(since=MONDAY, until=MONDAY, past=Past(last_completed=long_ago))

    assert "  0 runs\n  No run was completed ever.\n" in never.body
    assert "  No run was completed since 2026-11-12 03:05 UTC.\n" in stopped.body


def test_a_backlog_that_could_not_be_counted_is_not_an_empty_one() -> None:
    digest = Digest(since=MONDAY, until=MONDAY, unknown="MongoDB is gone")

    assert digest.title.startswith("reconcile: the backlog could not be counted;")
    assert "  The backlog could not be counted: MongoDB is gone\n" in digest.body
    assert "synced" not in digest.body


def test_one_is_singular() -> None:
    digest = Digest(
        since=MONDAY,
        until=MONDAY,
        backlog=backlog(order(1)),
        failed=Counter({None: 1}),
        past=Past(outcomes=Counter({Outcome.ENROLLED: 1})),
    )

    assert digest.title == "reconcile: 1 paid order needs a person; 1 learner got access"
    assert "  1 x no reason recorded\n" in digest.body
    assert digest.backlog.amount("usd") == Decimal("49.5")


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (timedelta(seconds=-5), "0 seconds"),
        (timedelta(seconds=90), "90 seconds"),
        (timedelta(minutes=2), "2 minutes"),
        (timedelta(hours=47), "47 hours"),
        (timedelta(hours=48), "2 days"),
    ],
)
def test_ages(age: timedelta, text: str) -> None:
    assert age_text(age) == text


# --- what the audit says of a period -----------------------------------------------------------------


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[SqlAuditLog]:
    with open_audit(f"sqlite:///{tmp_path / 'audit.db'}") as opened:
        yield opened


def run(audit: SqlAuditLog, name: str, at: datetime, status: RunStatus, reason: str | None = None) -> None:
    summary = RunSummary(run_id=name, mode="apply", started_at=at)
    audit.open_run(summary, Origin(host="h", pid=1, process_started="1"))
    if status is not RunStatus.RUNNING:
        summary.close(status, at=at + timedelta(seconds=5), reason=reason)
        audit.close_run(summary)


def verdict(audit: SqlAuditLog, number: int, at: datetime, outcome: Outcome, reason: Reason | None) -> None:
    said = Verdict(outcome=outcome, reason=reason)
    audit.record([Record(run_id="r1", enrollment=order(number), action="confirm", verdict=said, at=at)])


def test_the_audit_of_a_period(audit: SqlAuditLog) -> None:
    hour = timedelta(hours=1)
    since, until = MONDAY - 24 * hour, MONDAY
    run(audit, "r0", since - hour, RunStatus.COMPLETED)
    run(audit, "r1", since, RunStatus.COMPLETED)
    run(audit, "r2", since + hour, RunStatus.ABORTED, "lms_unavailable")
    run(audit, "r3", since + 2 * hour, RunStatus.ABORTED, "lms_unavailable")
    run(audit, "r4", since + 3 * hour, RunStatus.ABORTED, "audit_unavailable")
    run(audit, "r5", since + 4 * hour, RunStatus.RUNNING)
    run(audit, "r6", until, RunStatus.COMPLETED)
    verdict(audit, 1, since - hour, Outcome.ENROLLED, None)
    verdict(audit, 2, since, Outcome.ENROLLED, None)
    verdict(audit, 3, since, Outcome.FAILED, Reason.MALFORMED)
    verdict(audit, 3, since + hour, Outcome.FAILED, Reason.LMS_REJECTED)
    verdict(audit, 4, until, Outcome.ENROLLED, None)

    with audit.reading() as connection:
        found = past(connection, since=since, until=until)
        nothing = past(connection, since=until + hour, until=until + 2 * hour)

    assert found.outcomes == {Outcome.ENROLLED: 1, Outcome.FAILED: 1}
    assert found.runs == {"completed": 1, "aborted": 3, "running": 1}
    assert found.aborted == {"lms_unavailable": 2, "audit_unavailable": 1}
    assert nothing.given_access == nothing.runs.total() == 0
    assert nothing.last_completed == (until + timedelta(seconds=5)).astimezone(UTC)


def test_the_audit_of_nothing(audit: SqlAuditLog) -> None:
    with audit.reading() as connection:
        assert past(connection, since=MONDAY, until=MONDAY) == Past()
