"""The settings of what is said, and of what is permitted."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic_settings import BaseSettings

from reconcile.settings.fields import LOWER, Flag, setting


class LogSettings(BaseSettings):
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
