"""The formats by name: one module each, all with the same `write(report, out) -> number of rows`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TextIO

from reconcile.reports import csv_format, json_format, jsonl_format, table
from reconcile.reports.model import Report

Writer = Callable[[Report, TextIO], int]


class Format(StrEnum):
    """How a report is written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"


#: A test holds every member of Format against this.
FORMATS: Mapping[Format, Writer] = {
    Format.TABLE: table.write,
    Format.CSV: csv_format.write,
    Format.JSON: json_format.write,
    Format.JSONL: jsonl_format.write,
}


def write_report(report: Report, form: Format, out: TextIO) -> int:
    """Write `report` to `out`; the number of rows. A report can be written once.

    Raises what the database raises while the rows are read, and what `out` raises.
    """
    return FORMATS[form](report, out)
