"""What a setting is made of: its field, the types of values, and how to say that a value is not right.

Validators take the raw value and raise ValueError with the remedy; messages never hold the value.
What only one group's values must be like stands in that group's file.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, Literal
from urllib.parse import unquote

from pydantic import BeforeValidator, Field

_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)\s?([smhd]?)", re.ASCII)
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST = 10 * 365 * 86400.0
#: How people write a number that is found out while at work.
AUTO = "auto"
_TRUE, _FALSE = ("1", "true", "yes"), ("0", "false", "no")


def duration(value: object) -> float:
    """Seconds, from `0.2s`, `90s`, `5m`, `2h`, `7d` or a plain number of seconds. Raises ValueError."""
    match = _DURATION.fullmatch(str(value))
    seconds = float(match[1]) * _SECONDS[match[2]] if match else math.inf
    if seconds > _LONGEST:
        raise ValueError("must be a duration such as 0.2s, 90s, 5m, 2h or 7d")
    return seconds


def as_duration(seconds: float) -> str:
    """How people write so many seconds: the largest unit that needs no fraction."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{int(seconds // size)}{unit}"
    return f"{seconds:.9f}".rstrip("0").rstrip(".") + "s"


def whole(value: object) -> int:
    """A whole number in plain digits. Raises ValueError."""
    if re.fullmatch(r"-?[0-9]{1,12}", str(value)) is None:
        raise ValueError("must be a whole number")
    return int(str(value))


def whole_or_auto(value: object) -> int | None:
    """A whole number, or None for the word auto: found out while at work. Raises ValueError."""
    if value is None or str(value).lower() == AUTO:
        return None
    try:
        return whole(value)
    except ValueError:
        raise ValueError(f"must be {AUTO} or a whole number") from None


def number(value: object) -> float:
    """A decimal number in plain digits. Raises ValueError."""
    if re.fullmatch(r"-?[0-9]{1,12}(\.[0-9]{1,9})?", str(value)) is None:
        raise ValueError("must be a number")
    return float(str(value))


def flag(value: object) -> bool:
    """1/true/yes or 0/false/no, in any case. Raises ValueError: a typo must not read as no."""
    word = str(value).lower()
    if word not in _TRUE + _FALSE:
        raise ValueError("must be 1, true or yes, or 0, false or no")
    return word in _TRUE


def is_host(host: str) -> bool:
    """Whether something can be a host's name or address."""
    if ":" in host:  # an IPv6 address; urlsplit has checked the brackets
        return True
    try:
        labels = host.removesuffix(".").encode("idna").decode("ascii").split(".")
    except UnicodeError:  # an empty or overlong label
        return False
    return all(re.fullmatch(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?", label) for label in labels)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name alone."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def secrets_in(value: str) -> Iterator[str]:
    """What of a secret setting's value must never be shown: all of it, or a URL's login and password."""
    scheme, separator, rest = value.partition("://")
    if not separator:
        yield value
        yield value.partition(":")[2]
        return
    login = rest.rpartition("@")[0]
    if login:
        password = login.partition(":")[2]
        yield from (value, f"{scheme}://{login}", password, unquote(password))


def missing(name: str, *, is_secret: bool) -> str:
    """The problem of a required setting that is not there."""
    return f"{name}: is required; set it{f' (or {name}_FILE)' if is_secret else ''}"


_BOUNDS = {
    "greater_than_equal": ("ge", "must be at least"),
    "less_than_equal": ("le", "must be at most"),
    "greater_than": ("gt", "must be more than"),
}


def explain(
    name: str, error: Mapping[str, Any], values: Mapping[str, str], *, secret: Collection[str]
) -> str:
    """One problem in words; the value itself only where it cannot be a secret."""
    context = error.get("ctx", {})
    kind = error["type"]
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        text = f"{words} {context[key]:g}"
    elif kind == "literal_error":
        text = f"must be {context['expected'].replace(chr(39), '')}"
    elif kind == "value_error":
        text = str(context["error"])
    else:
        text = "is not usable"
    value = values.get(name, "")
    # Somebody may have pasted a key into the wrong line: only what is short and plain is shown.
    if name not in secret and re.fullmatch(r"[\w.,*+/ -]{1,20}", value, re.ASCII):
        text += f" (it is {value!r})"
    return f"{name}: {text}"


#: What a command needs: `report` and `db` need the audit only.
Group = Literal["mongodb", "lms", "audit", "mail"]
EVERYTHING: tuple[Group, ...] = ("mongodb", "lms", "audit", "mail")

Seconds = Annotated[float, BeforeValidator(duration)]
Number = Annotated[float, BeforeValidator(number)]
Whole = Annotated[int, BeforeValidator(whole)]
WholeOrAuto = Annotated[int | None, BeforeValidator(whole_or_auto)]
LOWER = BeforeValidator(str.lower)
Flag = Annotated[bool, BeforeValidator(flag)]


def setting(
    env: str,
    default: Any,
    description: str,
    *,
    unit: str = "",
    group: Group | None = None,
    required: bool = False,
    **bounds: float,
) -> Any:
    """A model field. `group`: only commands that ask for this group need it."""
    extra: dict[str, Any] = {"unit": unit, "group": group, "required": required}
    limits: dict[str, Any] = dict(bounds)
    return Field(default, validation_alias=env, description=description, json_schema_extra=extra, **limits)
