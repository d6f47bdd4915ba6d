"""`reconcile db verify`: was the audit changed by anything but reconcile?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from reconcile.base.errors import AuditUnavailable
from reconcile.cli.context import opened_audit
from reconcile.cli.params import json_option
from reconcile.cli.terminal import counting
from reconcile.run.summary import ExitCode

if TYPE_CHECKING:
    from reconcile.audit.chain.digests import Seal
    from reconcile.audit.chain.findings import Verification

_EPILOG = """\b
Examples:
  reconcile db verify
  reconcile db verify --json | jq .findings
  reconcile db verify --expect-seal 412:9f3c…   (64 hex digits, from an older log line)

Exit codes: 0 intact, 1 tampered, 4 it cannot be read. Every run's log line "Run completed" names
the newest seal; one that was kept where the audit cannot be written proves the most.
"""


class SealParam(click.ParamType["Seal"]):
    """`NUMBER:HEX`."""

    name = "seal"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Seal:
        """A seal."""
        from reconcile.audit.chain.digests import Seal

        try:
            return Seal.parse(str(value))
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)


@click.command("verify", epilog=_EPILOG)
@click.option(
    "--expect-seal",
    "expected",
    type=SealParam(),
    metavar="N:HEX",
    help="A seal that was kept elsewhere: the audit must still have it.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    metavar="N",
    help="Name N findings; the rest is counted.",
)
@json_option
def command(*, expected: Seal | None, limit: int, as_json: bool) -> int:
    """Find every row that was changed, removed, inserted or reordered by hand, and name it.

    Reads only; runs may go on meanwhile.
    """
    try:
        result = _verify(expected, limit)
    except AuditUnavailable as error:
        if as_json:
            code = int(ExitCode.ABORTED)
            click.echo(json.dumps({"status": "unreadable", "error": str(error), "exit_code": code}))
        raise
    code = ExitCode.CONVERGED if result.is_intact else ExitCode.ATTENTION
    if as_json:
        click.echo(json.dumps({**result.as_json(), "exit_code": int(code)}))
    else:
        _print(result, expected=expected)
    return code


def _verify(expected: Seal | None, limit: int) -> Verification:
    with opened_audit(writing=False) as (store, secret), counting("verifying", total=7) as watch:
        from reconcile.audit.chain.verify import verify

        parts = iter(range(7))
        return verify(
            store,
            secret=secret,
            expected=expected,
            limit=limit,
            watch=lambda part: watch(part, next(parts)),
        )


def _print(result: Verification, *, expected: Seal | None) -> None:
    state = "intact" if result.is_intact else f"tampered with: {result.total} findings"
    click.echo(f"The audit is {state}")
    for finding in result.findings:
        click.echo(f"  {finding.table:<8} {finding.what.value:<8} {finding.text}")
    if result.total > len(result.findings):
        click.echo(f"  … and {result.total - len(result.findings)} more (--limit N shows more)")
    running = f" ({result.running} under way, not sealed yet)" if result.running else ""
    click.echo(
        f"{result.runs} runs{running}, {result.attempts} attempts, {result.links} links, {result.seals} seals"
    )
    if result.pruned_runs or result.forgotten or result.resealed:
        click.echo(
            f"by reconcile itself: {result.pruned_runs} runs pruned, {result.forgotten} times a person"
            f" forgotten ({result.redacted} texts redacted), {result.resealed} runs sealed once more"
        )
    if expected is not None and result.is_intact:
        since = result.since
        click.echo(
            f"seal {expected.number} is the one that was expected; since then: {since['pruned']} prunings,"
            f" {since['forgotten']} forgettings, {since['resealed']} runs sealed once more"
        )
    click.echo(f"newest seal {result.newest_seal}")
    if not result.is_intact:
        click.echo("Next: compare with a backup; docs/operations.md, section 'The audit can be proven'")
