"""MongoDB fails at every command of a run, is killed, loses a cursor: aborted cleanly, finished later.

A fail point spoils the n-th command of its kind and all that follow, for every n that a run has, so
that no place is left out. Codes are ones that do not stall the driver (DEPENDENCIES 2.6).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from reconcile.base.errors import StoreUnavailable
from reconcile.domain.model import Enrollment
from reconcile.run.answers import EnrollAnswer
from reconcile.run.options import RunResult
from reconcile.run.ports import LearningPlatform
from reconcile.sandbox.mongo.server import EmbeddedMongo
from reconcile.storefront import connect as mongo_connect
from reconcile.storefront.connect import connect
from tests.fakes.audit_file import new_audit
from tests.faults.bench import Bench

TEMPORARY = 75
ORDERS, PAGE = 2, 1
#: Of a run over ORDERS orders there are fewer commands of any kind.
MOST = 40
Spoil = Callable[..., AbstractContextManager[None]]

ENDS = {
    "refused": {"errorCode": 262},
    "network": {"errorCode": 9001},
    "closed": {"closeConnection": True},
    # Done, and reported as not: the worst of all for a write.
    "done all the same": {"writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"}},
}


@pytest.fixture
def spoil(mongo: EmbeddedMongo) -> Iterator[Spoil]:
    """Spoil commands of the application alone: the test's own client has no such name."""
    with MongoClient[dict[str, Any]](mongo.uri()) as admin:

        @contextmanager
        def spoiled(command: str, mode: Any, **how: Any) -> Iterator[None]:
            data = {"failCommands": [command], "appName": "reconcile"} | how
            admin.admin.command("configureFailPoint", "failCommand", mode=mode, data=data)
            try:
                yield
            finally:
                admin.admin.command("configureFailPoint", "failCommand", mode="off")

        yield spoiled


def run(bench: Bench) -> RunResult:
    """Short leases: those that a fault keeps from being given back lapse soon."""
    return bench.run(
        RECONCILE_LEASE_TTL="0.6s", RECONCILE_AMBIGUOUS_HOLD="0.3s", RECONCILE_PAGE_SIZE=str(PAGE)
    )


def finish(bench: Bench, *, patience: float = 20.0) -> None:
    """The next runs finish the story."""
    deadline = time.monotonic() + patience
    while run(bench).summary.exit_code != 0 or bench.unsynced() or bench.audit(OPEN):
        assert time.monotonic() < deadline, "does not converge"
        time.sleep(0.1)
    bench.is_whole()


OPEN = "SELECT attempt_id FROM attempts WHERE finished_at IS NULL"


def is_clean(result: RunResult) -> None:
    """It could not go on: says so, and blames nobody."""
    assert (result.summary.exit_code, result.summary.reason) == (TEMPORARY, "mongodb_unavailable")
    assert isinstance(result.failure, StoreUnavailable)
    assert result.failure.hint
    assert result.summary.as_json()["outcomes"]["failed"] == 0


#: What can go wrong with each command: reads have no write concern that could fail.
TROUBLES = [("find", how) for how in ("refused", "closed")] + [
    (command, how)
    for command in ("insert", "update", "delete")
    for how in ("refused", "closed", "done all the same")
]


@pytest.mark.parametrize(("command", "how"), TROUBLES)
def test_mongodb_fails_from_the_nth_command_on(bench: Bench, spoil: Spoil, command: str, how: str) -> None:
    # Most finds are the scan's clauses: every other one will do, and fewer where the driver waits 0.5 s.
    step = {"find": 2, "update": 1}.get(command, 1) * (3 if how == "closed" else 1)
    learners: list[str] = []
    for skipped in range(0, MOST, step):
        learners += bench.orders(ORDERS)
        asked = bench.asked()
        with spoil(command, {"skip": skipped} if skipped else "alwaysOn", **ENDS[how]):
            result = run(bench)
        if result.summary.exit_code == 0:
            break  # a run has no more commands of this kind
        is_clean(result)
        # Never a request without its row, not even now.
        assert len(bench.attempts()) >= bench.asked() >= asked
        finish(bench)
    else:
        pytest.fail("more commands than a run can have")
    # On a busy machine so short a lease may lapse before its write, which is then left to the next run.
    finish(bench)
    if (command, how) == ("insert", "done all the same"):
        assert skipped == 0, "a lease that may not last is fenced by the next command, which must be durable"
    else:
        assert skipped >= 1, "the fail point has spoiled nothing"
    assert {bench.copies(email) for email in learners} == {1}
    assert {bench.sync(email)["syncStatus"] for email in learners} == {"success"}
    assert bench.asked() == len(learners), "nobody was asked for twice"


@pytest.mark.parametrize("command", ["find", "insert"])
@pytest.mark.parametrize("how", ["refused", "network"])
def test_a_moment_of_trouble_is_the_drivers_to_repeat(
    bench: Bench, spoil: Spoil, command: str, how: str
) -> None:
    bench.orders(ORDERS)

    with spoil(command, {"times": 1}, **ENDS[how]):
        result = run(bench)

    assert result.summary.exit_code == 0
    bench.is_whole()


def test_a_scan_that_breaks_off_in_the_middle(bench: Bench, spoil: Spoil) -> None:
    learners = bench.orders(7)

    with spoil("getMore", {"times": 1}, **ENDS["refused"]):
        result = run(bench)

    is_clean(result)
    begun = bench.asked()
    assert begun < 7
    finish(bench)
    assert bench.asked() == 7
    assert {bench.copies(email) for email in learners} == {1}


@pytest.mark.parametrize("how", [{"errorCode": 43}, {"closeConnection": True}], ids=["cursor", "connection"])
@pytest.mark.parametrize("times", [1, 3])
def test_a_scan_that_loses_its_cursor_is_resumed(
    bench: Bench, spoil: Spoil, times: int, how: dict[str, Any]
) -> None:
    learners = bench.orders(9)

    with spoil("getMore", {"times": times}, **how):
        result = bench.run(RECONCILE_PAGE_SIZE=str(PAGE))

    assert result.summary.exit_code == 0
    assert result.summary.scanned == 9, "each order once"
    assert {bench.copies(email) for email in learners} == {1}
    bench.is_whole()


def test_cursors_that_are_lost_for_ever_end_the_run(bench: Bench, spoil: Spoil) -> None:
    bench.orders(9)

    with spoil("getMore", "alwaysOn", errorCode=43):
        result = run(bench)

    # Each resumption shows one page more; nine orders are more than the run has patience for.
    is_clean(result)
    finish(bench)


class Kills:
    """A platform during whose n-th enroll something happens to the world."""

    def __init__(self, real: LearningPlatform, at: int, what: Callable[[], None]) -> None:
        self._real, self._left, self._what = real, at, what

    def enroll(self, enrollment: Enrollment) -> EnrollAnswer:
        self._left -= 1
        if self._left == 0:
            self._what()
        return self._real.enroll(enrollment)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@pytest.fixture
def own(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Bench, EmbeddedMongo]]:
    """A bench with a MongoDB of its own, to kill; the driver waits 0.3 s for it, not 5."""
    monkeypatch.setattr(mongo_connect, "_SELECT_MS", 300)
    (tmp_path / "own").mkdir()
    new_audit(tmp_path / "own").close()
    with EmbeddedMongo() as mongo:
        database: Database[dict[str, Any]] = connect(mongo.uri("shop"), "shop")
        uri = mongo.uri("shop")
        yield Bench(database=database, mongodb_uri=uri, lms=bench.lms, folder=tmp_path / "own"), mongo
        database.client.close()


def test_mongodb_is_killed_in_the_middle_of_a_run(own: tuple[Bench, EmbeddedMongo]) -> None:
    bench, mongo = own
    learners = bench.orders(6)

    result = bench.run(platform=lambda real: Kills(real, 3, mongo.kill), RECONCILE_AMBIGUOUS_HOLD="0.4s")

    is_clean(result)
    assert bench.asked() == 3, "the order is read again before each write: no fourth one"
    assert bench.run().summary.reason == "mongodb_unavailable", "and the next run ends at once"
    mongo.start()
    finish(bench)
    assert bench.asked() == 6
    assert {bench.copies(email) for email in learners} == {1}
    assert len(bench.attempts()) >= 6
