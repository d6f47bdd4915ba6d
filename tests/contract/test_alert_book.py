"""What was told before: one contract for the book in memory and the one in the audit database."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconcile.alerts.book import SqlAlertBook
from reconcile.alerts.decision import DAY, AlertState
from reconcile.alerts.memory import AlertBook, MemoryAlertBook
from tests.fakes.audit_file import new_audit

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
LATER = NOON + timedelta(minutes=2)
TOLD = AlertState(first_seen_at=NOON, told_at=NOON, told_count=412)
CLEARED = AlertState(first_seen_at=NOON, told_at=NOON, told_count=412, cleared_at=LATER, relapses=3)


@pytest.fixture(params=["memory", "sql"])
def book(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AlertBook]:
    if request.param == "memory":
        yield MemoryAlertBook()
        return
    with new_audit(tmp_path) as audit:
        yield SqlAlertBook(audit.store)


def tell(book: AlertBook, before: AlertState | None, after: AlertState) -> None:
    token = book.claim("drift", before, now=NOON, until=LATER)
    assert token is not None
    book.settle("drift", token, after)


def test_nothing_was_told_yet(book: AlertBook) -> None:
    assert dict(book.load()) == {}


def test_what_was_told_is_remembered(book: AlertBook) -> None:
    tell(book, None, TOLD)
    assert dict(book.load()) == {"drift": TOLD}

    tell(book, TOLD, CLEARED)
    assert dict(book.load()) == {"drift": CLEARED}


def test_one_of_two_that_decided_alike_tells(book: AlertBook) -> None:
    first = book.claim("drift", None, now=NOON, until=LATER)

    assert first is not None
    assert book.claim("drift", None, now=NOON, until=LATER) is None

    book.settle("drift", first, TOLD)
    assert book.claim("drift", None, now=NOON, until=LATER) is None, "it was told meanwhile"


def test_what_could_not_be_told_is_told_by_the_next(book: AlertBook) -> None:
    token = book.claim("drift", None, now=NOON, until=LATER)
    assert token is not None
    book.release("drift", token)
    book.release("drift", token)

    (state,) = book.load().values()

    assert (state.first_seen_at, state.told_at) == (NOON, None), "since when it lasts is kept"
    assert book.claim("drift", state, now=LATER, until=LATER + DAY) is not None


def test_the_claim_of_a_dead_process_lapses_and_its_word_counts_no_more(book: AlertBook) -> None:
    dead = book.claim("drift", None, now=NOON, until=LATER)
    assert dead is not None
    assert book.claim("drift", None, now=LATER - timedelta(seconds=1), until=LATER + DAY) is None

    heir = book.claim("drift", None, now=LATER, until=LATER + DAY)
    assert heir is not None

    book.settle("drift", dead, CLEARED)
    book.release("drift", dead)
    assert dict(book.load()) == {"drift": AlertState(first_seen_at=NOON)}
    book.settle("drift", heir, TOLD)
    assert dict(book.load()) == {"drift": TOLD}


@pytest.mark.parametrize("after", [None, CLEARED])
def test_a_change_without_news(book: AlertBook, after: AlertState | None) -> None:
    tell(book, None, TOLD)

    book.change("drift", CLEARED, None)  # not as it was: nothing
    assert dict(book.load()) == {"drift": TOLD}

    book.change("drift", TOLD, after)
    assert dict(book.load()) == ({"drift": after} if after else {})


def test_what_somebody_is_telling_is_not_changed_meanwhile(book: AlertBook) -> None:
    tell(book, None, TOLD)
    token = book.claim("drift", TOLD, now=NOON, until=LATER)
    assert token is not None

    book.change("drift", TOLD, None)
    book.settle("drift", token, CLEARED)

    assert dict(book.load()) == {"drift": CLEARED}


def test_of_many_threads_one_has_the_right(book: AlertBook) -> None:
    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(lambda _: book.claim("drift", None, now=NOON, until=LATER), range(16)))

    assert sum(token is not None for token in tokens) == 1


def test_of_many_processes_one_has_the_right(tmp_path: Path) -> None:
    new_audit(tmp_path).close()
    program = (
        "import sys\n"
        "from datetime import UTC, datetime, timedelta\n"
        "from reconcile.audit.log import open_audit\n"
        "from reconcile.alerts.book import SqlAlertBook\n"
        "now = datetime.now(UTC)\n"
        "with open_audit(sys.argv[1]) as audit:\n"
        "    book = SqlAlertBook(audit.store)\n"
        "    sys.stdin.readline()\n"
        "    print(book.claim('drift', None, now=now, until=now + timedelta(minutes=2)) is not None)\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, f"sqlite:///{tmp_path / 'audit.db'}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    answers = [process.communicate("\n", timeout=60)[0].strip() for process in processes]

    assert sorted(answers) == ["False", "False", "False", "True"]
