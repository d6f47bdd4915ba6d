"""Forgetting somebody: not a byte of the address is left, and the audit still verifies and adds up."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from reconcile.audit.forget import Forgotten, forget, look_up
from reconcile.audit.log import SqlAuditLog
from reconcile.audit.schema import read_secret
from reconcile.audit.space import rewrite
from reconcile.base.errors import AuditUnavailable
from reconcile.domain.model import MalformedEnrollment, Reason
from reconcile.run.ports import Intent, Record
from tests.fakes.attempts import begin, finish
from tests.fakes.audit_file import new_audit
from tests.fakes.audit_history import DAY, close, verified, write
from tests.fakes.audit_samples import (
    ELSEWHERE,
    ENROLLED,
    HERE,
    NOON,
    REFUSED,
    WAITING,
    enrollment,
    summary,
)
from tests.fakes.audit_server import SERVER, audit_on_server

SAM = "sam.o'brien+shop@example.com"
SPELLINGS = (SAM, SAM.upper(), f"  {SAM.title()} ")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=SERVER)])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlAuditLog]:
    with new_audit(tmp_path) if request.param == "sqlite" else audit_on_server() as log:
        log.open_run(summary(), HERE)
        yield log


def forgotten(log: SqlAuditLog, email: str = SAM) -> Forgotten:
    return forget(log.store, secret=read_secret(log.store), email=email, by="the test", at=NOON)


def everything_said(log: SqlAuditLog) -> str:
    """All values of all tables, as text."""
    with log.reading() as connection:
        tables = ("meta", "people", "runs", "attempts", "links", "seals")
        return "\n".join(
            str(tuple(row)).casefold()
            for name in tables
            for row in connection.execute(text(f"SELECT * FROM {name}"))
        )


def buy(log: SqlAuditLog, order: str, *, buyer: str = SAM, learner: str = SAM) -> int:
    order_of = enrollment(order, email=buyer, member=learner)
    return begin(log, Intent(run_id="run-1", enrollment=order_of, number=1, started_at=NOON))


def test_the_person_goes_and_the_sums_stay(log: SqlAuditLog) -> None:
    finish(log, buy(log, "order-1"), ENROLLED, run_id="run-1", at=NOON)
    finish(log, buy(log, "order-2", buyer="other@example.com"), REFUSED, run_id="run-1", at=NOON)
    finish(log, buy(log, "order-3", learner="other@example.com"), ENROLLED, run_id="run-1", at=NOON)
    before = log.history(["order-1", "order-2", "order-3"])
    person = look_up(log.store, secret=read_secret(log.store), email=SAM)

    done = forgotten(log)

    assert (person.named, person.attempts, person.masked, person.forgotten_at) == (True, 3, 2, None)
    assert (done.person, done.masked, done.texts) == (True, 2, 0)
    assert log.history(["order-1", "order-2", "order-3"]) == before
    assert "brien" not in everything_said(log)
    assert "s***" not in everything_said(log)
    assert "other@example.com" in everything_said(log)
    result = verified(log)
    assert result.findings == []
    assert (result.attempts, result.forgotten, result.newest_seal) == (3, 1, done.seal)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_any_spelling_will_do(log: SqlAuditLog, spelling: str) -> None:
    for number, written in enumerate(SPELLINGS):
        buy(log, f"order-{number}", buyer=written, learner=written)

    assert forgotten(log, spelling).masked == len(SPELLINGS)
    assert "brien" not in everything_said(log)
    assert verified(log).is_intact


def test_a_second_time_takes_and_records_nothing(log: SqlAuditLog) -> None:
    buy(log, "order-1")
    first = forgotten(log)

    again = forgotten(log)

    assert again == Forgotten(person=False, masked=0, texts=0, seal=None)
    assert verified(log).newest_seal == first.seal
    person = look_up(log.store, secret=read_secret(log.store), email=SAM)
    assert (person.is_known, person.attempts, person.forgotten_at) == (True, 1, NOON)


def test_who_comes_back_can_be_forgotten_again(log: SqlAuditLog) -> None:
    buy(log, "order-1")
    forgotten(log)
    buy(log, "order-2")
    assert verified(log).is_intact

    assert forgotten(log).masked == 1
    assert verified(log).is_intact


def test_of_a_stranger_there_is_nothing_to_take(log: SqlAuditLog) -> None:
    buy(log, "order-1")

    assert forgotten(log, "nobody@example.com").seal is None
    assert not look_up(log.store, secret=read_secret(log.store), email="nobody@example.com").is_known
    assert verified(log).forgotten == 0


@pytest.mark.parametrize(
    "said",
    [
        f"no user {SAM}",
        f"no user {SAM.upper()!r}",
        "GET /api/resource/User/sam.o%27brien%2Bshop%40example.com failed",
        "GET /user?name=sam.o'brien+shop%40example.com",
        f'{{"user": "{SAM}", "exc": ["{SAM}"]}}',
        f"a\nb\t{SAM}\x00",
    ],
)
def test_an_error_holds_no_whole_address_to_begin_with(log: SqlAuditLog, said: str) -> None:
    """Errors are redacted when they are recorded; what is left of one goes with its person."""
    finish(log, buy(log, "order-1"), replace(REFUSED, error=said), run_id="run-1", at=NOON)
    with log.reading() as connection:
        kept = connection.execute(text("SELECT error FROM attempts")).scalar_one()
    assert "brien" not in kept

    forgotten(log)

    assert "s***" not in everything_said(log)
    assert verified(log).is_intact


def test_addresses_that_slipped_into_other_texts_go_as_well(log: SqlAuditLog) -> None:
    """An order whose course, payment or id is an address: of a finished attempt and of an open one."""
    broken = MalformedEnrollment(
        id=f"id {SAM}", problems=("x",), reason=Reason.MALFORMED, payment_id=SAM.upper(), course=SAM
    )
    log.record([Record(run_id="run-1", enrollment=broken, action="give_up", verdict=WAITING, at=NOON)])
    log.open_run(summary("crashed"), ELSEWHERE)
    order_of = enrollment("order-1", email=SAM, member=SAM, payment_id=f"pay-{SAM}")
    left = begin(log, Intent(run_id="crashed", enrollment=order_of, number=1, started_at=NOON))
    log.close_dead_runs(origin=HERE, stale_before=NOON + DAY, at=NOON)

    done = forgotten(log)

    assert done.texts == 2
    assert "brien" not in everything_said(log)
    assert "pay-(forgotten)" in everything_said(log)
    assert verified(log).is_intact
    # The attempt that stood open gets its end, and another address is taken out of its text afterwards.
    finish(log, left, replace(ENROLLED, lms_id="for x@y.example"), run_id="run-1", at=NOON)
    close(log, "run-1")
    assert verified(log).is_intact
    assert forgotten(log, "x@y.example").texts == 1
    assert verified(log).is_intact


def test_what_was_redacted_is_still_proven(log: SqlAuditLog) -> None:
    write(log, "run-1", f"order {SAM}", person=SAM)
    forgotten(log)
    with log.store.writing() as connection:
        connection.exec_driver_sql("UPDATE attempts SET course = 'other'")

    assert [finding.attempt_id for finding in verified(log).findings] == [1]


# --- the bytes -------------------------------------------------------------------------------


def bytes_left(folder: Path, *words: bytes) -> list[str]:
    """Which files of the database hold one of the words, in any case."""
    return [
        file.name
        for file in sorted(folder.iterdir())
        if any(word in file.read_bytes().lower() for word in words)
    ]


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SqlAuditLog]:
    """With many people, many of whom came and went, on an SQLite file."""
    with new_audit(tmp_path) as log:
        log.open_run(summary(), HERE)
        for number in range(40):
            finish(
                log,
                buy(log, f"order-{number}", buyer=SPELLINGS[number % 3], learner=f"n{number}@example.com"),
                ENROLLED,
                run_id="run-1",
                at=NOON,
            )
        yield log


def test_no_byte_of_the_address_is_left(file: SqlAuditLog, tmp_path: Path) -> None:
    assert bytes_left(tmp_path, b"brien")

    forgotten(file)
    rewrite(file.store, patience=5)

    assert {path.name for path in tmp_path.iterdir()} == {"audit.db", "audit.db-wal", "audit.db-shm"}
    assert bytes_left(tmp_path, b"brien", b"s***") == []
    assert verified(file).is_intact


def test_without_the_rewriting_bytes_are_left(file: SqlAuditLog, tmp_path: Path) -> None:
    """What the test above would not see if the file were clean anyway."""
    forgotten(file)

    assert bytes_left(tmp_path, b"brien")


def test_a_reader_of_the_old_state_is_named_and_not_ignored(file: SqlAuditLog, tmp_path: Path) -> None:
    with file.reading() as old:
        assert old.execute(text("SELECT count(*) FROM people")).scalar_one()
        forgotten(file)
        with pytest.raises(AuditUnavailable, match="could not be emptied") as caught:
            rewrite(file.store, patience=0.2)

    assert "then repeat it" in caught.value.hint
    rewrite(file.store, patience=5)
    assert bytes_left(tmp_path, b"brien") == []


def test_runs_go_on_while_somebody_is_forgotten(file: SqlAuditLog, tmp_path: Path) -> None:
    problems: list[BaseException] = []

    def work() -> None:
        try:
            for number in range(30):
                attempt = write(file, "run-1", f"late-{number}", person="busy@example.com")
                finish(file, attempt, ENROLLED, run_id="run-1", at=NOON)
        except BaseException as error:  # noqa: BLE001  # shown below
            problems.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    forgotten(file)
    rewrite(file.store, patience=5)
    worker.join()
    rewrite(file.store, patience=5)

    assert problems == []
    assert bytes_left(tmp_path, b"brien") == []
    assert verified(file).is_intact


def test_any_table_may_have_held_it(log: SqlAuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that come later: whatever holds text is looked through."""
    import sqlalchemy as sa

    notes = sa.Table(
        "notes", sa.MetaData(), sa.Column("number", sa.Integer, primary_key=True), sa.Column("words", sa.Text)
    )
    monkeypatch.setattr("reconcile.audit.forget._other_tables", lambda: iter([notes]))
    with log.store.writing() as connection:
        notes.create(connection)
        values: list[dict[str, Any]] = [{"number": 1, "words": f"ask {SAM}"}, {"number": 2, "words": None}]
        connection.execute(sa.insert(notes), values)

    assert forgotten(log).texts == 1
    with log.reading() as connection:
        assert connection.execute(sa.select(notes.c.words).order_by(notes.c.number)).scalars().all() == [
            "ask (forgotten)",
            None,
        ]
