"""`status`: the numbers that monitoring relies on, against the shop's documents."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from reconcile.sandbox.shop import CONFIRMABLE, COVERED, ENROLLABLE
from tests.acceptance.harness import Document, World

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

    return min(instant(document["timestamp"]) for document in documents)


def check(world: World, shown: Document) -> None:
    documents = unsynced(world)
    assert set(shown) == {"backlog", "unsynced", "unsynced_amount", "oldest_paid_at", "waiting", "last_run"}
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
        "member_missing": len(expected["no_account"]) + len(expected["placeholder_email"]),
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
        "unsynced": 0,
        "unsynced_amount": {},
        "oldest_paid_at": None,
        "waiting": {},
        "last_run": None,
    }
