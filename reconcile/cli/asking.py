"""Asking a person before something is done."""

from __future__ import annotations

import sys

import click

from reconcile.cli.errors import say


def somebody_is_here() -> bool:
    """True where a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def confirmed(question: str, *, yes: bool) -> bool:
    """Ask where a person is there to answer; a script has answered by calling the command."""
    if yes or not somebody_is_here():
        return True
    if click.confirm(question, err=True):
        return True
    say("nothing was changed")
    return False


def yes_option(function: click.decorators.FC) -> click.decorators.FC:
    """--yes."""
    return click.option("--yes", is_flag=True, help="Do not ask on a terminal.")(function)
