"""Where an export comes from: the same facts in the head, the foot or the file beside it, in every format."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from reconcile.reports.formats.cells import as_json
from reconcile.reports.model import Cell, Row
from reconcile.reports.views import Report


def provenance(report: Report, row_count: int | None = None) -> dict[str, Cell | Row]:
    """What a report was made of, when, and by what; `row_count` where it is known already.

    The period is that of the attempts (in `runs`: of the runs): from `since`, None for the beginning of
    the audit, to `until`, exclusive, or else to when the report was made.
    """
    facts: dict[str, Cell | Row] = {
        "view": report.view.value,
        "generated_at": report.generated_at,
        "version": report.version,
        "period": {"since": report.filters.get("since"), "until": _until(report)},
        "filters": report.filters,
        "emails": "in full" if report.with_emails else "masked",
    }
    if row_count is not None:
        facts["row_count"] = row_count
    return facts


def as_plain(report: Report, row_count: int) -> dict[str, object]:
    """The same as JSON knows it, for a file beside the export."""
    plain: dict[str, object] = json.loads(as_json(provenance(report, row_count)))
    return plain


def told(report: Report, row_count: int) -> list[tuple[str, Cell]]:
    """The same for people: label and value, the filters one by one."""
    since = report.filters.get("since")
    filters = {name: cell for name, cell in report.filters.items() if name not in ("since", "until")}
    return [
        ("report", f"reconcile report --view {report.view.value}"),
        ("period from", since if since is not None else "the beginning of the audit"),
        ("period until", _until(report)),
        *(filters.items() or [("filters", "none")]),
        ("e-mail addresses", "in full" if report.with_emails else "masked"),
        ("generated at", report.generated_at.astimezone(UTC)),
        ("reconcile version", report.version),
        ("row count", row_count),
    ]


def _until(report: Report) -> datetime:
    until = report.filters.get("until")
    return until if isinstance(until, datetime) else report.generated_at
