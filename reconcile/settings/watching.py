"""The settings of watching: where the scheduler can be asked how it is, and when it is not well."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator
from pydantic_settings import BaseSettings

from reconcile.settings.fields import Seconds, setting

_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):([0-9]{1,5})", re.ASCII)
_OFF = "off"


def host_and_port(value: str) -> tuple[str, int] | None:
    """Where to listen; None for `off`. Port 0 is any free one. Raises ValueError."""
    if value.strip().lower() in ("", _OFF):
        return None
    match = _ADDRESS.fullmatch(value.strip())
    if match is None or int(match[3]) > 65535:
        raise ValueError("must be HOST:PORT such as 127.0.0.1:9108 or [::1]:9108, or off")
    return match[1] or match[2], int(match[3])


def _checked(value: str) -> str:
    host_and_port(value)
    return value


class WatchSettings(BaseSettings):
    """What `reconcile schedule` offers to monitoring."""

    http: Annotated[str, BeforeValidator(_checked)] = setting(
        "RECONCILE_HTTP",
        _OFF,
        "Where the scheduler serves /healthz, /readyz and /metrics, as 127.0.0.1:9108.",
        unit="address",
    )
    ready_age: Seconds = setting(
        "RECONCILE_READY_AGE",
        900.0,
        "Older than this, the last good run makes /readyz fail.",
        unit="duration",
        gt=0,
    )
