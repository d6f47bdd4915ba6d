"""What a dry run would mail, on stdout."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconcile.base.redaction import mask_emails_in

if TYPE_CHECKING:
    from reconcile.mail.ports import Mail
    from reconcile.mail.preview import Preview


def print_mail(preview: Preview) -> None:
    """Print how many mails there would be, and the first of them in full, its addresses masked."""
    learners = "1 learner" if preview.new == 1 else f"{preview.new} learners"
    also = f"; {preview.waiting} more mails wait in the outbox" if preview.waiting else ""
    click.echo(f"\nMail: {learners} would be mailed{also}.")
    if preview.problem is not None:
        click.echo(f"The first mail cannot be written: {preview.problem}")
    if preview.first is not None:
        click.echo("The first one:\n")
        click.echo(mask_emails_in(_in_full(preview.first)))


def _in_full(mail: Mail) -> str:
    parts = [f"To: {mail.to}\nSubject: {mail.subject}", mail.text.strip()]
    if mail.html is not None:
        parts += ["--- HTML ---", mail.html.strip()]
    return "\n\n".join(parts)
