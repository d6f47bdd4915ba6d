"""A request as Frappe reads it: its path and its arguments. FRAPPE 1 and 5."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from reconcile.sandbox.lms.answers import invalid, python_error

CONFIRM = "lms.lms.payment_confirmation.confirm_payment"
USER_EXISTS = "lms.lms.doctype.lms_enrollment.lms_enrollment.check_user_exists"
#: Methods that refuse GET, because they write.
POST_ONLY = (CONFIRM, "frappe.client.insert", "frappe.client.insert_many")


@dataclass
class Request:
    """One request, as the server read it. Header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def __post_init__(self) -> None:
        parts = urlsplit(self.target)
        self.query = parts.query
        #: A "+" in a path stays one: `LMS+Enrollment` is no doctype (FRAPPE 1).
        self.segments = [unquote(part) for part in parts.path.split("/") if part]
        self.version = "v2" if self.segments[:2] == ["api", "v2"] else "v1"
        if self.segments[1:2] in (["v1"], ["v2"]):
            del self.segments[1]
        self._args: dict[str, Any] | None = None

    def args(self) -> dict[str, Any]:
        """Query and body together, the body's values winning; raises Refusal for a body that is no JSON."""
        if self._args is None:
            found: dict[str, Any] = dict(parse_qsl(self.query, keep_blank_values=True))
            found |= self._sent()
            self._args = found
        return self._args

    def _sent(self) -> dict[str, Any]:
        if not self.body.strip():
            return {}
        if "x-www-form-urlencoded" in self.headers.get("content-type", ""):
            return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))
        try:
            sent = json.loads(self.body)
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise python_error("JSONDecodeError", str(error), module="json.decoder.") from error
        if not isinstance(sent, dict):
            raise invalid("Invalid request arguments")
        return sent


def is_write(request: Request) -> bool:
    """Whether the request would change something."""
    if request.segments[1:2] == ["method"]:
        return request.segments[2:3] in [[name] for name in POST_ONLY]
    return request.method not in ("GET", "HEAD")
