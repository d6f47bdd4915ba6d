"""Pruning takes whole old runs and nothing else, in bounded steps, and leaves an audit that verifies."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from reconcile.audit import prune as audit_prune
from reconcile.audit.log import SqlAuditLog
from reconcile.audit.prune import Pruned, prunable, prune
from reconcile.audit.space import give_back, rewrite
from reconcile.mail.outbox import post
from tests.fakes.attempts import begin, finish
from tests.fakes.audit_file import new_audit
from tests.fakes.audit_history import DAY, LONG_AGO, close, verified, write
from tests.fakes.audit_samples import ELSEWHERE, ENROLLED, HERE, NOON, intent, record, summary
from tests.fakes.audit_server import SERVER, audit_on_server

CUT = LONG_AGO + 10 * DAY


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=SERVER)])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlAuditLog]:
    with new_audit(tmp_path) if request.param == "sqlite" else audit_on_server() as log:
        yield log


def past_run(log: SqlAuditLog, run_id: str, *, ended: datetime = LONG_AGO, orders: int = 3) -> None:
    log.open_run(summary(run_id, started_at=ended), HERE)
    log.record([record(id=f"{run_id}-{number}", run_id=run_id) for number in range(orders)])
    close(log, run_id, at=ended)


def pruned(log: SqlAuditLog, **changes: Any) -> Pruned:
    return prune(log.store, **{"before": CUT, "by": "sam on db1", "at": NOON, **changes})


def ask(log: SqlAuditLog, query: str) -> list[Any]:
    with log.reading() as connection:
        return list(connection.execute(text(query)).scalars())


def test_old_runs_go_whole_and_their_seals_stay(log: SqlAuditLog) -> None:
    past_run(log, "old")
    past_run(log, "new", ended=NOON)
    before = prunable(log.store, before=CUT)

    done = pruned(log)

    assert (before.runs, before.attempts, before.oldest, before.kept) == (1, 3, LONG_AGO, 0)
    assert (done.runs, done.attempts) == (1, 3)
    assert ask(log, "SELECT run_id FROM runs") == ["new"]
    assert set(ask(log, "SELECT run_id FROM attempts")) == {"new"}
    assert set(ask(log, "SELECT run_id FROM links")) == {"new"}
    assert len(ask(log, "SELECT seal FROM seals WHERE subject = 'old'")) == 2
    result = verified(log)
    assert result.findings == []
    assert result.newest_seal == done.seal
    assert result.pruned_runs == 1


def test_who_pruned_what_is_recorded(log: SqlAuditLog) -> None:
    past_run(log, "old")

    pruned(log)

    (detail,) = ask(log, "SELECT detail FROM seals WHERE kind = 'pruned'")
    assert detail == f'{{"attempts": 3, "before": "{CUT.isoformat()}", "by": "sam on db1", "runs": 1}}'


def test_what_is_under_way_or_open_or_young_stays(log: SqlAuditLog) -> None:
    log.open_run(summary("crashed", started_at=LONG_AGO), ELSEWHERE)
    left = write(log, "crashed", "order-1")
    log.close_dead_runs(origin=HERE, stale_before=LONG_AGO + DAY, at=LONG_AGO)
    log.open_run(summary("running", started_at=LONG_AGO), HERE)
    past_run(log, "young", ended=CUT)

    assert prunable(log.store, before=CUT).kept == 1
    assert pruned(log).runs == 0
    assert sorted(ask(log, "SELECT run_id FROM runs")) == ["crashed", "running", "young"]

    finish(log, left, ENROLLED, run_id="young", at=NOON)
    assert pruned(log).runs == 1
    assert verified(log).is_intact


def test_the_end_of_an_attempt_stays_as_long_as_the_attempt(log: SqlAuditLog) -> None:
    """The run that recorded it is older than the one whose attempt it was: that one came back later."""
    log.open_run(summary("late", started_at=LONG_AGO), ELSEWHERE)
    left = write(log, "late", "order-1")
    log.close_dead_runs(origin=HERE, stale_before=LONG_AGO + DAY, at=LONG_AGO)
    log.open_run(summary("settled", started_at=LONG_AGO), HERE)
    finish(log, left, ENROLLED, run_id="settled", at=LONG_AGO)
    close(log, "settled", at=LONG_AGO)
    close(log, "late", at=CUT + DAY)

    assert pruned(log).runs == 0
    assert verified(log).is_intact
    assert pruned(log, before=CUT + 2 * DAY).runs == 2
    assert verified(log).is_intact


def test_an_address_goes_with_the_last_attempt_that_needs_it(log: SqlAuditLog) -> None:
    log.open_run(summary("old", started_at=LONG_AGO), HERE)
    for person in ("stays@example.com", "goes@example.com"):
        finish(log, write(log, "old", "order-1", person=person), ENROLLED, run_id="old", at=LONG_AGO)
    close(log, "old", at=LONG_AGO)
    log.open_run(summary("new"), HERE)
    write(log, "new", "order-1", person="stays@example.com")

    done = pruned(log)

    assert done.people == 1
    assert ask(log, "SELECT email FROM people") == ["stays@example.com"]
    assert verified(log).is_intact


def test_an_address_stays_as_long_as_a_mail_to_it_is_owed(log: SqlAuditLog) -> None:
    log.on_outcomes = post
    log.open_run(summary("old", started_at=LONG_AGO), HERE)
    finish(log, begin(log, intent(run_id="old")), ENROLLED, run_id="old", at=LONG_AGO)
    close(log, "old", at=LONG_AGO)

    pruned(log)

    assert ask(log, "SELECT count(*) FROM attempts") == [0]
    assert ask(log, "SELECT count(*) FROM outbox JOIN people USING (person_key)") == [1]

    with log.store.writing() as connection:
        connection.execute(text("UPDATE outbox SET status = 'sent'"))
    past_run(log, "later", orders=0)
    pruned(log)

    assert ask(log, "SELECT count(*) FROM people") == [0]
    assert ask(log, "SELECT count(*) FROM outbox") == [1], "the memory of one mail ever stays"


def test_many_runs_go_in_bounded_steps(log: SqlAuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_prune, "RUNS_AT_ONCE", 4)
    monkeypatch.setattr(audit_prune, "ATTEMPTS_AT_ONCE", 7)
    for number in range(9):
        past_run(log, f"run-{number}", ended=LONG_AGO + number * timedelta(hours=1))
    past_run(log, "huge", orders=20, ended=LONG_AGO + DAY)
    steps: list[int] = []

    done = pruned(log, watch=lambda so_far: steps.append(so_far.attempts))

    # Two runs fit (six attempts), a third does not; a run is never split.
    assert steps == [6, 12, 18, 24, 27, 47]
    assert (done.runs, done.attempts) == (10, 47)
    assert verified(log).is_intact


def test_a_pruning_that_is_interrupted_goes_on_next_time(
    log: SqlAuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_prune, "RUNS_AT_ONCE", 2)
    for number in range(5):
        past_run(log, f"run-{number}")
    steps: list[int] = []

    first = pruned(log, watch=lambda so_far: steps.append(so_far.runs), stopped=lambda: bool(steps))
    assert verified(log).is_intact
    rest = pruned(log)

    assert (first.runs, rest.runs, pruned(log).runs) == (2, 3, 0)
    assert verified(log).is_intact


def test_numbers_of_pruned_attempts_are_not_given_again(log: SqlAuditLog) -> None:
    past_run(log, "old")
    pruned(log)
    log.open_run(summary("new"), HERE)

    assert write(log, "new", "order-1") == 4


def test_the_file_gets_smaller(tmp_path: Path) -> None:
    with new_audit(tmp_path) as log:
        past_run(log, "old", orders=3000)
        rewrite(log.store, patience=5)
        before = (tmp_path / "audit.db").stat().st_size
        pruned(log)

        space = give_back(log.store)
        assert verified(log).is_intact

    assert space.given_back > before / 2
    assert space.reusable == 0
    assert (tmp_path / "audit.db").stat().st_size == before - space.given_back


def test_an_older_file_says_how_much_of_it_is_free(tmp_path: Path) -> None:
    with new_audit(tmp_path) as log:
        past_run(log, "old", orders=3000)
        with log.store.engine.connect() as connection:
            raw: Any = connection.connection.driver_connection
            raw.execute("PRAGMA auto_vacuum = NONE")
            raw.execute("VACUUM")
        pruned(log)

        space = give_back(log.store)

    assert space.given_back == 0
    assert space.reusable > 100_000
