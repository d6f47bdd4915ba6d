"""The settings of a run: the two systems, the audit, how often and how fast."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, SecretStr
from pydantic_settings import BaseSettings, NoDecode

from reconcile.domain.identity import PLACEHOLDERS
from reconcile.settings import rules
from reconcile.settings.fields import Number, Seconds, Whole, setting


class CoreSettings(BaseSettings):
    """Where everything is, and how a run behaves."""

    mongodb_uri: Annotated[SecretStr, BeforeValidator(rules.mongodb_uri)] = setting(
        "MONGODB_URI", SecretStr(""), "Where the orders are.", group="mongodb", required=True
    )
    mongodb_db: Annotated[str, BeforeValidator(rules.database_name)] = setting(
        "MONGODB_DB", "", "The database, where MONGODB_URI names none in its path.", group="mongodb"
    )
    mongodb_collection: Annotated[str, BeforeValidator(rules.collection_name)] = setting(
        "MONGODB_COLLECTION", "enrollments", "The collection of orders.", group="mongodb"
    )
    retry_jobs_collection: Annotated[str, BeforeValidator(rules.collection_name)] = setting(
        "MONGODB_RETRY_JOBS_COLLECTION",
        "",
        "The shop's own retry queue, where it is neither retry_jobs nor retryjobs.",
        group="mongodb",
    )
    lms_base_url: str = setting(
        "FRAPPE_LMS_BASE_URL", "", "Where the LMS is; https:// is added.", group="lms", required=True
    )
    lms_api_key: Annotated[SecretStr, BeforeValidator(rules.api_key)] = setting(
        "FRAPPE_LMS_API_KEY", SecretStr(""), "key:secret of a Moderator, or a Bearer token.", group="lms"
    )
    lms_api_secret: Annotated[SecretStr, BeforeValidator(rules.api_key)] = setting(
        "FRAPPE_LMS_API_SECRET", SecretStr(""), "The secret, where the key is given without.", group="lms"
    )
    enroll_via: Literal["confirm_payment", "rest"] = setting(
        "RECONCILE_ENROLL_VIA", "confirm_payment", "How to enroll; rest for a stock Frappe LMS.", group="lms"
    )
    audit_url: Annotated[SecretStr, BeforeValidator(rules.audit_url)] = setting(
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
    placeholder_emails: Annotated[tuple[str, ...], NoDecode, BeforeValidator(rules.placeholders)] = setting(
        "RECONCILE_PLACEHOLDER_EMAILS",
        PLACEHOLDERS,
        "Addresses that the shop makes up and that are nobody's: patterns, blanks or commas between.",
    )
    concurrency: Whole = setting(
        "RECONCILE_CONCURRENCY", 4, "Enrollments in flight.", unit="enrollments", ge=1, le=64
    )
    rate: Number = setting(
        "RECONCILE_RATE", 0.0, "Enrollments per second at most; 0 is no limit.", unit="per second", ge=0
    )
    page_size: Whole = setting(
        "RECONCILE_PAGE_SIZE", 200, "Orders looked at together.", unit="orders", ge=1, le=1000
    )
