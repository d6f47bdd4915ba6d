"""The README's table of settings, generated: `python -m tests.docs.settings_table` prints it."""

from __future__ import annotations

from reconcile.settings import SETTINGS, SettingDoc


def settings_table() -> str:
    """One row for each setting, in the order of the code."""
    rows = ["| name | default | meaning |", "|---|---|---|", *map(_row, SETTINGS)]
    return "\n".join(rows)


def _row(setting: SettingDoc) -> str:
    default = f"`{setting.default}`" if setting.default else "**required**" if setting.required else "empty"
    # `5m` and `*/5 * * * *` say their unit themselves.
    unit = f" {setting.unit}" if setting.unit in ("attempts", "per second", "orders") else ""
    file = f" Or a file: `{setting.name}_FILE`." if setting.secret else ""
    return f"| `{setting.name}` | {default}{unit} | {setting.description}{file} |"


if __name__ == "__main__":
    print(settings_table())
