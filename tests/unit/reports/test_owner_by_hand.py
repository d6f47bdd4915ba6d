"""The owner's report says what people asked for by hand, and what is left alone at present."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from reconcile.audit.log import SqlAuditLog
from reconcile.domain.interventions import Intervention, InterventionKind
from reconcile.reports.model import ReportFilter, Section
from reconcile.reports.owner.overview import Overview
from tests.fakes.audit_file import new_audit
from tests.fakes.audit_samples import HERE, NOON, record, summary

DAY = timedelta(days=1)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqlAuditLog]:
    with new_audit(tmp_path) as log:
        log.open_run(summary(), HERE)
        log.record([record(id="order-1")])
        yield log


def asked(log: SqlAuditLog, kind: InterventionKind, name: str, until: datetime | None = None) -> None:
    said = Intervention(
        kind=kind,
        who="kim@desk",
        at=NOON,
        enrollment_id=name,
        until=until,
        because="refund" if until else None,
    )
    log.intervene(said)


def section(log: SqlAuditLog) -> Section:
    with log.reading() as connection:
        overview = Overview(connection, ReportFilter(), generated_at=NOON + DAY)
        return next(one for one in overview.sections() if one.name == "by_hand")


def test_nothing_was_asked_for(log: SqlAuditLog) -> None:
    found = section(log)

    assert found.words == ["Nothing was asked for by hand."]
    assert found.figures[0].value == 0
    assert list(found.tables) == []


def test_what_is_left_alone_is_listed_until_its_time_or_a_word_to_the_contrary(log: SqlAuditLog) -> None:
    asked(log, InterventionKind.IGNORE, "order-1", NOON + 9 * DAY)
    asked(log, InterventionKind.IGNORE, "over", NOON + DAY)
    asked(log, InterventionKind.IGNORE, "taken back", NOON + 9 * DAY)
    asked(log, InterventionKind.UNIGNORE, "taken back")
    asked(log, InterventionKind.RETRY, "order-2")

    found = section(log)

    assert "3 x ignore, 1 x retry, 1 x unignore" in found.words[0]
    assert "Left alone at present: 1 order." in found.words[0]
    (row,) = found.tables[0].rows
    assert (row["enrollment_id"], row["because"], row["who"]) == ("order-1", "refund", "kim@desk")
    assert row["until"] == NOON + 9 * DAY
    assert row["course"]
