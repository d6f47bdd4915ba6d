"""How a site is set up: which LMS's rules, what is installed, whether it is open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

VARIANTS = ("head", "2024", "head-oldfw")


@dataclass
class Switches:
    """How the site is set up. Everything here may be changed while it serves."""

    #: Which LMS's rules: today's, January 2024's, or today's on a framework that lost the duplicate check.
    variant: str = "head"
    #: Whether the vendor's own confirm_payment is installed (FRAPPE, point 13).
    confirm_payment: bool = True
    #: Seconds between looking for a duplicate and inserting.
    race_window: float = 0.003
    #: The real one counts without asking for permission (FRAPPE 3.1).
    count_checks_permissions: bool = False
    #: "off", "on" (503 for everything) or "readonly" (503 for writes) (FRAPPE 7).
    maintenance: str = "off"
    #: System Settings.allow_error_traceback (FRAPPE 8).
    allow_error_traceback: bool = True
    #: The one host name served; None serves any (FRAPPE 1).
    host: str | None = None

    def change(self, values: Mapping[str, Any]) -> None:
        """Set these switches; raises ValueError for an unknown name, kind or value."""
        for name, value in values.items():
            if name not in self.__dataclass_fields__:
                raise ValueError(f"no such switch: {name}")
            setattr(self, name, _checked(name, value))


def _checked(name: str, value: Any) -> Any:
    if name == "variant" and value not in VARIANTS:
        raise ValueError(f"variant is one of {', '.join(VARIANTS)}, not {value!r}")
    if name == "maintenance":
        value = {False: "off", True: "on", None: "off"}.get(value, value)
        if value not in ("off", "on", "readonly"):
            raise ValueError(f"maintenance is off, on or readonly, not {value!r}")
    if name == "race_window":
        return float(value)
    if name in ("confirm_payment", "count_checks_permissions", "allow_error_traceback") and not isinstance(
        value, bool
    ):
        raise ValueError(f"{name} is true or false, not {value!r}")
    return value
