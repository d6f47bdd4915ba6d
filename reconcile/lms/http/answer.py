"""One HTTP answer as plain values: status, headers, the JSON if it is some. Standard library only.

Parsing never raises: any answer can be HTML, cut off, or nonsense (FRAPPE, point 7).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from reconcile.base.redaction import excerpt

_TAG = re.compile(r"<[^>]{0,500}>")
_EXCERPT_BYTES = 4096


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the LMS answered. Header names are lower case; `text_excerpt` is redacted and short."""

    status: int
    headers: Mapping[str, str]
    json: Any
    text_excerpt: str
    is_json: bool

    @classmethod
    def of(cls, status: int, headers: Mapping[str, str], body: bytes) -> Answer:
        """The answer made of these bytes. Never raises."""
        value, is_json = _parse(body)
        # Error pages are 326 kB: what they say stands at their beginning, or nowhere (FRAPPE 8).
        text = "" if is_json else body[:_EXCERPT_BYTES].decode("utf-8", "replace")
        return cls(
            status=status,
            headers={name.lower(): value for name, value in headers.items()},
            json=value,
            text_excerpt=excerpt(_TAG.sub(" ", text)),
            is_json=is_json,
        )


def _parse(body: bytes) -> tuple[Any, bool]:
    try:
        text = body.decode("utf-8-sig")
        return json.loads(text, parse_constant=_refuse, parse_float=_finite), True
    except (ValueError, RecursionError):  # not UTF-8, not JSON, NaN, a number of 5000 digits; too deep
        return None, False


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("a number beyond all numbers")
    return value
