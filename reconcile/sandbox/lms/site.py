"""What a Frappe LMS site holds: users, courses, enrollments and API keys, in memory.

Like the real one it has no unique key on (member, course): two calls that check at once insert twice
(FRAPPE, point 3; section 6). The lock here only keeps the tables whole; nothing is locked between a
check and the insert that follows it.
"""

from __future__ import annotations

import json
import secrets
import threading
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from reconcile.sandbox.lms.switches import Switches

Row = dict[str, Any]
Pair = tuple[str, str]

ENROLLMENT, USER, COURSE, PAYMENT = "LMS Enrollment", "User", "LMS Course", "LMS Payment"
MODERATOR, SYSTEM_MANAGER, CREATOR, STUDENT = "Moderator", "System Manager", "Course Creator", "LMS Student"
TIME_ZONE = "Asia/Kolkata"
_ZONE = ZoneInfo(TIME_ZONE)


@lru_cache(maxsize=400_000)
def fold(text: str) -> str:
    """The text as the database compares it: no case, no accents, no trailing spaces (FRAPPE 3.5)."""
    text = text.rstrip(" ")
    if text.isascii():
        return text.lower()
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return plain.casefold()


def local_now() -> str:
    """Now as Frappe stores it: naive, in the site's zone (FRAPPE 3.5)."""
    return datetime.now(_ZONE).strftime("%Y-%m-%d %H:%M:%S.%f")


def stamps(by: str) -> Row:
    """The fields that every document has from its creation on."""
    now = local_now()
    return {"owner": by, "creation": now, "modified": now, "modified_by": by, "docstatus": 0, "idx": 0}


@dataclass(frozen=True)
class Key:
    """Whom an API key belongs to, and what that user may."""

    user: str
    roles: frozenset[str]


@dataclass
class Site:
    """The tables of one site. Thread-safe; `enrollments` is read through its methods."""

    users: dict[str, Row] = field(default_factory=dict)
    courses: dict[str, Row] = field(default_factory=dict)
    keys: dict[str, Key] = field(default_factory=dict)
    payments: dict[str, Row] = field(default_factory=dict)
    switches: Switches = field(default_factory=Switches)

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._rows: dict[str, Row] = {}
        self._by_member: dict[str, dict[str, Row]] = {}
        self._by_pair: dict[Pair, dict[str, Row]] = {}

    def add_user(self, email: str, *, full_name: str | None = None, enabled: bool = True) -> Row:
        """A user; the address is stored in lower case (FRAPPE 3.5). Replaces one of the same name."""
        email = email.strip().lower()
        full_name = full_name or email.partition("@")[0].capitalize()
        row = {"name": email, "email": email, "full_name": full_name, "enabled": int(enabled)}
        # As recorded: o'brien+x@example.com is obrienx.
        username = "".join(letter for letter in email.partition("@")[0] if letter.isalnum())
        row |= {"username": username, "user_type": "Website User"} | stamps("Administrator")
        with self._lock:
            self.users[fold(email)] = row
        return row

    def add_course(self, name: str, **fields: Any) -> Row:
        """A course: `title`, `published`, `paid_course`, `disable_self_learning`, `upcoming`, `status`."""
        row: Row = {
            "name": name,
            "title": name.replace("-", " ").title(),
            "published": 1,
            "paid_course": 0,
            "disable_self_learning": 0,
            "upcoming": 0,
            "status": "Approved",
        }
        row |= stamps("Administrator")
        row |= {key: int(value) if isinstance(value, bool) else value for key, value in fields.items()}
        with self._lock:
            self.courses[fold(name)] = row
        return row

    def add_key(self, key: str, secret: str, *, user: str, roles: Iterable[str] = ()) -> None:
        """An API key for `user`, who is added unless there."""
        self.keys[f"{key}:{secret}"] = Key(user.strip().lower(), frozenset(roles))
        if fold(user) not in self.users:
            self.add_user(user)

    def add_payment(self, fields: Mapping[str, Any], *, by: str) -> Row:
        """An LMS Payment, which opens a paid course to its member (FRAPPE 5.1)."""
        with self._lock:
            row = {"name": f"PAY-{len(self.payments) + 1:05d}"} | stamps(by) | dict(fields)
            self.payments[fold(row["name"])] = row
        return row

    def table(self, doctype: str) -> dict[str, Row]:
        """The users, courses or payments, by their names as the database compares them."""
        return {USER: self.users, COURSE: self.courses, PAYMENT: self.payments}[doctype]

    def user(self, name: object) -> Row | None:
        """The user of that name, as the database finds it."""
        return self.users.get(fold(name)) if isinstance(name, str) else None

    def course(self, name: object) -> Row | None:
        """The course of that name, as the database finds it."""
        return self.courses.get(fold(name)) if isinstance(name, str) else None

    def enroll(self, member: str, course: str, *, by: str = "Administrator", owner: str | None = None) -> Row:
        """One more enrollment, whatever is there already: the bare insert, without any rule."""
        row = {"name": secrets.token_hex(5), "member": member, "course": course}
        row |= stamps(by) | {"owner": owner or by}
        user = self.user(member)
        if user is not None:
            row |= {"member_name": user["full_name"], "member_username": user["username"]}
        self.insert([row])
        return row

    def insert(self, rows: Iterable[Row]) -> None:
        """Commit these enrollments together."""
        with self._lock:
            for row in rows:
                member, course = fold(row["member"]), fold(row["course"])
                self._rows[row["name"]] = row
                self._by_member.setdefault(member, {})[row["name"]] = row
                self._by_pair.setdefault((member, course), {})[row["name"]] = row

    def delete(self, name: str) -> bool:
        """Remove one enrollment; False where there is none of that name."""
        with self._lock:
            row = self._rows.pop(name, None)
            if row is None:
                return False
            member, course = fold(row["member"]), fold(row["course"])
            self._by_member[member].pop(name)
            self._by_pair[member, course].pop(name)
            return True

    def unenroll(self, member: str, course: str) -> int:
        """Remove every enrollment of the pair; how many there were."""
        return sum(self.delete(row["name"]) for row in self.enrollments_of(member, course))

    def enrollment(self, name: str) -> Row | None:
        """The enrollment of that name."""
        return self._rows.get(name)

    def enrollments(self) -> list[Row]:
        """All enrollments, oldest first."""
        with self._lock:
            return list(self._rows.values())

    def enrollments_of(self, member: str, course: str | None = None) -> list[Row]:
        """The enrollments of a member, oldest first; in one course if it is given."""
        with self._lock:
            if course is None:
                return list(self._by_member.get(fold(member), {}).values())
            return list(self._by_pair.get((fold(member), fold(course)), {}).values())

    def duplicates(self) -> dict[Pair, int]:
        """The pairs with more than one enrollment, and how many."""
        with self._lock:
            return {pair: len(rows) for pair, rows in self._by_pair.items() if len(rows) > 1}

    def state(self) -> dict[str, Any]:
        """Everything but the secrets, ready for JSON."""
        with self._lock:
            return {
                "users": list(self.users.values()),
                "courses": list(self.courses.values()),
                "enrollments": list(self._rows.values()),
                "keys": [{"user": key.user, "roles": sorted(key.roles)} for key in self.keys.values()],
                "switches": asdict(self.switches),
            }


def default_site() -> Site:
    """The site that the recordings were made on, before anybody was enrolled."""
    site = Site()
    for number in range(1, 201):
        site.add_user(f"student{number}@example.com", full_name=f"Student {number}")
    site.add_user("disabled1@example.com", full_name="Disabled One", enabled=False)
    site.add_user("o'brien+x@example.com", full_name="Odd")
    site.add_course("data-science")
    site.add_course("no-self", disable_self_learning=1)
    site.add_course("paid-course", paid_course=1)
    site.add_course("python-basics")
    site.add_course("unpublished", published=0, status=None)
    site.add_course("web-dev")
    _default_keys(site)
    return site


def load_site(
    users: Iterable[Mapping[str, Any]],
    courses: Iterable[Mapping[str, Any]],
    enrollments: Iterable[Mapping[str, Any]] = (),
) -> Site:
    """A site of one's own, from plain dicts, with the usual keys.

    Users need `email`, courses `name`, enrollments `member` and `course`; further fields as in the tables.
    """
    site = Site()
    for user in users:
        site.add_user(user["email"], full_name=user.get("full_name"), enabled=bool(user.get("enabled", True)))
    for course in courses:
        site.add_course(**course)
    common = stamps("Administrator")
    site.insert({"name": secrets.token_hex(5)} | common | dict(row) for row in enrollments)
    _default_keys(site)
    return site


def read_site(text: str) -> Site:
    """A site from JSON: {"users": […], "courses": […], "enrollments": […], "switches": {…}}."""
    state = json.loads(text)
    site = load_site(state.get("users", ()), state.get("courses", ()), state.get("enrollments", ()))
    site.switches.change(state.get("switches", {}))
    return site


#: By the name in `key_NAME:secret_NAME`: whose it is, and the roles of that user.
_KEYS: dict[str, tuple[str, list[str]]] = {
    "integration": ("integration", [MODERATOR]),
    "modsys": ("modsys", [MODERATOR, SYSTEM_MANAGER]),
    "sysman": ("sysman", [SYSTEM_MANAGER]),
    "creator": ("creator", [CREATOR]),
    "student": ("student", [STUDENT]),
    "student_role": ("lmsstudent", [STUDENT]),
    "lowpriv": ("lowpriv", []),
}


def _default_keys(site: Site) -> None:
    for name, (user, roles) in _KEYS.items():
        site.add_key(f"key_{name}", f"secret_{name}", user=f"{user}@example.com", roles=roles)
