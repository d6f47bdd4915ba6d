"""From an order to its mail: to whom, about which course, under which name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from reconcile.mail.ports import Mail
from reconcile.templates.mail import Facts, MailTemplates

#: A title is for a subject and a sentence.
_LONGEST_TITLE = 150


class Composer:
    """Makes the mails of one shop."""

    def __init__(
        self,
        *,
        templates: MailTemplates,
        lms_url: str,
        course_address: Callable[[str], str],
        domain: str,
    ) -> None:
        """`course_address` makes a link of a slug; `domain` is the sender's, for the Message-ID."""
        self._templates = templates
        self._lms_url = lms_url
        self._course_address = course_address
        self._domain = domain

    def compose(
        self,
        *,
        enrollment_id: str,
        payment_id: str | None,
        course: str,
        title: str | None,
        email: str,
        account: str | None,
        message_name: str,
        at: datetime,
    ) -> Mail:
        """The mail to the buyer. Pure: the same facts make the same mail. Raises TemplateProblem.

        It goes to the address that the shop itself mails: the order's, not the LMS account's.
        """
        words = self._templates.render(
            Facts(
                course=course,
                course_title=_one_line(title) or course,
                course_url=self._course_address(course),
                lms_url=self._lms_url,
                enrollment_id=enrollment_id,
                payment_id=payment_id,
                account=account,
            )
        )
        return Mail(
            to=email,
            message_id=f"{message_name}@{self._domain}",
            at=at,
            subject=words.subject,
            text=words.text,
            html=words.html,
        )


def _one_line(title: str | None) -> str:
    """A title as one short line: whatever the LMS holds, it cannot begin a header of its own."""
    return " ".join("".join(x if x.isprintable() else " " for x in title or "").split())[:_LONGEST_TITLE]
