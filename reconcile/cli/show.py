"""How commands show things: tables, the one object of `--json`, addresses."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, overload

import click

from reconcile.base.errors import ReconcileError
from reconcile.base.redaction import escape_controls, mask_email
from reconcile.cli.errors import word_for

#: Rows that are printed at once: a backlog of any size needs no more memory than these.
_PORTION = 100
#: Nothing is wrapped or cut, whatever the terminal: an id that breaks is one that grep does not find.
_WIDE = 1_000_000


@overload
def address(text: str, *, with_emails: bool) -> str: ...
@overload
def address(text: str | None, *, with_emails: bool) -> str | None: ...
def address(text: str | None, *, with_emails: bool) -> str | None:
    """An e-mail address as `--with-emails` has it: in full, or masked."""
    return text if with_emails or text is None else mask_email(text)


def iso(instant: datetime | None) -> str | None:
    """An instant as JSON has it."""
    return instant.isoformat() if instant is not None else None


def print_rows(rows: Iterable[Sequence[str]], columns: Mapping[str, int], *, header: bool = True) -> None:
    """Print rows as they come, in columns of at least these widths; nothing where there are none."""
    portion: list[Sequence[str]] = []
    try:
        for row in rows:
            portion.append(row)
            if len(portion) == _PORTION:
                # Taken out first: what breaks off the printing must not print it again.
                full, portion = portion, []
                _print_table(full, columns, header=header)
                header = False
    finally:
        # Also what was found before a look broke off.
        if portion:
            _print_table(portion, columns, header=header)


def _print_table(rows: Iterable[Sequence[str]], columns: Mapping[str, int], *, header: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=header, header_style="")
    for name, width in columns.items():
        table.add_column(name, min_width=width, no_wrap=True)
    for row in rows:
        # Text, not str: brackets in a cell are no markup. What a document says makes no second line.
        table.add_row(*(Text(escape_controls(cell)) for cell in row))
    console = Console(highlight=False, width=_WIDE)
    with console.capture() as printed:
        console.print(table)
    for line in printed.get().splitlines():
        click.echo(line.rstrip())


def print_json_stream(
    name: str, rows: Iterable[Mapping[str, Any]], tail: Callable[[], Mapping[str, Any]]
) -> None:
    """One object, written as it comes: the rows under `name`, and behind them what `tail` says at the end.

    It is whole also when the look breaks off, or cannot begin; then it has an `error`, and the exit
    code says more.
    """
    error: dict[str, Any] = {}
    click.echo(f'{{"{name}": [', nl=False)
    try:
        for number, row in enumerate(rows):
            click.echo((", " if number else "") + json.dumps(row), nl=False)
    except BaseException as cause:
        error["error"] = word_for(cause)
        raise
    finally:
        click.echo(f"], {json.dumps({**tail(), **error})[1:]}")


@contextmanager
def summary_in_json(as_json: bool, *, mode: str) -> Iterator[None]:  # noqa: FBT001  a command's own flag
    """Print the one object of `--json` also where the run in the block could not even begin."""
    try:
        yield
    except Exception as error:
        if as_json:
            from reconcile.run.abort import never_begun

            known = error if isinstance(error, ReconcileError) else ReconcileError("a bug")
            never = never_begun(known, mode=mode, at=datetime.now(UTC))
            click.echo(json.dumps(never.summary.as_json()))
        raise
