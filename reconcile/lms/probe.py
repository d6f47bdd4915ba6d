"""Questions to the LMS that only `diagnose` asks: whose key, which roles, may it create, what is there.

Nothing is created: what may be created is asked by something that cannot exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from reconcile.base.errors import ReconcileError, TerminalError
from reconcile.lms import answers, pages
from reconcile.lms.errors import exc_type
from reconcile.lms.http.client import Http

#: No such learner, no such course: the domain is reserved for names that never exist (RFC 2606).
_NOBODY = {"member": "reconcile-diagnose@nobody.invalid", "course": "reconcile-diagnose-no-such-course"}
_FORBIDDEN = (401, 403)


class Present(StrEnum):
    """Whether something is there, as far as can be told."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class FrappeProbe:
    """One Frappe site, asked by hand. Raises TransientError and TerminalError kinds."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def roles(self) -> list[str] | None:
        """The roles of the key's user; None where the LMS does not tell. Not measured on a real one."""
        answer = self._http.read("roles", "GET", "/api/method/frappe.core.doctype.user.user.get_roles")
        said = answer.json.get("message") if isinstance(answer.json, dict) else None
        if (
            answer.status != 200
            or not isinstance(said, list)
            or not all(isinstance(role, str) for role in said)
        ):
            return None
        return sorted(said)

    def versions(self) -> dict[str, str]:
        """The versions of the installed apps; empty where the LMS does not tell. Not measured either."""
        answer = self._http.read("versions", "GET", "/api/method/frappe.utils.change_log.get_versions")
        said = answer.json.get("message") if isinstance(answer.json, dict) else None
        if answer.status != 200 or not isinstance(said, dict):
            return {}
        return {
            str(app): str(facts["version"])
            for app, facts in said.items()
            if isinstance(facts, dict) and "version" in facts
        }

    def may_create(self) -> Present:
        """Whether the key may create LMS enrollments, asked with a learner who cannot exist.

        A key that may is answered that the learner is missing (LinkValidationError); one that may not,
        403 (FRAPPE 5.1). Creates nothing.
        """
        answer = self._http.read(
            "may create", "POST", "/api/resource/LMS%20Enrollment", body=_NOBODY, retries=0
        )
        if answer.status in _FORBIDDEN:
            return Present.NO
        return Present.YES if exc_type(answer) == "LinkValidationError" else Present.UNKNOWN

    def has_confirm_payment(self) -> Present:
        """Whether the vendor's method is there: GET on it is 403 where it is, 417 where it is not (5.3)."""
        path = f"/api/method/{answers.CONFIRM_METHOD}"
        try:
            status = self._http.read("confirm_payment is there", "GET", path).status
        except TerminalError:
            return Present.UNKNOWN
        return {403: Present.YES, 417: Present.NO}.get(status, Present.UNKNOWN)

    def courses(self) -> Mapping[str, bool] | None:
        """Every course as the LMS spells it, and whether it is published; None where the key may not look."""
        query = {"doctype": pages.COURSE, "fields": ["name", "published"], "limit_page_length": 0}
        answer = self._http.read("list courses", "POST", "/api/method/frappe.client.get_list", body=query)
        if answer.status in (403, 417):
            return None
        try:
            rows = answers.rows(answer, "list courses", texts=("name",), flag="published")
        except ReconcileError:
            return None
        return {row["name"]: bool(row["published"]) for row in rows}
