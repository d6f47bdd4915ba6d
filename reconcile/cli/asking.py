"""Asking a person before something is done, and saying who it was."""

from __future__ import annotations

import getpass
import os
import socket
import sys

import click


def confirmed(question: str, *, yes: bool) -> bool:
    """Whether to go on: `--yes` was given, or a person at the terminal says so.

    Raises UsageError where nobody is there to ask.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Nobody is here to answer; --yes says yes.")
    return click.confirm(question, err=True)


def asker() -> str:
    """Who asks, for the audit: account and host; with sudo, the account behind it. Never raises."""
    try:
        account = getpass.getuser()
    except (KeyError, OSError):  # no entry for this uid, as in many containers
        account = f"uid {os.getuid()}"
    behind = os.environ.get("SUDO_USER")
    name = f"{behind} as {account}" if behind and behind != account else account
    return f"{name}@{socket.gethostname()}"
