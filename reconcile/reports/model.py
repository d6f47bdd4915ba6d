"""What a report is made of: columns and rows, what they were chosen by, and the owner's sections. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum

from reconcile.base.redaction import mask_email

Cell = str | int | float | Decimal | datetime | tuple[str, ...] | None
Row = Mapping[str, Cell]


def tidy(value: Decimal) -> int | Decimal:
    """The same number: an int where it is whole, else without idle zeros."""
    whole = value.to_integral_value()
    return int(whole) if value == whole else value.normalize()


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


class Unit(StrEnum):
    """How a figure is to be read."""

    COUNT = "count"
    SECONDS = "seconds"
    MONEY = "money"
    INSTANT = "instant"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number worth large letters; None where there is nothing to count."""

    name: str  #: unique in its section
    label: str
    value: Cell
    unit: Unit = Unit.COUNT
    currency: str | None = None  #: of MONEY


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows worth a table: few, the most important first; `left_out` more were found."""

    name: str  #: unique in the report: the name of a sheet, a key in JSON
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    left_out: int = 0
    command: str = ""  #: where all of them are
    folded: bool = False  #: the numbers of a chart: there for who asks


@dataclass(frozen=True, kw_only=True)
class Bars:
    """One bar for each label, stacked of the series in their order."""

    title: str
    words: str  #: what it shows, for those who do not see it and those who do
    labels: Sequence[str]
    series: Mapping[str, Sequence[int]]
    lying: bool = False  #: for long labels


@dataclass(frozen=True, kw_only=True)
class TimeLine:
    """Points in lanes, and spans of time in the lowest lane."""

    title: str
    words: str
    lanes: Mapping[str, Sequence[datetime]]
    spans: Sequence[tuple[datetime, datetime]]
    spans_are: str
    start: datetime
    end: datetime


Chart = Bars | TimeLine


@dataclass(frozen=True, kw_only=True)
class Section:
    """One question of the owner's, answered."""

    name: str  #: unique in the report, a slug
    title: str
    words: Sequence[str]
    figures: Sequence[Figure] = ()
    chart: Chart | None = None
    tables: Sequence[Table] = ()
