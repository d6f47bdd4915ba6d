"""`reconcile sandbox`: the embedded servers, kept running."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from reconcile.base.errors import ConfigurationError
from reconcile.cli.context import draining
from reconcile.cli.errors import say

if TYPE_CHECKING:
    from reconcile.sandbox.servers import Sandbox

_EPILOG = """\b
Examples:
  reconcile sandbox                    prints export lines, then runs until Ctrl-C
  reconcile sandbox --empty            the servers without the shop's data

In another terminal, paste the export lines, then: reconcile plan
"""


@click.command("sandbox", epilog=_EPILOG)
@click.option("--empty", is_flag=True, help="Without the shop's data.")
@click.option(
    "--mongo-port", type=click.IntRange(0, 65535), default=0, metavar="PORT", help="0: any free one."
)
@click.option("--lms-port", type=click.IntRange(0, 65535), default=0, metavar="PORT", help="0: any free one.")
def command(*, empty: bool, mongo_port: int, lms_port: int) -> int:
    """Run an embedded MongoDB and a Frappe LMS stand-in with a shop's data, until Ctrl-C.

    Everything is local and temporary; when it ends, all data is gone. Needs the extra `demo`.
    """
    with draining() as stop, embedded(seeded=not empty, mongo_port=mongo_port, lms_port=lms_port) as sandbox:
        click.echo(sandbox.exports())
        if sandbox.shop is not None:
            orders = len(sandbox.shop.enrollments)
            say(f"reconcile: {orders} orders; paste the lines above in another terminal")
        stop.wait()
    return 0


@contextmanager
def embedded(*, seeded: bool = True, mongo_port: int = 0, lms_port: int = 0) -> Iterator[Sandbox]:
    """The embedded servers while the block lasts. Raises ConfigurationError where they cannot run here."""
    from reconcile.sandbox.mongo.server import SandboxUnavailable
    from reconcile.sandbox.servers import running

    try:
        with running(seeded=seeded, mongo_port=mongo_port, lms_port=lms_port) as sandbox:
            yield sandbox
    except SandboxUnavailable as error:
        raise ConfigurationError([str(error)]) from error
