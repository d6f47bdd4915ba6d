"""`frappe.client.get_list`'s filters, fields, order and limits, on the tables of a `Site`.

FRAPPE 3: comparison as the database's collation has it, 20 rows unless asked otherwise.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import ge, gt, le, lt
from typing import Any

from reconcile.sandbox.lms.answers import Refusal, python_error
from reconcile.sandbox.lms.site import COURSE, ENROLLMENT, PAYMENT, USER, Row, Site, fold

DEFAULT_LIMIT = 20
_SORTED = 5000
_COMMON = ("name", "owner", "creation", "modified", "modified_by", "docstatus", "idx")
#: The fields that each doctype knows; asking for another is a DataError.
FIELDS: dict[str, tuple[str, ...]] = {
    ENROLLMENT: (
        *_COMMON, "course", "progress", "payment", "current_lesson", "enrollment_from_batch", "member",
        "member_name", "member_username", "member_image", "purchased_certificate", "certificate",
        "member_type", "role", "batch_old", "cohort", "subgroup",
    ),
    USER: (*_COMMON, "email", "full_name", "first_name", "enabled", "username", "user_type"),
    COURSE: (*_COMMON, "title", "published", "paid_course", "disable_self_learning", "upcoming", "status"),
    PAYMENT: (*_COMMON, "member", "payment_for_document", "payment_received"),
}  # fmt: skip
#: Those whose empty value reads as something else than null.
_DEFAULTS = {"progress": 0.0, "purchased_certificate": 0, "member_type": "Student", "role": "Member"}

Condition = tuple[str, str, Any]
Test = Callable[[Any], bool]


@dataclass(frozen=True, kw_only=True)
class Query:
    """One list request, read."""

    doctype: str
    fields: Sequence[str] = ("name",)
    filters: Sequence[Condition] = ()
    or_filters: Sequence[Condition] = ()
    order_by: str = ""
    start: int = 0
    #: None: all.
    limit: int | None = DEFAULT_LIMIT
    #: Only rows of this owner (permission `if_owner`).
    owner: str | None = None
    hidden: frozenset[str] = field(default_factory=frozenset)
    #: `!= null` means "is null", as the framework without today's patch compiles it (FRAPPE 0).
    null_is_null: bool = False


def loaded(value: Any) -> Any:
    """A parameter that may come as JSON text; other text is an uncaught error (03_get_bad_filter_json)."""
    if not isinstance(value, str):
        return value
    if not value:
        return None
    try:
        return json.loads(value)
    except json.JSONDecodeError as error:
        raise python_error("JSONDecodeError", str(error), module="json.decoder.") from error


def read_query(doctype: str, args: Mapping[str, Any]) -> Query:
    """The query in a request's arguments."""
    fields = loaded(args.get("fields")) or ["name"]
    return Query(
        doctype=doctype,
        fields=[fields] if isinstance(fields, str) else fields,
        filters=conditions(loaded(args.get("filters"))),
        or_filters=conditions(loaded(args.get("or_filters"))),
        order_by=str(args.get("order_by") or ""),
        start=_whole(args.get("limit_start") or args.get("start")),
        limit=_whole(args.get("limit_page_length", DEFAULT_LIMIT)) or None,
    )


def conditions(filters: Any) -> list[Condition]:
    """Filters as a list or a dict, with or without the doctype and the operator."""
    if not filters:
        return []
    if isinstance(filters, Mapping):
        found = []
        for name, value in filters.items():
            pair = isinstance(value, list | tuple) and len(value) == 2 and isinstance(value[0], str)
            found.append((name, str(value[0]).lower(), value[1]) if pair else (name, "=", value))
        return found
    if not isinstance(filters, Iterable) or isinstance(filters, str):
        return [("name", "=", filters)]
    return [_condition(entry) for entry in filters]


def select(site: Site, query: Query) -> list[Row]:
    """The rows that the query asks for, with the fields it asks for."""
    rows = matching(site, query)
    if not query.order_by and len(rows) <= _SORTED:
        # No ORDER BY: the real table comes by its random names, so nobody may rely on any order.
        rows.sort(key=lambda row: str(row["name"]))
    for term in reversed([term.strip() for term in query.order_by.split(",") if term.strip()]):
        name, _, direction = term.replace("`", "").rpartition(".")[2].partition(" ")
        _known(query.doctype, [name])
        rows = sorted(rows, key=lambda row: _sortable(row.get(name)), reverse=direction.strip() == "desc")
    stop = None if query.limit is None else query.start + query.limit
    wanted = _wanted(query.doctype, query.fields)
    return [{name: value_of(row, name) for name in wanted} for row in rows[query.start : stop]]


def matching(site: Site, query: Query) -> list[Row]:
    """All rows that pass the filters, in the order of the table."""
    _known(query.doctype, [name for name, _, _ in (*query.filters, *query.or_filters)])
    tests, either = (
        [(name, _test(_meant(query, operator, value), value)) for name, operator, value in conditions]
        for conditions in (query.filters, query.or_filters)
    )
    if query.owner is not None:
        tests.append(("owner", _test("=", query.owner)))
    rows: Iterable[Row] = _candidates(site, query)
    for name, test in tests:
        rows = [row for row in rows if test(value_of(row, name))]
    if either:
        rows = [row for row in rows if any(test(value_of(row, name)) for name, test in either)]
    return [row for row in rows if row["name"] not in query.hidden]


def value_of(row: Row, name: str) -> Any:
    """A field's value, or what the table has where nothing was stored."""
    return row.get(name, _DEFAULTS.get(name))


def _meant(query: Query, operator: str, value: Any) -> str:
    return "=" if query.null_is_null and operator == "!=" and value is None else operator


def _candidates(site: Site, query: Query) -> Iterable[Row]:
    """The rows worth testing: through an index on name or member where a filter permits it."""
    for name, operator, value in query.filters:
        if operator not in ("=", "in") or name not in ("name", "member"):
            continue
        values = _values(value) if operator == "in" else [value]
        keys = dict.fromkeys(fold(text) for text in values if isinstance(text, str))
        if name == "member" and query.doctype == ENROLLMENT:
            return [row for key in keys for row in site.enrollments_of(key)]
        if name == "name" and query.doctype != ENROLLMENT:
            table = site.table(query.doctype)
            return [table[key] for key in keys if key in table]
    if query.doctype == ENROLLMENT:
        return site.enrollments()
    return list(site.table(query.doctype).values())


def _condition(entry: Any) -> Condition:
    entry = list(entry) if isinstance(entry, list | tuple) else [entry]
    # [doctype, field, operator, value], further ones are ignored.
    if len(entry) >= 4:
        entry = entry[1:4]
    if len(entry) == 2:
        entry = [entry[0], "=", entry[1]]
    if len(entry) != 3:
        raise python_error("ValueError", "Filter must have 4 values (doctype, fieldname, operator, value)")
    return (str(entry[0]), str(entry[1]).lower(), entry[2])


def _test(operator: str, value: Any) -> Test:
    if operator in ("in", "not in"):
        keys = {_comparable(item) for item in _values(value)}
        wanted = operator == "in"
        return lambda stored: stored is not None and (_comparable(stored) in keys) is wanted
    if operator in ("like", "not like"):
        parts = re.split("([%_])", fold(str(value)))
        pattern = "".join({"%": ".*", "_": "."}.get(part, re.escape(part)) for part in parts)
        expression, wanted = re.compile(pattern, re.DOTALL), operator == "like"
        return lambda stored: (expression.fullmatch(fold(str(stored or ""))) is not None) is wanted
    if operator in ("=", "!="):
        wanted = operator == "="
        if value is None:
            return lambda stored: (stored is None) is wanted
        key = _comparable(value)
        return lambda stored: (_comparable(stored) == key) is wanted
    if operator == "is":
        given = str(value).lower() == "set"
        return lambda stored: (stored not in (None, "")) is given
    if operator == "between":
        low, high = (str(end) for end in _values(value)[:2])
        if len(high) == 10:  # a date alone means the whole day
            high += " 23:59:59.999999"
        above, below = _ordered(">=", low), _ordered("<=", high)
        return lambda stored: above(stored) and below(stored)
    if operator in _ORDER:
        return _ordered(operator, value)
    raise Refusal(417, "ValidationError", f"Operator must be one of {', '.join(sorted(_OPERATORS))}")


_ORDER: dict[str, Callable[[Any, Any], bool]] = {"<": lt, ">": gt, "<=": le, ">=": ge}
_OPERATORS = {"=", "!=", "in", "not in", "like", "not like", "between", "is", *_ORDER}


def _ordered(operator: str, value: Any) -> Test:
    compare = _ORDER[operator]
    if isinstance(value, int | float):
        return lambda stored: isinstance(stored, int | float) and compare(stored, value)
    key = fold(str(value))
    return lambda stored: stored is not None and compare(fold(str(stored)), key)


def _comparable(value: Any) -> Any:
    if isinstance(value, str):
        return fold(value)
    if isinstance(value, bool | int | float):
        return str(int(value)) if value == int(value) else str(value)
    return "" if value is None else str(value)


def _values(value: Any) -> list[Any]:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")]
    return list(value) if isinstance(value, Iterable) else [value]


def _whole(value: Any) -> int:
    """The number as Frappe's `cint` reads it: 0 where there is none."""
    try:
        return int(value or 0)
    except (TypeError, ValueError):
        return 0


def _wanted(doctype: str, fields: Sequence[str]) -> list[str]:
    names: list[str] = []
    for name in fields:
        names += FIELDS[doctype] if name == "*" else [str(name).replace("`", "").rpartition(".")[2]]
    _known(doctype, names)
    return list(dict.fromkeys(names))


def _known(doctype: str, names: Iterable[str]) -> None:
    for name in names:
        if name not in FIELDS[doctype]:
            raise Refusal(417, "DataError", f"Field not permitted in query: {name}")


def _sortable(value: Any) -> tuple[int, Any]:
    if value is None:
        return (0, "")
    return (1, fold(value)) if isinstance(value, str) else (1, value)
