"""Frappe's API over a `Site`: authentication, routes and permissions.

FRAPPE 1 to 5: what each route answers, to whom. Nothing here knows about sockets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from reconcile.sandbox.lms import enroll as enrolling
from reconcile.sandbox.lms import query as queries
from reconcile.sandbox.lms.answers import (
    GUEST_COOKIES,
    JSON,
    Answer,
    Message,
    Refusal,
    debugged,
    error_page,
    html,
    invalid,
    not_found,
    not_permitted,
    python_error,
    read_only,
    stopped,
    success,
    translated,
    wants_json,
)
from reconcile.sandbox.lms.request import (
    CONFIRM,
    POST_ONLY,
    USER_EXISTS,
    Request,
    is_write,
)
from reconcile.sandbox.lms.roles import GUEST, authenticate, may_create, may_list, may_open
from reconcile.sandbox.lms.site import ENROLLMENT, PAYMENT, TIME_ZONE, USER, Key, Row, Site, fold

_MAX_BODY = 25 * 1024 * 1024
_Args = Mapping[str, Any]


class Api:
    """Answers requests for one site."""

    def __init__(self, site: Site) -> None:
        """The methods that may be called by name, with what they need."""
        self.site = site
        self._methods: dict[str, Callable[[Request, Key], Any]] = {
            "ping": lambda *_: "pong",
            "frappe.auth.get_logged_user": lambda _, key: key.user,
            "frappe.client.get_time_zone": lambda *_: {"time_zone": TIME_ZONE},
            "frappe.client.get_list": self._get_list,
            "frappe.client.get_count": self._get_count,
            "frappe.client.get_value": self._get_value,
            "frappe.client.insert": self._insert,
            "frappe.client.insert_many": self._insert_many,
            CONFIRM: lambda request, _: enrolling.confirm(site, request.args()),
            USER_EXISTS: lambda request, _: enrolling.user_exists(site, request.args()),
        }

    def answer(self, request: Request) -> Answer:
        """The answer to one request; never raises a Refusal."""
        switches = self.site.switches
        host = request.headers.get("host", "").partition(":")[0]
        if switches.host and host != switches.host:
            return html(404, f"{host} does not exist.")
        if len(request.body) > _MAX_BODY:
            return html(413, "The data value transmitted exceeds the capacity limit.", close=True)
        try:
            key = self._admitted(request)
            return self._with_session(request, self._route(request, key))
        except Refusal as refusal:
            return self.refused(request, refusal)

    def _admitted(self, request: Request) -> Key:
        """Who is asking, once the site is open and the body can be read: in Frappe's order."""
        maintenance = self.site.switches.maintenance
        if maintenance == "on":
            raise stopped()
        request.args()
        key = authenticate(self.site, request.headers)
        if maintenance == "readonly" and is_write(request):
            refusal = read_only()
            refusal.source = enrolling.APP if request.segments[2:3] == [CONFIRM] else None
            raise refusal
        return key

    def _with_session(self, request: Request, answer: Answer) -> Answer:
        """A stale `sid` beside a token adds `session_expired` (FRAPPE 1)."""
        sid = re.search(r"\bsid=([^;]*)", request.headers.get("cookie", ""))
        if sid is not None and sid[1] != "Guest" and answer.content_type == JSON:
            answer.body = answer.body.replace(b"{", b'{"session_expired":1,', 1)
        if answer.content_type == JSON:
            answer.headers += GUEST_COOKIES
        return answer

    def refused(self, request: Request, refusal: Refusal) -> Answer:
        """The refusal in the caller's language, as JSON or as the 326 kB page (FRAPPE 8)."""
        language = request.headers.get("accept-language")
        refusal.text = translated(refusal.text, language)
        refusal.messages = [
            replace(
                message,
                text=translated(message.text, language),
                title=translated(message.title, language),
            )
            for message in refusal.messages
        ]
        if not wants_json(request.headers):
            return error_page(refusal.status, refusal.text or refusal.exc_type)
        traceback = self.site.switches.allow_error_traceback
        answer = refusal.answer(traceback=traceback, version=request.version)
        if refusal.status < 500:
            answer.headers += GUEST_COOKIES
        return answer

    def _route(self, request: Request, key: Key) -> Answer:
        segments = request.segments
        if segments[:1] != ["api"]:
            return html(404, "The requested URL was not found on the server.")
        route, rest = (segments[1] if len(segments) > 1 else ""), segments[2:]
        if route == "method" and len(rest) == 1:
            wrapper = "data" if request.version == "v2" else "message"
            return debugged(success(wrapper, self._call(rest[0], request, key)), request.args())
        if route == "doctype" and request.version == "v2" and rest[1:] == ["count"]:
            return success("data", self._count(rest[0], request, key))
        if route == ("document" if request.version == "v2" else "resource") and len(rest) in (1, 2):
            if len(rest) == 1:
                return self._collection(rest[0], request, key)
            return self._one(rest[0], rest[1], request, key)
        raise Refusal(404, "DoesNotExistError")

    def _call(self, name: str, request: Request, key: Key) -> Any:
        method = self._methods.get(name)
        if method is None or (name in (CONFIRM, USER_EXISTS) and not self.site.switches.confirm_payment):
            raise _no_method(name, vendor=self.site.switches.confirm_payment)
        if key is GUEST and name not in _FOR_GUESTS:
            raise not_permitted(name)
        if name in POST_ONLY and request.method != "POST":
            raise Refusal(403, "PermissionError", "Not permitted")
        return method(request, key)

    def _collection(self, doctype: str, request: Request, key: Key) -> Answer:
        if request.method in ("GET", "HEAD"):
            self._exists(doctype)
            args = request.args()
            if "limit" in args:
                # Another name for it, in this route alone (FRAPPE 3.2).
                args = args | {"limit_page_length": args["limit"]}
            return debugged(success("data", self._listed(doctype, args, key)), args)
        if request.method != "POST":
            text = "The method is not allowed for the requested URL."
            return html(405, text, headers=[("Allow", "GET, POST, HEAD")])
        args = request.args()
        doc = queries.loaded(args["data"]) if "data" in args else args
        return success("data", self._create(doctype, doc, key))

    def _one(self, doctype: str, name: str, request: Request, key: Key) -> Answer:
        self._exists(doctype)
        if request.method not in ("GET", "HEAD", "DELETE"):
            text = "The method is not allowed for the requested URL."
            return html(405, text, headers=[("Allow", "DELETE, GET, HEAD, PUT")])
        row = self._row(doctype, name)
        if row is None:
            deleting = request.method == "DELETE" and doctype == ENROLLMENT
            raise Refusal(404, "DoesNotExistError") if deleting else not_found(f"{doctype} {name} not found")
        verb = "delete" if request.method == "DELETE" else "read"
        may_open(self.site, key, doctype, row=row, verb=verb)
        if request.method == "DELETE":
            if not self.site.delete(row["name"]):
                raise Refusal(404, "DoesNotExistError")
            return success("data", "ok", status=202)
        return success(
            "data",
            enrolling.document(self.site, row) if doctype == ENROLLMENT else row | {"doctype": doctype},
        )

    def _create(self, doctype: str, doc: Any, key: Key, *, nulls: bool = False) -> Row:
        if not isinstance(doc, Mapping):
            raise invalid("Invalid request arguments")
        if doctype == PAYMENT:
            may_create(self.site, key, PAYMENT)
            return self.site.add_payment(doc, by=key.user) | {"doctype": PAYMENT}
        if doctype != ENROLLMENT:
            raise _no_module(doctype)
        return enrolling.document(self.site, enrolling.create(self.site, doc, by=key), nulls=nulls)

    def _insert(self, request: Request, key: Key) -> Row:
        doc = queries.loaded(request.args().get("doc")) or {}
        if not isinstance(doc, Mapping):
            raise invalid("Invalid request arguments")
        return self._create(str(doc.get("doctype", "")), doc, key, nulls=True)

    def _insert_many(self, request: Request, key: Key) -> list[str]:
        docs = queries.loaded(request.args().get("docs")) or []
        return enrolling.create_many(self.site, docs, by=key)

    def _get_list(self, request: Request, key: Key) -> list[Row]:
        args = request.args()
        self._exists(str(args.get("doctype")))
        return self._listed(str(args["doctype"]), args, key)

    def _get_value(self, request: Request, key: Key) -> Row:
        args = request.args()
        fields = args.get("fieldname", "name")
        if isinstance(fields, str) and fields.startswith("["):
            fields = queries.loaded(fields)
        found = self._listed(
            str(args.get("doctype")),
            {"fields": fields, "filters": args.get("filters"), "limit_page_length": 1},
            key,
        )
        return found[0] if found else {}

    def _get_count(self, request: Request, key: Key) -> int:
        return self._count(str(request.args().get("doctype")), request, key)

    def _count(self, doctype: str, request: Request, key: Key) -> int:
        """How many there are, whoever asks (FRAPPE 3.1), unless the switch says otherwise."""
        self._exists(doctype)
        query = self._query(doctype, request.args())
        if self.site.switches.count_checks_permissions:
            query = replace(query, owner=may_list(self.site, key, doctype))
        return len(queries.matching(self.site, query))

    def _listed(self, doctype: str, args: _Args, key: Key) -> list[Row]:
        owner = may_list(self.site, key, doctype)
        hidden = frozenset(("Administrator", "Guest")) if doctype == USER else frozenset()
        return queries.select(self.site, replace(self._query(doctype, args), owner=owner, hidden=hidden))

    def _query(self, doctype: str, args: _Args) -> queries.Query:
        return replace(queries.read_query(doctype, args), null_is_null=self.site.switches.variant != "head")

    def _row(self, doctype: str, name: str) -> Row | None:
        if doctype == ENROLLMENT:
            return self.site.enrollment(name)
        return self.site.table(doctype).get(fold(name))

    def _exists(self, doctype: str) -> None:
        if doctype not in queries.FIELDS:
            raise not_found(f"DocType {doctype} not found")


_FOR_GUESTS = ("ping", "frappe.client.get_time_zone", CONFIRM, USER_EXISTS)


def _no_module(doctype: str) -> Refusal:
    module = f"frappe.core.doctype.{doctype.lower().replace(' ', '_')}"
    text = (
        f"Module import failed for {doctype}, the DocType you're trying to open might be deleted.<br> "
        f"Error: No module named '{module}'"
    )
    return python_error("ImportError", text)


def _no_method(name: str, *, vendor: bool) -> Refusal:
    """417, not 404 (FRAPPE 5.3)."""
    app, module = name.partition(".")[0], name.rpartition(".")[0]
    if name == "lms.lms.utils.get_chapters":
        return not_permitted(name)
    failed = f"Failed to get method for command {name} with"
    if app not in ("frappe", "lms"):
        cause = f"App {app} is not installed"
        return Refusal(
            417,
            "ValidationError",
            f"{failed} {cause}",
            messages=[Message(cause), Message(f"{failed} {cause}")],
        )
    known = {"frappe.client", "frappe.auth", "lms.lms.utils"} | (
        {CONFIRM.rpartition(".")[0]} if vendor else set()
    )
    if module in known:
        return invalid(f"{failed} module '{module}' has no attribute '{name.rpartition('.')[2]}'")
    return invalid(f"{failed} No module named '{module}'")
