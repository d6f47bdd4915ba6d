"""Every setting: its environment name, default, unit and meaning; a file for each group.

Importing `Settings` is slow (pydantic): import it where a command needs it.
"""

from __future__ import annotations

from reconcile.settings.model import SECRET_NAMES, SETTINGS, SettingDoc, Settings
from reconcile.settings.rules import EVERYTHING, Group

__all__ = ["EVERYTHING", "SECRET_NAMES", "SETTINGS", "Group", "SettingDoc", "Settings"]
