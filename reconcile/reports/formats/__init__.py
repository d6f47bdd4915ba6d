"""The formats by name: one module each, all with the same `write(report, out) -> number of rows`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from importlib import import_module
from importlib.util import find_spec
from typing import IO, Any

from reconcile.base.errors import ConfigurationError
from reconcile.reports.views import Report

Writer = Callable[[Report, Any], int]


class Format(StrEnum):
    """How a report is written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"
    HTML = "html"
    XLSX = "xlsx"

    @property
    def is_binary(self) -> bool:
        """True where it is written to a stream of bytes, False where to one of text."""
        return self is Format.XLSX

    @property
    def tells_provenance(self) -> bool:
        """True where the export itself says where it comes from; the others are rows and nothing else."""
        return self in (Format.JSON, Format.HTML, Format.XLSX)


#: The module of each format, imported when it is used. A test holds every member of Format against this.
FORMATS: Mapping[Format, str] = {
    Format.TABLE: "reconcile.reports.formats.table_format",
    Format.CSV: "reconcile.reports.formats.csv_format",
    Format.JSON: "reconcile.reports.formats.json_format",
    Format.JSONL: "reconcile.reports.formats.jsonl_format",
    Format.HTML: "reconcile.reports.formats.html_format",
    Format.XLSX: "reconcile.reports.formats.xlsx_format",
}
#: What a format needs beside the product's own dependencies; the extra `report` brings it.
LIBRARIES: Mapping[Format, tuple[str, ...]] = {
    Format.HTML: ("jinja2", "pygal"),
    Format.XLSX: ("xlsxwriter",),
}


def require(form: Format) -> None:
    """Return if the format can be written here. Raises ConfigurationError that names what is missing."""
    missing = [name for name in LIBRARIES.get(form, ()) if find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            [f"the format {form.value} needs {' and '.join(missing)}: the extra `report` is not installed"],
            hint="pip install 'frappe-reconcile[report]' (in a checkout: pip install '.[report]')",
        )


def write_report(report: Report, form: Format, out: IO[Any]) -> int:
    """Write `report` to `out`; the number of rows. A report can be written once.

    `out` takes bytes where the format is binary, else text. Raises what the database raises while the
    rows are read, what `out` raises, and ConfigurationError where a library is missing.
    """
    require(form)
    write: Writer = import_module(FORMATS[form]).write
    return write(report, out)
