"""What the recordings need: the state each was made in, what spoiled it, and those not replayed.

A recording is one exchange with a real Frappe LMS (FRAPPE.md; names as there). Its prefix tells the
rules: `s24_` is LMS 2024, `h24_` today's rules on a framework that lost the duplicate check.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from reconcile.sandbox.lms.faults import Fault
from reconcile.sandbox.lms.site import Site, default_site

DIRECTORY = Path(__file__).with_name("recordings")
LEFT_OUT = re.compile(r"\.\.\.\[(\d+) items in all\]")

#: Pattern of the case's name (without `s24_` and `h24_`: `05_`), and why it is not replayed.
NOT_REPLAYED = {
    "03_get_url_length_table": "a table of measurements without a request; not copied",
    "03_post_in_table": "a table of measurements without a request; not copied",
    "*06_concurrency_table": "a table of measurements; test_lms_stand_in.py shows that duplicates come about",
    "09_*": "tables of throughput without a request; not copied",
    "03_reportview_get": "frappe.desk.reportview is no part of what we call",
    "07_worker_killed_mid_request": "no answer to compare; the fault cut_before is tested by itself",
    "07_connection_refused": "no answer to compare: a stand-in that is stopped refuses as well",
    "07_client_timeout_*": "no answer to compare; timeout_after_write is tested by itself",
}

_DUPLICATE = ("student1@example.com", "python-basics")
_ODD = ("o'brien+x@example.com", "web-dev")
#: Enrolled before the request, by pattern of the case's name. Without an entry: nobody, and everybody
#: (`fill`) for section 03.
ENROLLED = {
    "03_debug_sql_default_order": [_DUPLICATE],
    "03_debug_sql_order_by": [_DUPLICATE, ("student2@example.com", "python-basics")],
    "03_get_special_email_*": [_ODD],
    "03_post_special_email": [_ODD],
    "05_rest_duplicate*": [_DUPLICATE],
    "05_rest_accept_*_duplicate": [_DUPLICATE],
    "05_rest_v2_duplicate": [("student22@example.com", "python-basics")],
    "05_rest_new_email_case_readback": [("student3@example.com", "python-basics")],
    "05_rest_course_case_readback": [("student4@example.com", "python-basics")],
    "05_confirm_duplicate": [("student31@example.com", "python-basics")],
    "05_confirm_email_case_dup": [("student38@example.com", "python-basics")],
    "05_many_5_third_duplicate": [("student1@example.com", "web-dev")],
    "05_rest_get_one": [("student24@example.com", "python-basics")],
    "05_rest_delete": [("student24@example.com", "python-basics")],
    "07_maintenance_readonly_get": [_DUPLICATE, _DUPLICATE],
    "07_maintenance_readonly_getlist_post": [("student1@example.com", "web-dev")],
    "07_db_back": [_DUPLICATE],
    "07_rate_after_window": [_DUPLICATE],
    "08_accept_*": [("student1@example.com", "web-dev")],
    "08_lang_fr_duplicate": [_DUPLICATE],
    "08_notrace_*duplicate": [_DUPLICATE],
}

#: How the site was set up, by pattern.
SWITCHES: dict[str, dict[str, Any]] = {
    "01_ping_host_unknown": {"host": "lms.localhost"},
    "01_ping_host_known": {"host": "lms.localhost"},
    "07_maintenance_readonly_*": {"maintenance": "readonly"},
    "07_maintenance_[!r]*": {"maintenance": "on"},
    "08_notrace_*": {"allow_error_traceback": False},
}

_NO_DATABASE = {
    "exc_type": "OperationalError",
    "text": "(2003, \"Can't connect to MySQL server on '127.0.0.1' ([Errno 111] Connection refused)\")",
}
_LOCKED = {
    "exc_type": "QueryTimeoutError",
    "text": "(1205, 'Lock wait timeout exceeded; try restarting transaction')",
}
#: What spoiled the request, by pattern; the first that fits.
FAULTS: dict[str, dict[str, Any]] = {
    "07_rate_429_*": {"kind": "429", "retry_after": 54},
    "07_dbdown_get": {"kind": "500_json"} | _NO_DATABASE,
    "07_dbdown_accept_star": {"kind": "500_json"} | _NO_DATABASE,
    "07_dbdown_*": {"kind": "500_html"},
    "07_db_killed_mid_request": {"kind": "500_html"},
    "07_lock_wait_timeout_*": {"kind": "500_json"} | _LOCKED,
    "07_deadlock_*": {"kind": "500_json"},
}

#: A Moderator's key may ask these of any site: nothing is written, and no state is assumed beyond the
#: absence of ghost@example.com, `no-such-course` and the doctype LMS Nope.
ANYWHERE = (
    "01_ping",
    "01_ping_v2",
    "02_whoami_*",
    "02_allow_guest_method_bad_token",
    "03_get_none_unknown_*",
    "03_get_bad_f*",
    "03_get_unknown_doctype",
    "03_get_doctype_with_plus",
    "03_get_empty_in",
    "03_get_url_too_long",
    "03_count_guest",
    "03_as_guest*",
    "03_as_bad_token*",
    "04_users_as_guest",
    "04_courses_as_guest",
    "05_rest_missing_*",
    "05_rest_malformed_json",
    "05_rest_json_array",
    "05_rest_method_not_allowed",
    "05_rest_get_one_missing",
    "05_rest_wrong_doctype",
    "05_rest_guest",
    "05_rest_bad_token",
    "05_method_missing_*",
    "05_api_unknown_route",
    "05_many_201",
    "08_acceptlang_*",
)
#: Of those, the ones that need another user than the Moderator of FRAPPE_TEST_KEY.
_OTHERS_ONLY = ("02_whoami_lowpriv", "02_whoami_disabled_user")


@dataclass(frozen=True)
class Case:
    """One recording."""

    name: str
    user: str | None
    request: dict[str, Any]
    response: dict[str, Any]

    @property
    def rules(self) -> str:
        """The variant that it was recorded with."""
        return {"s24": "2024", "h24": "head-oldfw"}.get(self.name[:3], "head")

    @property
    def plain(self) -> str:
        """The name as HEAD has it."""
        return self.name if self.rules == "head" else f"05{self.name[3:]}"

    @property
    def anywhere(self) -> bool:
        """Whether a real server may be asked."""
        mine = self.rules == "head" and self.name not in _OTHERS_ONLY
        return mine and any(fnmatch(self.name, pattern) for pattern in ANYWHERE)

    def looked_up(self, table: dict[str, Any]) -> Any:
        """The entry of the first pattern that fits the name, or None."""
        return next((value for pattern, value in table.items() if fnmatch(self.plain, pattern)), None)

    def faults(self) -> list[Fault]:
        """What spoiled it."""
        found = self.looked_up(FAULTS)
        return [Fault(**found)] if found else []


def cases() -> list[Case]:
    """All recordings that are replayed, by name."""
    found = []
    for path in sorted(DIRECTORY.glob("*.json")):
        record = json.loads(path.read_text("utf-8"))
        case = Case(record["case"], record["as"], record["request"], record["response"])
        if case.looked_up(NOT_REPLAYED) is None:
            found.append(case)
    return found


def new_site(variant: str = "head") -> Site:
    """The site of the recordings, with the users and courses they mention and nobody enrolled."""
    site = default_site()
    site.switches.change({"variant": variant, "race_window": 0})
    for name in ("cloud-101", "algebra-1"):
        site.add_course(name)
    people = {
        "integration": ["Moderator"],
        "sysman": ["System Manager"],
        "modsys": ["Moderator", "System Manager"],
        "creator": ["Course Creator"],
        "lmsstudent": ["LMS Student"],
        "lowpriv": [],
        "disabledapi": ["Moderator"],
    }
    for name, roles in people.items():
        site.add_key(_KEYS.get(name, name), "secret", user=f"{name}@example.com", roles=roles)
    site.add_user("disabledapi@example.com", enabled=False)
    site.add_user("lmsstudent@example.com", full_name="Student_role Api")
    site.add_user("MixedCase@Example.com")
    return site


#: Names in the recordings' "as", where they are not those of the address.
_KEYS = {"lmsstudent": "student_role", "lowpriv": "student_low", "disabledapi": "disabled_api"}


def fill(site: Site) -> None:
    """Enroll everybody who was when section 03 was recorded; names and times as seen there."""
    seen = {(row["member"], row["course"]): row for case in cases() for row in _rows(case)}
    everybody = [f"student{number}@example.com" for number in range(1, 201)]
    pairs = [(member, course) for course in ("web-dev", "cloud-101", "algebra-1") for member in everybody]
    pairs += [(member, "python-basics") for member in everybody[:30]]
    pairs += [("lmsstudent@example.com", "python-basics")]
    for number, (member, course) in enumerate(pairs):
        row = site.enroll(member, course, by="integration@example.com", owner=member)
        site.delete(row["name"])
        # Those not seen come between those seen, which were the first and the last by name.
        row |= seen.get((member, course), {"name": f"80{number:08x}"})
        row["modified"] = row["creation"]
        site.insert([row])


def _rows(case: Case) -> list[dict[str, Any]]:
    body = case.response.get("body")
    if not case.name.startswith("03") or not isinstance(body, dict):
        return []
    rows = next(iter(body.values()))
    rows = rows if isinstance(rows, list) else []
    wanted = {"name", "member", "course", "creation"}
    return [{k: row[k] for k in wanted} for row in rows if isinstance(row, dict) and set(row) >= wanted]
