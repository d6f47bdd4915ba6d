"""JSON lines: one object per row and nothing else."""

from __future__ import annotations

from typing import TextIO

from reconcile.reports.formats.cells import as_json
from reconcile.reports.views import Report


def write(report: Report, out: TextIO) -> int:
    """Write the rows; their number."""
    count = 0
    for row in report.rows:
        out.write(as_json(row) + "\n")
        count += 1
    return count
