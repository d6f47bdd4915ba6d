"""Who asks, and who may list, open and create what. FRAPPE 2, 3.1, 4 and 5.1."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from reconcile.sandbox.lms.answers import Message, Refusal, no_role
from reconcile.sandbox.lms.site import (
    COURSE,
    CREATOR,
    ENROLLMENT,
    MODERATOR,
    PAYMENT,
    STUDENT,
    SYSTEM_MANAGER,
    USER,
    Key,
    Row,
    Site,
    fold,
)

GUEST = Key("Guest", frozenset())


def authenticate(site: Site, headers: Mapping[str, str]) -> Key:
    """Whom the header names: Guest without one or with a malformed one, 401 for a wrong one (FRAPPE 2)."""
    parts = headers.get("authorization", "").split(" ")
    if len(parts) != 2:
        return GUEST
    scheme, token = parts[0].lower(), parts[1]
    if scheme == "basic":
        try:
            token = base64.b64decode(token, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise _unauthenticated() from error
    key = site.keys.get(token) if scheme in ("basic", "token") else None
    if key is None:
        raise _unauthenticated()
    return key


def may_create(site: Site, key: Key, doctype: str = ENROLLMENT) -> None:
    """Raise the refusal unless the key may create documents of that type (FRAPPE 5.1)."""
    allowed = {SYSTEM_MANAGER, "Administrator"}
    if doctype == ENROLLMENT:
        allowed |= {MODERATOR, STUDENT}
        if site.switches.variant != "2024":
            allowed |= {CREATOR, "Batch Evaluator"}
    if not allowed & key.roles:
        raise no_role(key.user, doctype, verb="create")


def may_list(site: Site, key: Key, doctype: str) -> str | None:
    """None where all rows are shown, else the one owner whose rows are; or raise the refusal.

    The owner is the trap: a student's key is answered 200 without everybody else's rows (FRAPPE 3.1).
    """
    old = site.switches.variant == "2024"
    if doctype == USER and key is not GUEST:
        return None
    allowed = {
        ENROLLMENT: {MODERATOR, SYSTEM_MANAGER, STUDENT if old else CREATOR},
        COURSE: {SYSTEM_MANAGER, CREATOR} | (set() if old else {MODERATOR}),
        PAYMENT: {SYSTEM_MANAGER},
    }.get(doctype, set())
    if allowed & key.roles:
        return None
    if doctype == ENROLLMENT and STUDENT in key.roles:
        return key.user
    raise no_role(key.user, doctype)


def may_open(site: Site, key: Key, doctype: str, *, row: Row, verb: str) -> None:
    """Raise the refusal unless the key may read or delete this one document (FRAPPE 4)."""
    if doctype == USER and SYSTEM_MANAGER not in key.roles and fold(key.user) != fold(row["name"]):
        text = f"{no_role(key.user, USER, verb=verb).messages[0].text}: {USER} - {row['name']}"
        raise Refusal(403, "PermissionError", messages=[Message(text, bare=True)])
    owner = may_list(site, key, doctype)
    if owner is not None and fold(owner) != fold(row["owner"]):
        raise no_role(key.user, doctype, verb=verb)


def _unauthenticated() -> Refusal:
    return Refusal(401, "AuthenticationError", messages=[])
