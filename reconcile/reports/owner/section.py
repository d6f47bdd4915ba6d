"""What a section of the owner's report is made of, whatever it is rendered as. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from reconcile.reports.model import Cell, Column, Row


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
