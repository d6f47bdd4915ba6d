"""`reconcile mail`: the mail to learners that was not sent, and another try for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from reconcile.cli.context import load_settings
from reconcile.cli.errors import say
from reconcile.cli.params import json_option
from reconcile.cli.show import address, iso
from reconcile.domain.mail_status import MailStatus
from reconcile.run.summary import ExitCode
from reconcile.story.words import counted

if TYPE_CHECKING:
    from reconcile.audit.log import SqlAuditLog
    from reconcile.mail.outbox import Stored

_EPILOG = """\b
Examples:
  reconcile mail                                   what is pending, bounced, failed or unknown
  reconcile mail --json | jq .counts
  reconcile mail --again 6b00463638b4e652f2134faa  one more try, with the next run

A mail that bounced, failed or is unknown is never sent again by itself: see docs/operations.md.
"""


@click.command("mail", epilog=_EPILOG)
@click.option("--again", multiple=True, metavar="ID", help="Send this order's mail once more; repeatable.")
@json_option
def command(*, again: tuple[str, ...], as_json: bool) -> int:
    """Show the mail to learners that was not sent. Sends nothing itself: the next run does.

    With --again a mail that bounced, failed or is unknown becomes pending once more.
    """
    from reconcile.audit.log import open_audit

    url = load_settings(require=("audit",)).audit_url.get_secret_value()
    # Looking makes nothing; who asks for another try means an audit that is there.
    audit = open_audit(url, create=False)
    if audit is not None and again:
        audit.close()
        audit = open_audit(url)
    if audit is None:
        _show({}, [], as_json=as_json)
        return _refused(again)
    with audit:
        return _look(audit, again, as_json=as_json)


def _look(audit: SqlAuditLog, again: tuple[str, ...], *, as_json: bool) -> int:
    from reconcile.mail.outbox import SqlOutbox

    outbox = SqlOutbox(audit.store)
    taken = outbox.send_again(again, at=datetime.now(UTC)) if again else ()
    counts = outbox.counts()
    _show({status.value: counts.get(status, 0) for status in MailStatus}, outbox.unsent(), as_json=as_json)
    return _refused([name for name in again if name not in taken])


def _refused(names: Sequence[str]) -> int:
    for name in names:
        say(f"reconcile: {name} has no mail that bounced, failed or is unknown\n  → look: `reconcile mail`")
    return int(ExitCode.ATTENTION if names else ExitCode.CONVERGED)


def _show(counts: dict[str, int], mails: Sequence[Stored], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"counts": counts, "mails": [_row(mail) for mail in mails]}))
        return
    for mail in mails:
        row = _row(mail)
        when = f"next try {row['next_try_at'][:16].replace('T', ' ')} UTC" if row["next_try_at"] else ""
        words = [row["status"], row["enrollment_id"], row["email"] or "-", row["course"], when]
        click.echo("  ".join(word for word in (*words, row["error"] or "") if word))
    click.echo(f"mail: {counted(counts) or 'none yet'}")


def _row(mail: Stored) -> dict[str, Any]:
    return {
        "enrollment_id": mail.enrollment_id,
        "status": mail.status,
        "email": address(mail.email, with_emails=False),
        "course": mail.course,
        "tries": mail.tries,
        "created_at": mail.created_at.isoformat(),
        "changed_at": mail.changed_at.isoformat(),
        "next_try_at": iso(mail.next_try_at),
        "smtp_code": mail.smtp_code,
        "error": mail.error,
    }
