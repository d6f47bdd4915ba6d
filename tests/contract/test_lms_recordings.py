"""The stand-in answers as the real Frappe LMS did: every recording's request again, and its answer.

Against a real server, where FRAPPE_TEST_URL and FRAPPE_TEST_KEY (`key:secret` of a Moderator) are set:
`lms_cases.ANYWHERE` lists what is asked there. Nothing is written; the server should answer in English
and show tracebacks (`allow_error_traceback`, the default), have the HEAD rules and no proxy in front.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from reconcile.sandbox.lms.server import FrappeStandIn
from tests.contract.lms_cases import (
    ENROLLED,
    LEFT_OUT,
    NOT_REPLAYED,
    SWITCHES,
    Case,
    cases,
    fill,
    new_site,
)

CASES = cases()
_REAL = os.environ.get("FRAPPE_TEST_URL"), os.environ.get("FRAPPE_TEST_KEY")
_USERS = {"02_whoami_basic": "integration", "02_whoami_token_lowercase_TOKEN": "integration"}
_NAME = re.compile(r"\b[0-9a-f]{10}\b")
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}")
_TITLE = re.compile("<title>(.*?)</title>", re.DOTALL)
_CUT = "… (cut)"


class Player:
    """Sends requests as recorded, over one connection."""

    def __init__(self, url: str, *, keys: dict[str | None, str]) -> None:
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.netloc, timeout=10)
        self._keys = keys

    def close(self) -> None:
        self._connection.close()

    def send(self, case: Case) -> tuple[int, dict[str, str], Any]:
        """Status, headers and body of the answer; the body read if it says it is JSON."""
        request = case.request
        headers = {name: self._keyed(value, case) for name, value in request["headers"].items()}
        headers.setdefault("Accept-Encoding", "identity")
        body = _body(request)
        self._connection.putrequest(
            request["method"], _path(request), skip_host="Host" in headers, skip_accept_encoding=True
        )
        for name, value in (headers | ({"Content-Length": str(len(body))} if body else {})).items():
            self._connection.putheader(name, value)
        try:
            self._connection.endheaders(body)
            answer = self._connection.getresponse()
            text = answer.read().decode()
        except BaseException:
            self._connection.close()
            raise
        found = {name.lower(): value for name, value in answer.getheaders()}
        is_json = found["content-type"] == "application/json"
        return answer.status, found, json.loads(text) if is_json else text

    def _keyed(self, value: str, case: Case) -> str:
        key = self._keys.get(case.user or "integration", "none:none")
        if value == "Basic base64(KEY:SECRET)":
            return f"Basic {base64.b64encode(key.encode()).decode()}"
        return value.replace("KEY:SECRET", key).replace("KEY:", f"{key.partition(':')[0]}:")


def _path(request: dict[str, Any]) -> str:
    """The path, as long as it was: the recording keeps the beginning of a long one."""
    path: str = request["path"]
    return path.removesuffix(_CUT).ljust(request["path_bytes"], "x") if path.endswith(_CUT) else path


def _body(request: dict[str, Any]) -> bytes:
    body = request["body"]
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, dict):
        body = dict(body)
        # What was cut when it was recorded is made again.
        if str(body.get("junk", "")).endswith(_CUT) or len(str(body.get("junk", ""))) > 100:
            body["junk"] = "x" * (request["body_bytes"] - 90)
        docs = body.get("docs")
        if docs and isinstance(docs[-1], str):
            count = int(LEFT_OUT.fullmatch(docs[-1])[1])  # type: ignore[index]
            numbers = range(1, count + 1)
            body["docs"] = [docs[0] | {"member": f"student{number}@example.com"} for number in numbers]
    return json.dumps(body).encode()


@pytest.fixture(scope="module")
def stand_ins() -> Iterator[dict[str, FrappeStandIn]]:
    """One for each set of rules, and one with everybody enrolled."""
    sites = {variant: new_site(variant) for variant in ("head", "2024", "head-oldfw")}
    sites["filled"] = new_site()
    fill(sites["filled"])
    running = {name: FrappeStandIn(site).start() for name, site in sites.items()}
    yield running
    for stand_in in running.values():
        stand_in.stop()


@pytest.fixture(scope="module")
def players(stand_ins: dict[str, FrappeStandIn]) -> Iterator[dict[str, Player]]:
    keys: dict[str | None, str] = {
        token.partition(":")[0]: token for token in stand_ins["head"].site.keys if token.endswith(":secret")
    }
    found = {name: Player(stand_in.url, keys=keys) for name, stand_in in stand_ins.items()}
    yield found
    for player in found.values():
        player.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_answers_as_recorded(
    case: Case, players: dict[str, Player], stand_ins: dict[str, FrappeStandIn]
) -> None:
    filled = case.name.startswith("03") and case.looked_up(ENROLLED) is None
    name = "filled" if filled else case.rules
    stand_in = stand_ins[name]
    prepared = _prepare(case, stand_in) if name != "filled" else case
    status, headers, body = players[name].send(prepared)
    _compare(case, status=status, headers=headers, body=body)


if all(_REAL):

    @pytest.mark.parametrize("case", [case for case in CASES if case.anywhere], ids=lambda case: case.name)
    def test_a_real_server_answers_as_recorded(case: Case) -> None:
        player = Player(_REAL[0] or "", keys={"integration": _REAL[1] or ""})
        try:
            status, headers, body = player.send(case)
        finally:
            player.close()
        if status == 200 and case.name.startswith("02_whoami"):
            assert "@" in body["message"]
            return
        _compare(case, status=status, headers=headers, body=body)


def test_what_is_not_replayed_exists() -> None:
    replayed = {case.name for case in CASES}
    for pattern in NOT_REPLAYED:
        assert not any(case.looked_up({pattern: True}) for case in CASES), pattern
    assert len(replayed) > 350


def _prepare(case: Case, stand_in: FrappeStandIn) -> Case:
    """Put the site in the state of the recording; the case, asking for the row that was made for it."""
    site = stand_in.site
    for row in site.enrollments():
        site.delete(row["name"])
    site.payments.clear()
    site.switches.change(
        {"maintenance": "off", "allow_error_traceback": True, "host": None} | (case.looked_up(SWITCHES) or {})
    )
    stand_in.faults.clear()
    for fault in case.faults():
        stand_in.faults.add(fault)
    if case.plain == "05_rest_paid_with_lms_payment_as_sysman":
        payment = {"member": "student50@example.com", "payment_received": 1}
        site.add_payment(payment, by="sysman@example.com")
    name = ""
    for member, course in case.looked_up(ENROLLED) or ():
        name = site.enroll(member, course, by="integration@example.com", owner=_owner(case, member))["name"]
    if not name:
        return case
    request = case.request | {"path": _NAME.sub(name, case.request["path"])}
    return Case(case.name, case.user, request, case.response)


def _owner(case: Case, member: str) -> str:
    return "integration@example.com" if case.rules == "2024" else member


def _compare(case: Case, *, status: int, headers: dict[str, str], body: Any) -> None:
    expected = case.response
    recorded = {name.lower(): value for name, value in expected["headers"]}
    assert status == expected["status"]
    assert headers["content-type"].partition(";")[0] == recorded["content-type"].partition(";")[0]
    for name in ("retry-after", "allow"):
        assert _parts(headers.get(name)) == _parts(recorded.get(name)), name
    if isinstance(body, str):
        _compare_page(body, expected["body"])
    elif "doctype" in _document(body):
        _compare_document(_document(body), _document(expected["body"]))
    else:
        ordered = "order_by" in json.dumps(case.request)
        assert _normal(body, ordered=ordered) == _cut(expected["body"], body, ordered=ordered)


def _parts(value: str | None) -> set[str]:
    return set((value or "").split(", "))


def _compare_page(page: str, recorded: str) -> None:
    """The short pages word for word; of Frappe's own, that it is one, its title, and that it is huge."""
    if recorded.endswith(_CUT):
        assert page.startswith("<!DOCTYPE html>")
        assert f'<meta name="title" content="{_TITLE.findall(page)[0]}">' in recorded
        assert len(page) > 300_000
    else:
        assert page == recorded


def _document(body: Any) -> dict[str, Any]:
    found = body.get("data", body.get("message")) if isinstance(body, dict) else None
    return found if isinstance(found, dict) else {}


def _compare_document(found: dict[str, Any], recorded: dict[str, Any]) -> None:
    """An enrollment field for field; of other documents the fields that the stand-in has."""
    if found["doctype"] == "LMS Enrollment":
        assert _normal(found) == _normal(recorded)
        return
    common = set(found) & set(recorded)
    assert common > {"name", "owner", "creation", "doctype"}
    assert {key: _normal(found[key]) for key in common if key in _STABLE} == {
        key: _normal(recorded[key]) for key in common if key in _STABLE
    }


_STABLE = ("name", "doctype", "enabled", "email", "title", "published", "paid_course", "member")


def _cut(recorded: Any, found: Any, *, ordered: bool) -> Any:
    """The recorded body; where a long list was cut, as much of it as can be known."""
    wrapper, rows = next(iter(recorded.items())) if isinstance(recorded, dict) else ("", recorded)
    if isinstance(rows, list) and rows and isinstance(rows[-1], str) and LEFT_OUT.fullmatch(rows[-1]):
        count = int(LEFT_OUT.fullmatch(rows[-1])[1])  # type: ignore[index]
        assert len(found[wrapper]) == count
        kept = {_text(row) for row in rows[:-1]}
        if not all(isinstance(row, str) for row in rows):
            assert kept <= {_text(row) for row in found[wrapper]}
        return _normal(found, ordered=ordered)
    if isinstance(rows, list) and len(rows) == 20 and not ordered:
        # Any twenty of those that match.
        assert len(found[wrapper]) == 20
        return _normal(found, ordered=ordered)
    return _normal(recorded, ordered=ordered)


def _text(value: Any) -> str:
    return json.dumps(_normal(value), sort_keys=True)


def _normal(value: Any, *, ordered: bool = True) -> Any:
    """Without what differs each time: names, times, tracebacks, the ids of exceptions."""
    if isinstance(value, dict):
        return {key: _field(key, item, ordered=ordered) for key, item in value.items()}
    if isinstance(value, list):
        items = [_normal(item) for item in value]
        return items if ordered else sorted(items, key=lambda item: json.dumps(item, sort_keys=True))
    return _TIME.sub("TIME", _NAME.sub("NAME", value)) if isinstance(value, str) else value


def _field(key: str, value: Any, *, ordered: bool) -> Any:
    if key == "exc":
        traceback = json.loads(value)[0]
        return traceback.startswith("Traceback")
    if key == "exception" and value.startswith("Traceback"):
        return "Traceback"
    if key == "_server_messages":
        messages = [json.loads(message) for message in json.loads(value)]
        return [message | {"__frappe_exc_id": "…"} for message in messages]
    return _normal(value, ordered=ordered)
