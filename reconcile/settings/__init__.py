"""Every setting: its environment name, default, unit and meaning; one module for each section.

Importing `Settings` is slow (pydantic): import it where a command needs it.
"""

from __future__ import annotations

from reconcile.settings.fields import EVERYTHING, Group
from reconcile.settings.model import SECRET_NAMES, SETTINGS, SettingDoc, Settings

__all__ = ["EVERYTHING", "SECRET_NAMES", "SETTINGS", "Group", "SettingDoc", "Settings"]
