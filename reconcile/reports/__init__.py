"""What the audit database says, for people and machines. Reads only, and knows no adapter."""

from __future__ import annotations

from reconcile.reports.formats import FORMATS, Format, write_report
from reconcile.reports.model import Report, ReportFilter, View
from reconcile.reports.views import COLUMNS, build_report

__all__ = [
    "COLUMNS",
    "FORMATS",
    "Format",
    "Report",
    "ReportFilter",
    "View",
    "build_report",
    "write_report",
]
