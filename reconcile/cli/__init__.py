"""The command line: parse, call, render, exit. One small module per command, imported when it is used.

stdout is the product, stderr the commentary, the exit code the verdict.
"""

from __future__ import annotations

import sys
from importlib import import_module

import click

from reconcile import __version__

#: Command -> (module, one line of help). The lines stand here so that `--help` imports no command.
COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("run", "Give paid learners their access: one reconciliation, applied."),
    "plan": ("plan", "Show what `run` would do and why; write nothing."),
    "status": ("status", "Show the backlog, who waits longest, and the last runs."),
    "report": ("report", "Export the audit: tables, CSV, JSON."),
    "diagnose": ("diagnose", "Would a run succeed? If not, what to do first."),
    "explain": ("explain", "The whole story of one order: what happened, what is next, what to do."),
    "retry": ("retry", "Try orders again now, whatever the backoff or the visits used."),
    "ignore": ("ignore", "Leave an order alone for a while: a refund, a learner who left."),
    "drift": ("drift", "Compare both sides the other way round: gone, never paid, enrolled twice."),
    "mail": ("mail", "Show the mail to learners that was not sent, or send it again."),
    "db": ("db", "Look after the audit database."),
    "init": ("init", "Prepare the audit database and MongoDB's indexes."),
    "schedule": ("schedule", "The background process: jobs at their times."),
    "demo": ("demo", "A tour on embedded servers that ends by itself."),
    "sandbox": ("sandbox", "Keep the embedded servers running, to try things out."),
}

_EPILOG = """\b
Begin here:
  reconcile demo            see it work, on embedded servers
  reconcile init            prepare your audit database and MongoDB
  reconcile plan            what would be done
  reconcile run             do it

Settings come from the environment or from .env; see `reconcile run --help` and the README.
"""


class LazyGroup(click.Group):
    """A group whose commands are imported only when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """In the order of COMMANDS: what one meets first stands first."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return the command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"reconcile.cli.{COMMANDS[cmd_name][0]}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.command(
    cls=LazyGroup,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="reconcile")
def cli() -> None:
    """Find learners who paid and have no course access, and give it to them."""


def main() -> None:
    """The console script. Never shows a traceback; exits with the codes of `reconcile run --help`."""
    from reconcile.cli.errors import exit_code_of

    try:
        code = cli.main(standalone_mode=False)
    except BaseException as error:  # noqa: BLE001  every way out gets its exit code here
        sys.exit(exit_code_of(error))
    sys.exit(code if isinstance(code, int) else 0)
