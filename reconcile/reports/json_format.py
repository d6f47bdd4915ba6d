"""One JSON object, written while the rows are read: what was asked for, the rows, and their number."""

from __future__ import annotations

import json
from typing import TextIO

from reconcile.reports.cells import as_json
from reconcile.reports.model import Report

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=as_json).encode


def write(report: Report, out: TextIO) -> int:
    """Write the object; the number of rows. The number comes last: before the rows nobody knows it."""
    head = {"view": report.view, "generated_at": report.generated_at, "filters": report.filters}
    out.write(_encode(head)[:-1] + ', "rows": [')
    count = 0
    for row in report.rows:
        out.write((",\n" if count else "\n") + _encode(row))
        count += 1
    out.write(f'\n], "row_count": {count}}}\n')
    return count
