"""What a setting's value must be like, and how to say that it is not. Pure; standard library only.

Validators take the raw value and raise ValueError with the remedy; messages never hold the value.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Collection, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)\s?([smhd]?)", re.ASCII)
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST = 10 * 365 * 86400.0
_TRUE, _FALSE = ("1", "true", "yes"), ("0", "false", "no")
#: An address that no pattern of made-up ones may match.
_SOMEBODY = "somebody.else@example.org"
_DATABASE = re.compile(r"[^\s/\\.\"$*<>:|?\x00-\x1f]{1,63}")


def duration(value: object) -> float:
    """Seconds, from `0.2s`, `90s`, `5m`, `2h`, `7d` or a plain number of seconds. Raises ValueError."""
    match = _DURATION.fullmatch(str(value))
    seconds = float(match[1]) * _SECONDS[match[2]] if match else math.inf
    if seconds > _LONGEST:
        raise ValueError("must be a duration such as 0.2s, 90s, 5m, 2h or 7d")
    return seconds


def retention(value: object) -> float:
    """A duration of at least a day, or 0 for ever. Raises ValueError."""
    seconds = duration(value)
    if 0 < seconds < _SECONDS["d"]:
        raise ValueError("must be at least 1d, or 0 to keep everything")
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


def time_zone(value: str) -> str:
    """A time zone's IANA name. Raises ValueError."""
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError) as error:  # unknown, a path, a folder of the tz database
        raise ValueError("must be a time zone such as UTC or Europe/Berlin") from error
    return value


def mongodb_uri(value: str) -> str:
    """A MongoDB URI, as far as can be told without the driver. Raises ValueError."""
    scheme, separator, rest = value.partition("://")
    if scheme not in ("mongodb", "mongodb+srv") or not separator or not rest:
        raise ValueError("must begin with mongodb:// or mongodb+srv:// and name a host")
    if re.search(r"\s", value):
        raise ValueError("must not contain spaces or line breaks")
    if "@" in rest.partition("?")[0].partition("/")[2]:
        raise ValueError("has a user or password with a character that must be percent-encoded (/ as %2F)")
    return value


def database_of(uri: str) -> str:
    """The database that the URI's path names; empty where it names none."""
    return unquote(uri.partition("://")[2].partition("?")[0].partition("/")[2])


def database_name(value: str) -> str:
    """A MongoDB database name. Raises ValueError."""
    if _DATABASE.fullmatch(value) is None:
        raise ValueError("must be a database name: no spaces, dots, slashes or $")
    return value


def collection_name(value: str) -> str:
    """A MongoDB collection name. Raises ValueError."""
    if not value.isprintable() or "$" in value or value.startswith(("system.", ".")) or len(value) > 120:
        raise ValueError("must be a collection name such as enrollments")
    return value


def placeholders(value: object) -> tuple[str, ...]:
    """Patterns of addresses that are nobody's, blanks or commas between. Raises ValueError."""
    if isinstance(value, tuple):
        return value
    patterns = tuple(str(value).lower().replace(",", " ").split())
    if any("@" not in each or fnmatchcase(_SOMEBODY, each) for each in patterns):
        raise ValueError("must be patterns such as temp_*@placeholder.com, and none that matches everybody")
    return patterns


def audit_url(value: str) -> str:
    """A SQLAlchemy URL, as far as can be told without SQLAlchemy. Raises ValueError."""
    if re.match(r"[a-z][a-z0-9_+]*://", value) is None or re.search(r"[\r\n]", value):
        raise ValueError("must be a database URL such as sqlite:///reconcile-audit.db")
    return value


def api_key(value: str) -> str:
    """A key or a secret that a header can carry: a malformed header silently makes us Guest (FRAPPE 2)."""
    if re.fullmatch(r"[!-~]+", value) is None:
        raise ValueError(
            "must be printable ASCII without spaces or line breaks: key:secret alone, without the word token"
        )
    return value


def key_problems(key: str, secret: str, *, enroll_via: str) -> list[str]:
    """What is wrong with key, secret and the way to enroll, taken together."""
    problems = []
    if secret and not key:
        problems.append("FRAPPE_LMS_API_KEY: is not set, but FRAPPE_LMS_API_SECRET is; set both")
    elif secret and ":" in key:
        problems.append(
            "FRAPPE_LMS_API_SECRET: is set although FRAPPE_LMS_API_KEY holds key:secret; remove one"
        )
    elif ":" in key and not all(key.partition(":")[::2]):
        problems.append("FRAPPE_LMS_API_KEY: must have something on both sides of its colon (key:secret)")
    if enroll_via == "rest" and not key and not secret:
        problems.append("FRAPPE_LMS_API_KEY: is required, because RECONCILE_ENROLL_VIA=rest needs a key")
    return problems


def authorization(key: str, secret: str) -> str:
    """The Authorization header's value; empty without a key."""
    if not key:
        return ""
    if secret:
        return f"token {key}:{secret}"
    return f"token {key}" if ":" in key else f"Bearer {key}"


def database_problems(uri: str, fallback: str) -> list[str]:
    """What is wrong with the database's name: there is no silent default."""
    if not uri:
        return []
    named = database_of(uri)
    if named and _DATABASE.fullmatch(named) is None:
        return ["MONGODB_URI: names no valid database in its path; use mongodb://host/database"]
    if not named and not fallback:
        return ["MONGODB_DB: is required, because MONGODB_URI names no database; set one or the other"]
    return []


def base_url(value: str, *, allow_http: bool) -> tuple[str, str | None]:
    """The LMS's base URL in its final form, and what is wrong with it."""
    name = "FRAPPE_LMS_BASE_URL"
    text = value if "://" in value else f"https://{value}"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return value, f"{name}: is not a URL; write it as https://lms.example.com"
    if parts.username is not None or parts.password is not None:
        return value, f"{name}: must not hold a user or password; the key goes into FRAPPE_LMS_API_KEY"
    if parts.scheme not in ("http", "https") or not is_host(host) or port == 0 or not _is_plain(text):
        return value, f"{name}: is not a web address; write it as https://lms.example.com"
    if parts.query or parts.fragment or text.rstrip("/").endswith(("?", "#")):
        return value, f"{name}: must not hold a query (? or #); write it as https://lms.example.com"
    if parts.scheme == "http" and not allow_http and not is_loopback(host):
        return value, (
            f"{name}: must be https://, or key and addresses travel in the clear "
            "(RECONCILE_ALLOW_HTTP=1 permits http://)"
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/"), None


def _is_plain(text: str) -> bool:
    return text.isprintable() and not any(letter in text for letter in ' \\<>"')


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
