"""`status`: the numbers that monitoring relies on, against the shop's documents."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from reconcile.sandbox.shop.seed import CONFIRMABLE, COVERED, ENROLLABLE
from tests.acceptance.harness import Document, World
from tests.acceptance.undone import ago, retry_job, unmarked_order

KEYS = {
    "backlog",
    "unmarked",
    "shop_queue",
    "unsynced",
    "unsynced_amount",
    "oldest_paid_at",
    "waiting",
    "last_run",
}
WORDS = ("pending", "retrying", "failed")


def unsynced(world: World) -> list[Document]:
    """The storefront's own definition (STOREFRONT), told once more and by other means than the product's."""
    found = []
    for document in world.database.enrollments.find({"status": "paid"}):
        sync = document.get("frappeSync") or {}
        done = sync.get("synced") is True and sync.get("syncStatus") == "success" and sync.get("enrollmentId")
        if not done:
            found.append(document)
    return found


def amounts(documents: list[Document]) -> dict[str, float]:
    totals: Counter[str] = Counter()
    for document in documents:
        currency = document.get("currency") or "usd"
        try:
            amount = Decimal(str(document["amount"]))
        except InvalidOperation:
            continue
        if amount >= 0:
            totals[currency if isinstance(currency, str) else "usd"] += amount  # type: ignore[assignment]
    return {currency: float(total) for currency, total in totals.items()}


def statuses(documents: list[Document]) -> dict[str, int]:
    words = [(document.get("frappeSync") or {}).get("syncStatus") for document in documents]
    known = {word: words.count(word) for word in WORDS}
    return known | {"unset": len(words) - sum(known.values())}


def oldest(documents: list[Document]) -> datetime:
    def instant(value: Any) -> datetime:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment

    def paid(document: Document) -> datetime:
        events = document.get("stripeEvents") or []
        done = [
            event["processedAt"] for event in events if event["eventType"] == "checkout.session.completed"
        ]
        return min(map(instant, done), default=instant(document["timestamp"]))

    return min(map(paid, documents))


def check(world: World, shown: Document) -> None:
    documents = unsynced(world)
    assert set(shown) == KEYS
    assert shown["unsynced"] == len(documents)
    assert shown["backlog"] == statuses(documents)
    assert shown["unsynced_amount"] == amounts(documents)
    assert datetime.fromisoformat(shown["oldest_paid_at"]) == oldest(documents)


def test_the_numbers_are_the_shops_before_and_after_a_run(seeded: World) -> None:
    assert seeded.shop is not None
    expected = seeded.shop.expected

    before = seeded.run("status", "--json", code=0)
    check(seeded, before.json)
    assert (before.json["waiting"], before.json["last_run"]) == ({}, None)
    assert not seeded.audit_file.exists()

    run = seeded.run("run", "--json", "--quiet", code=1)
    after = seeded.run("status", "--json", code=0)

    check(seeded, after.json)
    settled = sum(len(expected[heading]) for heading in (ENROLLABLE, CONFIRMABLE, COVERED))
    assert before.json["unsynced"] - after.json["unsynced"] == settled
    assert after.json["waiting"] == {
        "member_missing": len(expected["no_account"]),
        "member_disabled": len(expected["disabled_account"]),
        "course_missing": len(expected["course_renamed"]),
        "course_unpublished": len(expected["course_unpublished"]),
    }
    for name in ("run_id", "status", "exit_code", "scanned", "lms_requests"):
        assert after.json["last_run"][name] == run.json[name]
    people = seeded.run("status", code=0)
    assert f"{after.json['unsynced']} paid orders without confirmed access" in people.stdout
    assert "last runs:" in people.stdout


def test_nothing_unsynced_is_said_as_plainly(world: World) -> None:
    done = world.start("status")
    machine = world.start("status", "--json")

    assert "Every paid order is synced." in done.wait().stdout
    assert machine.wait().json == {
        "backlog": {"pending": 0, "retrying": 0, "failed": 0, "unset": 0},
        "unmarked": 0,
        "shop_queue": {
            "collection": None,
            "open": 0,
            "overdue": 0,
            "oldest_due_at": None,
            "last_completed_at": None,
        },
        "unsynced": 0,
        "unsynced_amount": {},
        "oldest_paid_at": None,
        "waiting": {},
        "last_run": None,
    }


def test_what_the_shop_has_left_undone_is_told(world: World) -> None:
    order = world.order(
        "sam@example.com", frappeSync={"synced": False, "syncStatus": "failed", "retryCount": 5}
    )
    unmarked = unmarked_order(world, "kim@example.com", amount=199)
    due, done = ago(hours=9), ago(days=2)
    retry_job(world, order, "sam@example.com", due=due)
    retry_job(world, order, "sam@example.com", due=done, status="completed", attempts=1, completedAt=done)

    machine = world.run("status", "--json", code=0).json
    people = world.run("status", code=0).stdout

    assert machine["unmarked"] == 1
    assert machine["shop_queue"] == {
        "collection": "retry_jobs",
        "open": 1,
        "overdue": 1,
        "oldest_due_at": due.isoformat(),
        "last_completed_at": done.isoformat(),
    }
    assert machine["unsynced"] == 1, "who has not paid by the shop's own word is not in the backlog"
    assert (
        "1 order is paid at Stripe and never marked as paid in the shop, 199.00 USD; the oldest was paid"
        in people
    )
    assert unmarked in people
    assert "What to do: reconcile diagnose" in people
    assert "the shop's own retry queue (retry_jobs): 1 open, 0 in work, 1 overdue since" in people
    assert f"the shop's own worker has not run since {done:%Y-%m-%d %H:%M} UTC" in people
    assert "tries: 0 visits of ours, 5 by the shop" in people
    assert "oldest: ordered " in people


def test_a_run_says_who_came_back_and_what_was_never_marked(world: World) -> None:
    given_up = {"synced": False, "syncStatus": "failed", "retryCount": 5}
    world.order("sam@example.com", frappeSync=given_up)
    unmarked_order(world, "kim@example.com")

    told = world.run("run", code=0).stdout

    assert "1 of them was given up on before (status failed), and tried now." in told
    assert "1 more order is paid at Stripe and never marked as paid in the shop" in told


def test_a_status_that_was_cut_short_has_the_same_keys(world: World) -> None:
    done = world.run("status", "--json", env={"MONGODB_URI": "mongodb://127.0.0.1:1/shop"}, code=75)

    assert set(done.json) == KEYS | {"error"}
    assert done.json["shop_queue"] is None
