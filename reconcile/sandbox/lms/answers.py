"""How Frappe answers: the success and error envelopes, their texts, and the pages that are not JSON.

FRAPPE 1 and 8.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Headers = list[tuple[str, str]]
JSON, HTML = "application/json", "text/html; charset=utf-8"
TRACEBACK = (
    "Traceback (most recent call last):\n"
    '  File "apps/frappe/frappe/app.py", line 110, in application\n'
    "    response = frappe.api.handle(request)\n"
    "               ^^^^^^^^^^^^^^^^^^^^^^^^^^\n"
)
REASONS = {400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 413: "Request Entity Too Large"}

#: What Frappe says in the caller's language, as recorded (FRAPPE 8). `_()` leaves the rest in English.
TRANSLATIONS = {
    "de": {"Could not find {}": "{} konnte nicht gefunden werden", "Message": "Botschaft"},
    "fr": {"Could not find {}": "Impossible de trouver {}"},
}
#: Set with nearly every answer, whoever asked (FRAPPE 1): a client that keeps them gets nothing from it.
GUEST_COOKIES = [
    ("Set-Cookie", "sid=Guest; HttpOnly; Path=/; SameSite=Lax"),
    ("Set-Cookie", "system_user=no; Path=/; SameSite=Lax"),
    ("Set-Cookie", "full_name=Guest; Path=/; SameSite=Lax"),
    ("Set-Cookie", "user_id=Guest; Path=/; SameSite=Lax"),
    ("Set-Cookie", "user_image=; Path=/; SameSite=Lax"),
]


@dataclass
class Answer:
    """One HTTP answer."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: Headers = field(default_factory=list)
    #: Close the connection after it.
    close: bool = False


@dataclass
class Message:
    """One entry of `_server_messages`; `bare` leaves out what only raised ones carry."""

    text: str
    title: str = "Message"
    bare: bool = False

    def encoded(self) -> str:
        """As it stands in the list: JSON inside JSON."""
        said: dict[str, Any] = {"message": self.text, "title": self.title}
        if not self.bare:
            said |= {"indicator": "red", "raise_exception": 1, "__frappe_exc_id": secrets.token_hex(28)}
        return json.dumps(said)


class Refusal(Exception):
    """An exception inside Frappe, which becomes an error answer."""

    def __init__(
        self,
        status: int,
        exc_type: str,
        text: str = "",
        *,
        module: str = "frappe.exceptions.",
        messages: Iterable[Message] | None = None,
        source: str | None = None,
        error_message: str | None = None,
    ) -> None:
        """`messages` defaults to the text; an exception of Python's own has module "" and says nothing."""
        super().__init__(text)
        self.status = status
        self.exc_type = exc_type
        self.text = text
        self.module = module
        self.source = source
        self.error_message = error_message
        if messages is None:
            messages = [Message(text)] if text and module == "frappe.exceptions." else []
        self.messages = list(messages)

    def answer(self, *, traceback: bool, version: str = "v1") -> Answer:
        """The error as JSON; without traceback as with System Settings.allow_error_traceback off."""
        body = self._v2(traceback=traceback) if version == "v2" else self._v1(traceback=traceback)
        return Answer(self.status, dumped(body))

    def _v1(self, *, traceback: bool) -> dict[str, Any]:
        line = f"{self.module}{self.exc_type}" + (f": {self.text}" if self.text else "")
        body: dict[str, Any] = {"exc_type": self.exc_type}
        # Never with a 404 (FRAPPE 8).
        if traceback and self.status != 404:
            body = {"exception": line, "exc_type": self.exc_type}
            if self.source:
                body["_exc_source"] = self.source
            body["exc"] = json.dumps([f"{TRACEBACK}{line}\n"])
        if self.messages:
            body["_server_messages"] = json.dumps([message.encoded() for message in self.messages])
        if self.error_message:
            body["_error_message"] = self.error_message
        return body

    def _v2(self, *, traceback: bool) -> dict[str, Any]:
        error: dict[str, Any] = {"type": self.exc_type}
        if traceback and self.status != 404:
            error["exception"] = f"{TRACEBACK}{self.exc_type}: {self.text}\n"
        if self.messages:
            error |= {"message": self.text, "title": self.messages[-1].title, "indicator": "red"}
        return {"errors": [error]}


def dumped(body: object) -> bytes:
    """The body as Frappe writes it: compact."""
    return json.dumps(body, separators=(",", ":"), default=str).encode()


def success(wrapper: str, value: object, *, status: int = 200) -> Answer:
    """`{"data": …}` or `{"message": …}`."""
    return Answer(status, dumped({wrapper: value}))


def debugged(answer: Answer, request_args: Mapping[str, Any]) -> Answer:
    """With the SQL in `exc` beside the result, where `debug` asks for it (03_debug_sql_*)."""
    if request_args.get("debug") and answer.status == 200:
        body = json.loads(answer.body) | {"exc": json.dumps([f"{TRACEBACK}select …"])}
        answer.body = dumped(body)
    return answer


def invalid(text: str, *, source: str | None = None) -> Refusal:
    """A 417 ValidationError: one of nine different things (FRAPPE, point 5)."""
    return Refusal(417, "ValidationError", text, source=source)


def not_permitted(function: str) -> Refusal:
    """The answer of a method that Guest, or HTTP, may not call (FRAPPE 2)."""
    text = (
        "<details><summary>You are not permitted to access this resource.</summary>"
        f"Function <strong>{function}</strong> is not whitelisted.</details>"
    )
    return Refusal(403, "PermissionError", text, messages=[Message(text, "Method Not Allowed")])


def no_role(user: str, doctype: str, *, verb: str | None = None) -> Refusal:
    """The answer to a user whose roles do not reach (FRAPPE 5.2)."""
    text = (
        f"User <strong>{user}</strong> does not have doctype access via role permission "
        f"for document <strong>{doctype}</strong>"
    )
    if verb is not None:
        text += f"<br>User <strong>{user}</strong> does not have access to this document"
    summary = f"No permission for {doctype}"
    if verb is not None:
        summary = f"Insufficient Permission for {doctype} (<strong>{verb}</strong>)"
    return Refusal(403, "PermissionError", messages=[Message(text, bare=True)], error_message=summary)


def not_found(text: str) -> Refusal:
    """404 DoesNotExistError, which never shows a traceback (FRAPPE 8)."""
    return Refusal(404, "DoesNotExistError", text)


def stopped() -> Refusal:
    """503 SessionStopped: maintenance, even for a ping (FRAPPE 7)."""
    return Refusal(503, "SessionStopped", "Session Stopped", messages=[])


def read_only() -> Refusal:
    """503 InReadOnlyMode: maintenance that allows reads (FRAPPE 7)."""
    text = (
        "Site is running in read only mode for maintenance or site update, this action can not be "
        "performed right now. Please try again later."
    )
    return Refusal(503, "InReadOnlyMode", text, messages=[Message(text, "In Read Only Mode")])


def python_error(exc_type: str, text: str, *, module: str = "", source: str | None = None) -> Refusal:
    """500 for an exception that nobody caught."""
    return Refusal(500, exc_type, text, module=module, source=source)


def html(status: int, text: str, *, headers: Headers | None = None, close: bool = False) -> Answer:
    """The web framework's own short page, whatever the caller accepts (FRAPPE 8)."""
    title = REASONS[status]
    page = (
        f"<!doctype html>\n<html lang=en>\n<title>{status} {title}</title>\n<h1>{title}</h1>\n<p>{text}</p>\n"
    )
    return Answer(status, page.encode(), HTML, list(headers or []), close)


def gunicorn(status: int, title: str, text: str) -> Answer:
    """A page of the web server, which Frappe never sees (FRAPPE 3.3, 7)."""
    page = (
        f"<html>\n  <head>\n    <title>{title}</title>\n  </head>\n  <body>\n"
        f"    <h1><p>{title}</p></h1>\n    {text}\n  </body>\n</html>\n"
    )
    return Answer(status, page.encode(), "text/html", close=True)


def error_page(status: int, text: str) -> Answer:
    """Frappe's own error page: about 326 kB (FRAPPE 8), titled as in the recordings that ask for HTML."""
    title = _TITLES.get(status, "Server Error")
    head = f"<!DOCTYPE html>\n<html>\n<head>\n<title>{title}</title>\n</head>\n<body>\n<h1>{text}</h1>\n"
    icon = '<rect x="3" y="3" width="11" height="11" rx="2"/>\n'
    page = head + "<svg>\n" + icon * (325_000 // len(icon)) + "</svg>\n</body>\n</html>\n"
    return Answer(status, page.encode(), HTML)


_TITLES = {401: "Session Expired", 403: "Not Permitted", 404: "Not Found", 503: "Updating"}


def wants_json(headers: Mapping[str, str]) -> bool:
    """JSON unless `Accept` starts with "text" and does not mention JSON (FRAPPE 8)."""
    if headers.get("x-requested-with") == "XMLHttpRequest":
        return True
    accept = headers.get("accept", "")
    return not accept.startswith("text") or "application/json" in accept


def translated(text: str, language: str | None) -> str:
    """The text in the language of `Accept-Language`; English where the recordings have no other."""
    catalogue = TRANSLATIONS.get((language or "en").split(",")[0].split("-")[0].strip().lower(), {})
    for english, other in catalogue.items():
        before, _, after = english.partition("{}")
        if text == english or ("{}" in english and text.startswith(before) and text.endswith(after)):
            value = text[len(before) : len(text) - len(after)]
            return other.replace("{}", value)
    return text
