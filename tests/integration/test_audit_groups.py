"""Group commits in the database: several processes at once, killed ones, what it takes, who hears of it."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from reconcile.audit.log import SqlAuditLog, open_audit
from reconcile.run.ports import End, Intent
from tests.fakes.audit_file import new_audit
from tests.fakes.audit_history import verified
from tests.fakes.audit_samples import (
    ELSEWHERE,
    ENROLLED,
    NOON,
    enrollment,
    record,
    summary,
)
from tests.fakes.audit_server import SERVER, audit_on_server

ROOT = Path(__file__).parents[2]
EACH = 25
#: Begins and ends groups for ever; tells when it is at it.
WRITER = """
import sys
from datetime import timedelta
from itertools import count
from tests.integration.test_audit_groups import EACH, NOON, ends, group
from reconcile.audit.log import open_audit

log = open_audit(sys.argv[1])
for number in count():
    print(number, flush=True)
    log.finish_all(ends(log.begin_all(group(number), held_since=NOON)), run_id="run-1")
"""
#: Waits for a word, then tries to get ten pairs and to say ten things, in its own run.
RIVAL = """
import sys
from tests.integration.test_audit_groups import NOON, group
from tests.fakes.audit_samples import record
from reconcile.audit.log import open_audit

log = open_audit(sys.argv[1])
print("ready", flush=True)
input()
for turn in range(10):
    taken = log.begin_all(group(turn, each=1, run_id=sys.argv[2]), held_since=NOON)
    left_out = log.record([record(id=f"waiting-{turn}", run_id=sys.argv[2])])
    print(int(taken != [None]), int(not left_out))
"""


def group(number: int, *, each: int = EACH, run_id: str = "run-1") -> list[Intent]:
    """Intents for learners of their own."""
    people = [f"{number}-{one}@example.com" for one in range(each)]
    return [
        Intent(
            run_id=run_id,
            enrollment=enrollment(f"order-{person}", member=person, email=person),
            number=1,
            started_at=NOON,
            lease_token="token",
        )
        for person in people
    ]


def ends(numbers: Any) -> list[End]:
    return [End(attempt_id=number, verdict=ENROLLED, at=NOON, http_status=200) for number in numbers]


def python(program: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqlAuditLog]:
    """With a run under way."""
    with new_audit(tmp_path) as log:
        log.open_run(summary(), ELSEWHERE)
        yield log


@pytest.mark.parametrize("groups", [1, 4, 9])
def test_a_killed_process_leaves_all_or_nothing_of_a_group(
    groups: int, log: SqlAuditLog, tmp_path: Path
) -> None:
    with python(WRITER, f"sqlite:///{tmp_path}/audit.db") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line == f"{groups}\n":
                process.send_signal(signal.SIGKILL)
                break

    with log.reading() as connection:
        counts = connection.execute(
            text("SELECT count(*), count(finished_at), count(DISTINCT lease_token) FROM attempts")
        ).one()
    assert counts[0] >= groups * EACH
    assert [counts[0] % EACH, counts[1] % EACH] == [0, 0]
    assert verified(log).is_intact


def test_of_several_processes_one_gets_each_pair_and_one_says_each_thing(
    log: SqlAuditLog, tmp_path: Path
) -> None:
    rivals = [f"rival-{number}" for number in range(4)]
    for run_id in rivals:
        log.open_run(summary(run_id), ELSEWHERE)
    url = f"sqlite:///{tmp_path}/audit.db"
    processes = [python(RIVAL, url, run_id) for run_id in rivals]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [process.communicate()[0].split("\n")[:10] for process in processes]

    for turn in range(10):
        got = [tuple(map(int, lines[turn].split())) for lines in told]
        assert (sum(taken for taken, _ in got), sum(said for _, said in got)) == (1, 1)
    assert verified(log).is_intact


@SERVER
def test_on_a_server_too() -> None:
    """Where writers do not exclude each other by themselves."""
    with audit_on_server() as one:
        url = one.store.engine.url.render_as_string(hide_password=False)
        with closing(open_audit(url)) as other:
            logs = {"run-1": one, "run-2": other}
            for run_id, log in logs.items():
                log.open_run(summary(run_id), ELSEWHERE)
            for turn in range(30):
                got = _at_once(logs, lambda log, run_id: _both(log, run_id, turn))  # noqa: B023
                taken, said = zip(*got.values(), strict=True)
                assert (sum(taken), sum(said)) == (1, 1)
            assert verified(one).is_intact


def _both(log: SqlAuditLog, run_id: str, turn: int) -> list[int]:
    taken = log.begin_all(group(turn, each=1, run_id=run_id), held_since=NOON)
    left_out = log.record([record(id=f"waiting-{turn}", run_id=run_id)])
    return [int(list(taken) != [None]), int(not left_out)]


def _at_once(
    logs: Mapping[str, SqlAuditLog], work: Callable[[SqlAuditLog, str], list[int]]
) -> Mapping[str, list[int]]:
    found: dict[str, list[int]] = {}
    barrier = threading.Barrier(len(logs))

    def run(run_id: str, log: SqlAuditLog) -> None:
        barrier.wait()
        found[run_id] = work(log, run_id)

    threads = [threading.Thread(target=run, args=each) for each in logs.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@contextmanager
def _statements(log: SqlAuditLog) -> Iterator[list[str]]:
    said: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        said.append(statement)

    event.listen(log.store.engine, "before_cursor_execute", note)
    yield said
    event.remove(log.store.engine, "before_cursor_execute", note)


def test_a_group_takes_no_more_statements_than_one(log: SqlAuditLog) -> None:
    counts = []
    for number, each in enumerate((1, EACH, 10 * EACH)):
        with _statements(log) as said:
            log.finish_all(ends(log.begin_all(group(number, each=each), held_since=NOON)), run_id="run-1")
        counts.append(len([statement for statement in said if not statement.startswith("BEGIN")]))

    assert counts == [12] * 3


def test_what_locks_a_pair_is_found_by_index(log: SqlAuditLog) -> None:
    with _statements(log) as said:
        log.begin_all(group(1), held_since=NOON)
        log.record([record(ENROLLED)])
    looks = [statement for statement in said if statement.startswith("SELECT attempts.member_key")]
    with log.reading() as connection:
        for look in looks:
            marks = look.count("?")
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {look}", ("x",) * marks).all()
            assert "ix_attempts_locking (member_key=?)" in str(plan[0])
    assert len(looks) == 2


@SERVER
def test_on_a_server_there_is_such_an_index_too() -> None:
    with audit_on_server() as log, log.reading() as connection:
        kept = connection.execute(
            text("SELECT indexdef FROM pg_indexes WHERE indexname = 'ix_attempts_locking'")
        ).scalar_one()
    assert "never_sent = 0" in kept
    assert "lms_timeout" in kept
