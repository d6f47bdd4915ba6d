"""A report of a hundred thousand attempts needs no more memory than one of a thousand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.fakes.audit_file import new_audit
from tests.fakes.audit_samples import HERE, summary

ROWS = 100_000
ROOT = Path(__file__).resolve().parents[3]
# Fifty thousand enrollments with two attempts each; what the audit log writes, by the database itself.
FILL = """
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :rows)
INSERT INTO attempts (run_id, enrollment_id, payment_id, email_masked, course, number, action, started_at,
                      finished_at, outcome, flags, counted, amount_e4, currency, paid_at, error)
SELECT 'run-1', 'order-' || (n % (:rows / 2)), 'cs_' || n, 's***@example.com', 'clinical-ai', 1, 'enroll',
       '2026-11-24 12:00:00.000000', '2026-11-24 12:00:01.500000', 'enrolled', '', 1, 1990000, 'usd',
       '2026-11-24 11:00:00.000000', 'what the LMS said about number ' || n
FROM numbers
"""


# Run apart, where nothing else has used memory before: prints how much the peak grew, in KiB.
REPORT = """
import io, re, sys
from pathlib import Path
from reconcile.audit.log import open_audit
from reconcile.reports.formats import Format, write_report
from reconcile.reports.model import ReportFilter, View
from reconcile.reports.views import build_report
from tests.fakes.audit_samples import NOON

class Sink(io.RawIOBase):
    def writable(self):
        return True

    def write(self, piece):
        return len(piece)

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

REPORTS = [("attempts", "csv"), ("enrollments", "json"), ("summary", "jsonl"), ("attempts", "xlsx"),
           ("enrollments", "html"), ("summary", "html")]

def write(course):
    for view, form in REPORTS:
        with log.reading() as connection:
            chosen = ReportFilter(course=course)
            report = build_report(connection, View(view), generated_at=NOON, chosen=chosen)
            print(write_report(report, Format(form), Sink()))

with open_audit(sys.argv[1], create=False) as log:
    write("no-such-course")
    before = peak()
    write("clinical-ai")
    print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux to tell the memory used")
def test_memory_is_constant(tmp_path: Path) -> None:
    with new_audit(tmp_path) as log:
        log.open_run(summary(), HERE)
        with log.store.writing() as connection:
            connection.execute(text(FILL), {"rows": ROWS})

    command = [sys.executable, "-W", "error", "-c", REPORT, f"sqlite:///{tmp_path}/audit.db"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)

    assert result.returncode == 0, result.stderr
    *counts, grown = map(int, result.stdout.split())
    assert counts == [0, 0, 0, 0, 0, 0, ROWS, ROWS // 2, 2, ROWS, ROWS // 2, 2]
    assert grown < 16 * 1024, "the rows alone would be ten times that"
