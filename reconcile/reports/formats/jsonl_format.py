"""JSON lines: one object per row and nothing else."""

from __future__ import annotations

import json
from typing import TextIO

from reconcile.reports.formats.cells import as_json
from reconcile.reports.views import Report

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=as_json).encode


def write(report: Report, out: TextIO) -> int:
    """Write the rows; their number."""
    count = 0
    for row in report.rows:
        out.write(_encode(row) + "\n")
        count += 1
    return count
