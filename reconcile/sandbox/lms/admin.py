"""The stand-in's own surface under `/_sandbox/`: no key, not counted, never part of a real LMS."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from reconcile.sandbox.lms.answers import Answer, dumped
from reconcile.sandbox.lms.calls import Calls
from reconcile.sandbox.lms.faults import Fault, Faults
from reconcile.sandbox.lms.request import Request
from reconcile.sandbox.lms.site import Site

PREFIX = "/_sandbox/"
#: What the log shows of a `Call`.
_LOGGED = ("operation", "at", "member", "course")
_Values = Mapping[str, Any]


class Admin:
    """GET state, counters, log, faults, duplicates; DELETE faults; POST what `_routes` lists.

    What is posted may be one object, or a list of objects that are taken one after the other.
    """

    def __init__(self, site: Site, *, faults: Faults, calls: Calls) -> None:
        """All three are changed in place."""
        self._site = site
        self._faults = faults
        self._calls = calls
        self._routes: dict[tuple[str, str], Callable[[_Values], Any]] = {
            ("GET", "state"): lambda _: site.state(),
            ("GET", "counters"): lambda _: dict(calls.counters()),
            ("GET", "log"): lambda _: [
                {name: getattr(call, name) for name in _LOGGED} for call in calls.log()
            ],
            ("GET", "faults"): lambda _: [asdict(fault) for fault in faults.armed()],
            ("GET", "duplicates"): lambda _: [[*pair, n] for pair, n in site.duplicates().items()],
            ("POST", "reset"): lambda _: calls.reset(),
            ("POST", "faults"): lambda values: faults.add(Fault.read(values)),
            ("DELETE", "faults"): lambda _: faults.clear(),
            ("POST", "enroll"): lambda values: site.enroll(values["member"], values["course"]),
            ("POST", "unenroll"): lambda values: site.unenroll(values["member"], values["course"]),
            ("POST", "users"): self._add_user,
            ("POST", "courses"): lambda values: site.add_course(**values),
            ("POST", "keys"): self._add_key,
            ("POST", "switches"): self._switch,
        }

    def answer(self, request: Request) -> Answer:
        """The answer: 200 with JSON, 400 with what is wrong, 404 for an unknown path."""
        path = request.target.removeprefix(PREFIX).partition("?")[0].strip("/")
        route = self._routes.get((request.method, path))
        if route is None:
            return Answer(404, dumped({"error": f"no such thing: {request.method} {path}"}))
        try:
            values = json.loads(request.body or b"{}")
            if isinstance(values, list):
                return Answer(200, dumped([route(_object(entry)) for entry in values]))
            return Answer(200, dumped(route(_object(values))))
        except KeyError as error:
            return Answer(400, dumped({"error": f"missing: {error.args[0]}"}))
        except (TypeError, ValueError) as error:
            return Answer(400, dumped({"error": str(error)}))

    def _add_user(self, values: _Values) -> Any:
        enabled = bool(values.get("enabled", True))
        return self._site.add_user(values["email"], full_name=values.get("full_name"), enabled=enabled)

    def _add_key(self, values: _Values) -> None:
        roles = values.get("roles", [])
        self._site.add_key(values["key"], values["secret"], user=values["user"], roles=roles)

    def _switch(self, values: _Values) -> Any:
        self._site.switches.change(values)
        return asdict(self._site.switches)


def _object(values: Any) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise TypeError("send a JSON object, or a list of them")
    return values
