"""What a setting is made of: its type, and its name, default, unit and meaning in one place."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from reconcile.settings import rules

#: What a command needs: `report` and `db` need the audit only.
Group = Literal["mongodb", "lms", "audit", "mail"]
EVERYTHING: tuple[Group, ...] = ("mongodb", "lms", "audit", "mail")

Seconds = Annotated[float, BeforeValidator(rules.duration)]
Number = Annotated[float, BeforeValidator(rules.number)]
Whole = Annotated[int, BeforeValidator(rules.whole)]
LOWER = BeforeValidator(str.lower)
Flag = Annotated[bool, BeforeValidator(rules.flag)]


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
