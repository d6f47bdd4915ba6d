"""Creating LMS Enrollments: the rules of three LMS versions, and the vendor's confirm_payment.

FRAPPE 5. Every path looks for a duplicate, waits `race_window`, and inserts: nothing is locked in
between, as in the real one (FRAPPE 6).
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

from reconcile.sandbox.lms.answers import Message, Refusal, invalid, python_error
from reconcile.sandbox.lms.roles import may_create
from reconcile.sandbox.lms.site import CREATOR, ENROLLMENT, MODERATOR, Key, Row, Site, fold, stamps

#: Exempt from "published", "paid" and "self-learning" (FRAPPE 5.1): not the System Manager.
_EXEMPT = {MODERATOR, CREATOR, "Batch Evaluator", "Administrator"}
#: What errors raised in the LMS's own code carry as `_exc_source`.
APP = "lms (app)"
MANY = 200


def create(site: Site, doc: Mapping[str, Any], *, by: Key) -> Row:
    """Insert one LMS Enrollment as `by`; raises the Refusal that the LMS would answer."""
    row = _ready(site, doc, by=by)
    _insert(site, [row])
    return row


def create_many(site: Site, docs: Sequence[Mapping[str, Any]], *, by: Key) -> list[str]:
    """`frappe.client.insert_many`: at most 200, all or nothing, names in order (FRAPPE 5.4)."""
    if len(docs) > MANY:
        raise invalid(f"Only {MANY} inserts allowed in one request")
    rows: list[Row] = []
    for doc in docs:
        rows.append(_ready(site, doc, by=by, before=rows))
    _insert(site, rows)
    return [row["name"] for row in rows]


def confirm(site: Site, args: Mapping[str, Any]) -> dict[str, Any]:
    """`confirm_payment`, as the storefront knows it: refusals are 200 (FRAPPE 5.3). An emulation."""
    _need("confirm_payment", args, names=("user_email", "course_id", "paid_status"))
    email, slug = args["user_email"], args["course_id"]
    if isinstance(email, list) or isinstance(slug, list):
        raise python_error("ValueError", "not enough values to unpack (expected 2, got 1)", source=APP)
    user, course = site.user(email), site.course(slug)
    if user is None:
        return {"success": False, "error": "User not found"}
    if course is None:
        return {"success": False, "error": "Course not found"}
    if site.enrollments_of(user["name"], course["name"]):
        return {"success": False, "error": "User is already enrolled in this course"}
    row = _row(site, {}, user=user, course=course, by="Administrator")
    _insert(site, [row])
    return {"success": True, "enrollment_id": row["name"], "user_email": email, "course_id": slug}


def user_exists(site: Site, args: Mapping[str, Any]) -> dict[str, Any]:
    """`check_user_exists`, an emulation too (FRAPPE 4)."""
    _need("check_user_exists", args, names=("user_email",))
    user = site.user(args["user_email"])
    return {
        "success": True,
        "exists": user is not None,
        # As stored where there is one (05_check_user_exists_case).
        "user_email": user["name"] if user else args["user_email"],
        "full_name": user["full_name"] if user else None,
        "enabled": user["enabled"] if user else None,
    }


def document(site: Site, row: Row, *, nulls: bool = False) -> dict[str, Any]:
    """An LMS Enrollment as one document (FRAPPE 5.2); `frappe.client.insert` shows empty fields too."""
    user = site.user(row["member"]) or {}
    names = ("name", "owner", "creation", "modified", "modified_by", "docstatus", "idx", "course")
    doc: dict[str, Any] = {name: row[name] for name in names}
    doc["progress"] = 0.0
    if row.get("payment"):
        doc["payment"] = row["payment"]
    doc |= {
        "member": row["member"],
        "member_name": row.get("member_name", user.get("full_name")),
        "member_username": row.get("member_username", user.get("username")),
    }
    if site.switches.variant != "2024":
        doc["purchased_certificate"] = 0
    doc |= {"member_type": "Student", "role": "Member", "doctype": ENROLLMENT}
    if nulls:
        empty: tuple[str, ...] = ("payment", "current_lesson", "batch_old", "cohort", "subgroup")
        if site.switches.variant != "2024":
            empty += ("enrollment_from_batch", "member_image", "certificate")
        doc = dict.fromkeys(empty) | doc
    return doc


def _insert(site: Site, rows: Sequence[Row]) -> None:
    """After the look for duplicates, and so late that another one's may come between."""
    time.sleep(site.switches.race_window)
    site.insert(rows)


def _need(function: str, args: Mapping[str, Any], *, names: Sequence[str]) -> None:
    """Python's own complaint about the arguments that are missing (05_confirm_missing_arg)."""
    missing = [f"'{name}'" for name in names if name not in args]
    if not missing:
        return
    listed = missing[0] if len(missing) == 1 else f"{', '.join(missing[:-1])} and {missing[-1]}"
    if len(missing) > 2:
        listed = f"{', '.join(missing[:-1])}, and {missing[-1]}"
    plural = "s" if len(missing) > 1 else ""
    text = f"{function}() missing {len(missing)} required positional argument{plural}: {listed}"
    raise python_error("TypeError", text)


def _ready(site: Site, doc: Mapping[str, Any], *, by: Key, before: Sequence[Row] = ()) -> Row:
    """The row to insert, after every check, in Frappe's order: links, role, the LMS's rules, mandatory."""
    variant = site.switches.variant
    user, course = site.user(doc.get("member")), site.course(doc.get("course"))
    _links(site, doc, found={"Course": course, "Member": user})
    may_create(site, by)
    if variant != "2024":
        _eligible(site, doc, user=user, course=course, by=by)
    if user is None or course is None:
        raise _mandatory(course=course, user=user)
    if variant != "head-oldfw":
        pair = (fold(user["name"]), fold(course["name"]))
        inside = any((fold(row["member"]), fold(row["course"])) == pair for row in before)
        if inside or site.enrollments_of(user["name"], course["name"]):
            raise invalid(_duplicate(variant, user, course), source=APP)
    return _row(site, doc, user=user, course=course, by=by.user)


def _duplicate(variant: str, user: Row, course: Row) -> str:
    if variant == "2024":
        return f"{user['full_name']} is already a Student of the course {course['title']}"
    return "Student is already enrolled in this course."


def _row(site: Site, doc: Mapping[str, Any], *, user: Row, course: Row, by: str) -> Row:
    """The names as stored, the caller's `name` ignored, `owner` the member since HEAD (FRAPPE 5.1)."""
    row: Row = {"name": secrets.token_hex(5), "member": user["name"], "course": course["name"]} | stamps(by)
    if site.switches.variant != "2024":
        row["owner"] = user["name"]
    row |= {"member_name": user["full_name"], "member_username": user["username"]}
    if doc.get("payment"):
        row["payment"] = doc["payment"]
    return row


def _links(site: Site, doc: Mapping[str, Any], *, found: Mapping[str, Row | None]) -> None:
    """All links that lead nowhere, in one LinkValidationError."""
    given = {"Course": doc.get("course"), "Member": doc.get("member")}
    missing = [f"{label}: {value}" for label, value in given.items() if value and found[label] is None]
    payment = doc.get("payment")
    if payment and fold(str(payment)) not in site.payments:
        missing.append(f"Payment: {payment}")
    if missing:
        raise Refusal(417, "LinkValidationError", f"Could not find {', '.join(missing)}")


def _eligible(site: Site, doc: Mapping[str, Any], *, user: Row | None, course: Row | None, by: Key) -> None:
    if course is None:
        text = "'NoneType' object has no attribute 'disable_self_learning'"
        raise python_error("AttributeError", text, source=APP)
    if _EXEMPT & by.roles:
        return
    if not course["published"]:
        raise invalid("You cannot enroll in an unpublished course.", source=APP)
    if course["disable_self_learning"]:
        text = "You cannot enroll in this course as self-learning is disabled."
        raise invalid(f"{text} Please contact the Administrator.", source=APP)
    if course["paid_course"] and not _paid(site, doc, user=user):
        text = "You need to complete the payment for this course before enrolling."
        raise invalid(text, source=APP)


def _paid(site: Site, doc: Mapping[str, Any], *, user: Row | None) -> bool:
    payment = site.payments.get(fold(str(doc.get("payment") or "")))
    if payment is None or user is None or not payment.get("payment_received"):
        return False
    return fold(str(payment.get("member"))) == fold(user["name"])


def _mandatory(*, course: Row | None, user: Row | None) -> Refusal:
    missing = [name for name, row in (("course", course), ("member", user)) if row is None]
    return Refusal(
        417,
        "MandatoryError",
        f"[{ENROLLMENT}, {secrets.token_hex(5)}]: {', '.join(missing)}",
        messages=[
            Message(f"Error: Value missing for {ENROLLMENT}: {name.capitalize()}", bare=True)
            for name in missing
        ],
    )
