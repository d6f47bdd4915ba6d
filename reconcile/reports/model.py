"""What a report is: columns, rows that stream, and what they were chosen by. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from reconcile import __version__
from reconcile.base.redaction import mask_email

if TYPE_CHECKING:
    from reconcile.reports.owner import Overview

Cell = str | int | float | Decimal | datetime | tuple[str, ...] | None
Row = Mapping[str, Cell]


class View(StrEnum):
    """What one row of the report stands for."""

    SUMMARY = "summary"  #: an outcome and its reason
    ATTEMPTS = "attempts"
    ENROLLMENTS = "enrollments"
    RUNS = "runs"


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column; `width` and `rank` matter to the table only: a narrow one drops the highest ranks."""

    name: str
    width: int
    rank: int = 0
    numeric: bool = False


@dataclass(frozen=True, kw_only=True)
class ReportFilter:
    """Which attempts a report looks at; the default is all of them.

    `since` is inclusive, `until` exclusive; both mean when an attempt (in `runs`: a run) began. In
    `enrollments` and `summary`, `outcome` and `reason` mean the latest verdict; in `runs`, any verdict
    of the run. Raises ValueError for an instant without a time zone.
    """

    since: datetime | None = None
    until: datetime | None = None
    course: str | None = None
    outcome: str | None = None
    reason: str | None = None
    run: str | None = None
    email: str | None = None

    def __post_init__(self) -> None:
        for instant in (self.since, self.until):
            if instant is not None and instant.tzinfo is None:
                raise ValueError(f"an instant without a time zone: {instant.isoformat()}")

    def as_row(self, *, with_emails: bool = False) -> Row:
        """The conditions that are set, for the report's head; the address masked unless it may be shown."""
        shown: dict[str, Cell] = {}
        for field in fields(self):
            value: str | datetime | None = getattr(self, field.name)
            if isinstance(value, datetime):
                value = value.astimezone(UTC)
            elif field.name == "email" and value and not with_emails:
                value = mask_email(value)
            if value is not None:
                shown[field.name] = value
        return shown


@dataclass(frozen=True, kw_only=True)
class Report:
    """A report to be written once: `rows` is read from the database while it is written."""

    view: View
    columns: Sequence[Column]
    rows: Iterator[Row]
    filters: Row
    generated_at: datetime
    version: str = __version__
    with_emails: bool = False
    overview: Overview | None = None  #: of the view `summary`: what the owner asks, beside the rows
