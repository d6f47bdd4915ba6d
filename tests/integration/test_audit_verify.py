"""What is done to a copy of the audit by hand is told in words; what reconcile does is not."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from reconcile.audit.chain.digests import Seal
from reconcile.audit.chain.findings import What
from reconcile.audit.chain.verify import verify
from reconcile.audit.forget import forget
from reconcile.audit.log import SqlAuditLog
from reconcile.audit.prune import prune
from reconcile.audit.schema import read_secret
from reconcile.base.errors import AuditUnavailable
from tests.fakes.attempts import finish
from tests.fakes.audit_file import new_audit
from tests.fakes.audit_history import DAY, LONG_AGO, close, original, tampered, verified, write
from tests.fakes.audit_samples import ENROLLED, HERE, NOON, record, summary


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqlAuditLog]:
    with new_audit(tmp_path) as log:
        yield log


def test_what_reconcile_writes_is_intact(tmp_path: Path) -> None:
    with tampered(original(), tmp_path) as log:
        result = verified(log)

    assert result.findings == []
    assert (result.runs, result.running, result.pruned_runs, result.forgotten) == (4, 1, 1, 1)
    assert result.links > result.attempts > 0


def test_another_secret_of_the_keys_is_found(tmp_path: Path) -> None:
    change = f"UPDATE meta SET value = '{'ab' * 32}' WHERE key = 'person_secret'"

    with tampered(original(), tmp_path, change) as log:
        assert verified(log).findings[0].text == "the secret of the keys is another one"


@pytest.mark.parametrize(
    "change", ["DELETE FROM meta WHERE key = 'person_secret'", "UPDATE meta SET value = 'x'"]
)
def test_an_audit_that_has_lost_its_secret_cannot_be_read(change: str, tmp_path: Path) -> None:
    with pytest.raises(AuditUnavailable, match="lost the secret"), tampered(original(), tmp_path, change):
        pass


@pytest.mark.parametrize(
    ("table", "key", "first", "second"),
    [
        ("attempts", "attempt_id", "2", "3"),
        ("attempts", "attempt_id", "4", "8"),
        ("runs", "run_id", "'crashed'", "'recovered'"),
        ("links", "seq", "2", "3"),
        ("seals", "seal_number", "2", "3"),
        ("people", "person_key", "{0}", "{1}"),
    ],
)
def test_rows_that_were_swapped_are_found(
    table: str, key: str, first: str, second: str, tmp_path: Path
) -> None:
    if table == "people":
        with closing(sqlite3.connect(tmp_path / "people.db")) as connection:
            (tmp_path / "people.db").write_bytes(original())
            keys = connection.execute("SELECT person_key FROM people LIMIT 2").fetchall()
        first, second = (f"'{key}'" for (key,) in keys)
    aside = "'aside'" if key in ("run_id", "person_key") else "-1"
    steps = ((first, aside), (second, first), (aside, second))
    where = " AND run_id = 'crashed'" if table == "links" else ""
    swap = [f"UPDATE {table} SET {key} = {new} WHERE {key} = {old}{where}" for old, new in steps]

    with tampered(original(), tmp_path, *swap) as log:
        result = verified(log)

    assert not result.is_intact
    assert table in {finding.table for finding in result.findings}


@pytest.mark.parametrize(
    ("change", "table", "what", "words"),
    [
        ("UPDATE attempts SET number = x'00ff' WHERE attempt_id = 4", "attempts", What.CHANGED, "attempt 4"),
        ("UPDATE attempts SET paid_at = 'soon' WHERE attempt_id = 4", "attempts", What.CHANGED, "attempt 4"),
        (
            "UPDATE attempts SET error = CAST(x'fffe' AS TEXT) WHERE attempt_id = 5",
            "attempts",
            What.CHANGED,
            "attempt 5",
        ),
        ("UPDATE runs SET started_at = 5 WHERE run_id = 'crashed'", "runs", What.CHANGED, "run crashed"),
        (
            "UPDATE links SET kind = 'imagined' WHERE seq = 1 AND run_id = 'crashed'",
            "links",
            What.CHANGED,
            "1",
        ),
        ("UPDATE seals SET sealed_at = 'never' WHERE seal_number = 3", "seals", What.BROKEN, "seal 3"),
        ("DELETE FROM seals WHERE seal_number > 5", "seals", What.REMOVED, "seals 6 to"),
        ("DELETE FROM links WHERE run_id = 'recovered' AND seq > 2", "links", What.CHANGED, "run recovered"),
        ("DELETE FROM attempts WHERE run_id = 'crashed'", "attempts", What.REMOVED, "of run crashed is gone"),
        ("UPDATE seals SET pruned_by = 4 WHERE subject = 'crashed'", "seals", What.CHANGED, "seal 4"),
        ("UPDATE seals SET pruned_by = NULL", "seals", What.CHANGED, "marks of 1 prunings"),
        (
            "UPDATE attempts SET finished_at = NULL WHERE attempt_id = 5",
            "attempts",
            What.CHANGED,
            "attempt 5",
        ),
        ("UPDATE attempts SET outcome = 'enrolled' WHERE attempt_id = 9", "attempts", What.CHANGED, "open"),
        ("UPDATE people SET email = 'x@example.com'", "people", What.CHANGED, "not the one of its key"),
    ],
)
def test_what_was_done_is_told(change: str, table: str, what: What, words: str, tmp_path: Path) -> None:
    with tampered(original(), tmp_path, change) as log:
        result = verified(log)

    assert any(
        (finding.table, finding.what) == (table, what) and words in finding.text
        for finding in result.findings
    ), result.findings


def test_a_run_that_was_taken_out_whole_is_found(tmp_path: Path) -> None:
    """With all its rows, its links and its seals, the newest included: the note of the newest seal tells."""
    for run_id in ("crashed", "running"):
        gone = [f"DELETE FROM {table} WHERE run_id = '{run_id}'" for table in ("links", "attempts", "runs")]
        with tampered(original(), tmp_path, *gone) as log:
            (gone_run, *_) = [item for item in verified(log).findings if item.what is What.REMOVED]
            assert gone_run.run_id == run_id
        with tampered(original(), tmp_path, *gone, f"DELETE FROM seals WHERE subject = '{run_id}'") as log:
            assert {item.what for item in verified(log).findings} >= {What.REMOVED}


def test_what_is_pruned_by_hand_is_no_pruning(tmp_path: Path) -> None:
    """Also with the marks that `prune` would have made."""
    gone = [f"DELETE FROM {table} WHERE run_id = 'crashed'" for table in ("links", "attempts", "runs")]
    marked = "UPDATE seals SET pruned_by = (SELECT seal_number FROM seals WHERE kind = 'pruned')"

    with tampered(original(), tmp_path, *gone, f"{marked} WHERE subject = 'crashed'") as log:
        (finding, *_) = [item for item in verified(log).findings if item.table == "seals"]

    assert "was not pruned by it" in finding.text


def test_the_last_seals_cannot_be_cut_off_unseen(log: SqlAuditLog) -> None:
    """Not even when runs go on afterwards."""
    for number in range(3):
        log.open_run(summary(f"run-{number}"), HERE)
        close(log, f"run-{number}")
    with log.store.writing() as connection:
        for statement in (
            "DELETE FROM seals WHERE subject = 'run-2'",
            "DELETE FROM runs WHERE run_id = 'run-2'",
        ):
            connection.exec_driver_sql(statement)
    assert not verified(log).is_intact

    log.open_run(summary("later"), HERE)
    close(log, "later")

    assert [(item.what, item.text) for item in verified(log).findings] == [
        (What.REMOVED, "seals 6 to 7 are missing")
    ]


def test_a_seal_that_was_kept_elsewhere_proves_a_rewritten_audit(log: SqlAuditLog, tmp_path: Path) -> None:
    """Whoever can write the file can begin it anew; not so that an old seal fits."""
    log.open_run(summary(), HERE)
    kept = Seal.parse(close(log, "run-1"))
    log.open_run(summary("run-2"), HERE)
    assert verified(log, expected=kept).is_intact

    with new_audit(tmp_path, "forged.db") as forged:
        forged.open_run(summary(), HERE)
        forged.record([record()])
        close(forged, "run-1")
        assert verified(forged).is_intact

        (finding,) = verified(forged, expected=kept).findings
        (shorter,) = verified(forged, expected=Seal(4, "0" * 64)).findings

    assert finding.text == f"seal {kept.number} is not the one that was kept elsewhere"
    assert shorter.text == "seal 4, which was kept elsewhere, is not there"


def test_what_came_after_a_kept_seal_is_counted(log: SqlAuditLog) -> None:
    """A redaction, a pruning or a second end may overrule what stood before: that must not go unseen."""
    log.open_run(summary("old", started_at=LONG_AGO), HERE)
    close(log, "old", at=LONG_AGO)
    log.open_run(summary(), HERE)
    slipped = write(log, "run-1", "order of sam@example.com")
    finish(log, slipped, ENROLLED, run_id="run-1", at=NOON)
    kept = Seal.parse(close(log, "run-1"))
    log.open_run(summary("run-2"), HERE)
    close(log, "run-2")
    assert verified(log, expected=kept).since == {}

    prune(log.store, before=LONG_AGO + DAY, by="the test", at=NOON)
    forget(log.store, secret=read_secret(log.store), email="sam@example.com", by="the test", at=NOON)

    result = verified(log, expected=kept)
    assert result.findings == []
    assert result.since == {"pruned": 1, "forgotten": 1, "resealed": 1}
    assert (result.redacted, result.resealed) == (1, 1)


def test_findings_beyond_the_limit_are_counted(tmp_path: Path) -> None:
    with tampered(original(), tmp_path, "UPDATE attempts SET course = 'other'") as log:
        few, all_of_them = verified(log, limit=2), verified(log)

    assert len(few.findings) == 2
    assert few.total == all_of_them.total == len(all_of_them.findings) > 2


def test_a_damaged_file_is_not_tampered_with(tmp_path: Path) -> None:
    page = original().index(b"crashed")
    damaged = original()[: page - 200] + b"\xa5" * 400 + original()[page + 200 :]

    with pytest.raises(AuditUnavailable, match=r"damaged|malformed"), tampered(damaged, tmp_path) as log:
        verified(log)


def test_verifying_goes_on_beside_a_run(log: SqlAuditLog) -> None:
    """It sees one moment and holds nobody up."""
    log.open_run(summary(), HERE)

    def meanwhile(part: str) -> None:
        log.record([record(id=f"{part}-1"), record(id=f"{part}-2")])

    result = verify(log.store, secret=read_secret(log.store), watch=meanwhile)

    assert result.is_intact
    assert result.attempts == 0
    assert verified(log).attempts == 14
    log.heartbeat("run-1", NOON)
