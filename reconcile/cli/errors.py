"""How a command ends when something went wrong: one clear message, the remedy, the exit code."""

from __future__ import annotations

import os
import sys
import traceback

import click

from reconcile.base.errors import (
    AuditUnavailable,
    ConfigurationError,
    ProtocolViolation,
    ReconcileError,
    StoreUnavailable,
    TerminalError,
    TooManyEnrolls,
    TransientError,
)
from reconcile.base.redaction import redact
from reconcile.run.summary import ExitCode, RunStatus

_CODES: tuple[tuple[type[ReconcileError], ExitCode], ...] = (
    (ConfigurationError, ExitCode.USAGE),
    (TerminalError, ExitCode.USAGE),
    (TransientError, ExitCode.TEMPORARY),
    (StoreUnavailable, ExitCode.TEMPORARY),
    (AuditUnavailable, ExitCode.ABORTED),
    (TooManyEnrolls, ExitCode.ATTENTION),
)

#: Set to 1 to see the traceback of a bug (never of an expected error).
DEBUG = "RECONCILE_DEBUG"


def explain(error: ReconcileError) -> str:
    """The message and the remedy, for people; every problem of a configuration on its own line."""
    if isinstance(error, ConfigurationError) and len(error.problems) > 1:
        what = "the configuration has problems:\n" + "\n".join(f"  - {problem}" for problem in error.problems)
    else:
        what = str(error)
    text = f"reconcile: {what}"
    if error.hint:
        text += f"\n  → {error.hint}"
    return redact(text)


def code_of(error: ReconcileError) -> int:
    """The exit code for an error that ends a command."""
    if isinstance(error, ProtocolViolation) and not error.ends_run:
        return ExitCode.TEMPORARY
    return next((code for kind, code in _CODES if isinstance(error, kind)), ExitCode.ABORTED)


def word_for(error: BaseException) -> str:
    """The word for what cut a command short, as its JSON says it."""
    from reconcile.run.abort import abort_reason

    return RunStatus.INTERRUPTED if isinstance(error, KeyboardInterrupt) else abort_reason(error)


def say(text: str) -> None:
    """A line of commentary on stderr."""
    click.echo(text, err=True)


def exit_code_of(error: BaseException) -> int:
    """Tell the user what happened; the exit code."""
    match error:
        case click.exceptions.Exit():
            return error.exit_code
        case click.ClickException():
            error.show()
            return ExitCode.USAGE
        case SystemExit():
            return error.code if isinstance(error.code, int) else int(bool(error.code))
        case click.Abort() | KeyboardInterrupt():
            say("reconcile: interrupted")
            return ExitCode.INTERRUPTED
        case BrokenPipeError():
            # The reader (`| head`) has seen enough; Python must not complain while it closes stdout.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return ExitCode.CONVERGED
        case ReconcileError():
            say(explain(error))
            return code_of(error)
    return _bug(error)


def _bug(error: BaseException) -> int:
    what = redact(f"{type(error).__name__}: {error}")
    say(f"reconcile: this is a bug, please report it: {what}\n  → {DEBUG}=1 shows where it happened.")
    if os.environ.get(DEBUG) == "1":
        say(redact("".join(traceback.format_exception(error))))
    return ExitCode.ABORTED
