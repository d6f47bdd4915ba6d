"""The settings of a run: the two systems, the audit, how often and how fast; and what is logged."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, BeforeValidator, SecretStr

from reconcile.domain.identity import PLACEHOLDERS
from reconcile.settings import rules
from reconcile.settings.rules import LOWER, Flag, Number, Seconds, Whole, WholeOrAuto, setting

#: An address that no pattern of made-up ones may match.
_SOMEBODY = "somebody.else@example.org"
_DATABASE = re.compile(r"[^\s/\\.\"$*<>:|?\x00-\x1f]{1,63}")


def check_mongodb_uri(value: str) -> str:
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


def check_database_name(value: str) -> str:
    """A MongoDB database name. Raises ValueError."""
    if _DATABASE.fullmatch(value) is None:
        raise ValueError("must be a database name: no spaces, dots, slashes or $")
    return value


def check_collection_name(value: str) -> str:
    """A MongoDB collection name. Raises ValueError."""
    if not value.isprintable() or "$" in value or value.startswith(("system.", ".")) or len(value) > 120:
        raise ValueError("must be a collection name such as enrollments")
    return value


def check_placeholders(value: object) -> tuple[str, ...]:
    """Patterns of addresses that are nobody's, blanks or commas between. Raises ValueError."""
    if isinstance(value, tuple):
        return value
    patterns = tuple(str(value).lower().replace(",", " ").split())
    if any("@" not in each or fnmatchcase(_SOMEBODY, each) for each in patterns):
        raise ValueError("must be patterns such as temp_*@placeholder.com, and none that matches everybody")
    return patterns


def check_audit_url(value: str) -> str:
    """A SQLAlchemy URL, as far as can be told without SQLAlchemy. Raises ValueError."""
    if re.match(r"[a-z][a-z0-9_+]*://", value) is None or re.search(r"[\r\n]", value):
        raise ValueError("must be a database URL such as sqlite:///reconcile-audit.db")
    return value


def check_api_key(value: str) -> str:
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
    if parts.scheme not in ("http", "https") or not rules.is_host(host) or port == 0 or not _is_plain(text):
        return value, f"{name}: is not a web address; write it as https://lms.example.com"
    if parts.query or parts.fragment or text.rstrip("/").endswith(("?", "#")):
        return value, f"{name}: must not hold a query (? or #); write it as https://lms.example.com"
    if parts.scheme == "http" and not allow_http and not rules.is_loopback(host):
        return value, (
            f"{name}: must be https://, or key and addresses travel in the clear "
            "(RECONCILE_ALLOW_HTTP=1 permits http://)"
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/"), None


def _is_plain(text: str) -> bool:
    return text.isprintable() and not any(letter in text for letter in ' \\<>"')


class CoreSettings(BaseModel):
    """Where everything is, and how a run behaves."""

    mongodb_uri: Annotated[SecretStr, BeforeValidator(check_mongodb_uri)] = setting(
        "MONGODB_URI", SecretStr(""), "Where the orders are.", group="mongodb", required=True
    )
    mongodb_db: Annotated[str, BeforeValidator(check_database_name)] = setting(
        "MONGODB_DB", "", "The database, where MONGODB_URI names none in its path.", group="mongodb"
    )
    mongodb_collection: Annotated[str, BeforeValidator(check_collection_name)] = setting(
        "MONGODB_COLLECTION", "enrollments", "The collection of orders.", group="mongodb"
    )
    retry_jobs_collection: Annotated[str, BeforeValidator(check_collection_name)] = setting(
        "MONGODB_RETRY_JOBS_COLLECTION",
        "",
        "The shop's own retry queue, where it is neither retry_jobs nor retryjobs.",
        group="mongodb",
    )
    lms_base_url: str = setting(
        "FRAPPE_LMS_BASE_URL", "", "Where the LMS is; https:// is added.", group="lms", required=True
    )
    lms_api_key: Annotated[SecretStr, BeforeValidator(check_api_key)] = setting(
        "FRAPPE_LMS_API_KEY", SecretStr(""), "key:secret of a Moderator, or a Bearer token.", group="lms"
    )
    lms_api_secret: Annotated[SecretStr, BeforeValidator(check_api_key)] = setting(
        "FRAPPE_LMS_API_SECRET", SecretStr(""), "The secret, where the key is given without.", group="lms"
    )
    enroll_via: Literal["confirm_payment", "rest"] = setting(
        "RECONCILE_ENROLL_VIA", "confirm_payment", "How to enroll; rest for a stock Frappe LMS.", group="lms"
    )
    audit_url: Annotated[SecretStr, BeforeValidator(check_audit_url)] = setting(
        "RECONCILE_AUDIT_URL",
        SecretStr("sqlite:///reconcile-audit.db"),
        "The audit database, any SQLAlchemy URL.",
        group="audit",
    )
    min_age: Seconds = setting(
        "RECONCILE_MIN_AGE", 300.0, "Younger payments are left to the shop itself.", unit="duration", ge=0
    )
    max_attempts: Whole = setting(
        "RECONCILE_MAX_ATTEMPTS",
        5,
        "Visits after the first one before a person is needed; a visit is a try with its second try.",
        unit="visits",
        ge=1,
        le=1000,
    )
    backoff_base: Seconds = setting(
        "RECONCILE_BACKOFF_BASE",
        120.0,
        "Wait after the first visit; doubles with each.",
        unit="duration",
        ge=0,
    )
    backoff_max: Seconds = setting(
        "RECONCILE_BACKOFF_MAX", 1920.0, "The longest wait between visits.", unit="duration", ge=0
    )
    retry_delay: Seconds = setting(
        "RECONCILE_RETRY_DELAY", 2.0, "Wait before the immediate second try.", unit="duration", ge=0, le=3600
    )
    timeout: Seconds = setting(
        "RECONCILE_TIMEOUT", 10.0, "Patience with one LMS request.", unit="duration", gt=0, le=3600
    )
    lease_ttl: Seconds = setting(
        "RECONCILE_LEASE_TTL",
        120.0,
        "A lease not renewed for so long may be taken over.",
        unit="duration",
        gt=0,
        le=86400,
    )
    ambiguous_hold: Seconds = setting(
        "RECONCILE_AMBIGUOUS_HOLD",
        180.0,
        "After an unanswered write, nobody writes for this learner and course for so long.",
        unit="duration",
        ge=0,
    )
    placeholder_emails: Annotated[tuple[str, ...], BeforeValidator(check_placeholders)] = setting(
        "RECONCILE_PLACEHOLDER_EMAILS",
        PLACEHOLDERS,
        "Addresses that the shop makes up and that are nobody's: patterns, blanks or commas between.",
    )
    concurrency: WholeOrAuto = setting(
        "RECONCILE_CONCURRENCY",
        None,
        "Writes in flight; auto finds out by the LMS's answers: 4 at first, 1 to 32.",
        unit="writes",
        ge=1,
        le=64,
    )
    batch: WholeOrAuto = setting(
        "RECONCILE_BATCH",
        None,
        "Enrollments in one request, for rest only; auto is 25, fewer after refusals; 1 is one by one.",
        unit="enrollments",
        ge=1,
        le=200,
    )
    rate: Number = setting(
        "RECONCILE_RATE", 0.0, "Enrollments per second at most; 0 is no limit.", unit="per second", ge=0
    )
    page_size: Whole = setting(
        "RECONCILE_PAGE_SIZE",
        200,
        "Orders read at a time; the LMS is asked about up to 500.",
        unit="orders",
        ge=1,
        le=1000,
    )


class LogSettings(BaseModel):
    """How much is logged and how."""

    log_level: Annotated[Literal["debug", "info", "warning", "error", "critical"], LOWER] = setting(
        "RECONCILE_LOG_LEVEL", "info", "How much is logged."
    )
    log_format: Annotated[Literal["auto", "text", "json"], LOWER] = setting(
        "RECONCILE_LOG_FORMAT", "auto", "auto is text on a terminal and JSON lines elsewhere."
    )
    allow_http: Flag = setting(
        "RECONCILE_ALLOW_HTTP",
        default=False,
        description="1 permits http:// to other hosts: the key travels in the clear.",
    )
