"""Every setting: its environment name, default, unit and meaning, in one place.

`Settings.load` reads the environment and `.env`, resolves `NAME_FILE` for secrets and reports all
problems at once. Nothing is connected to here. Importing this is slow (pydantic): import it where a
command needs it. The rules are INTERFACE's, section "Settings".
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Self

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from reconcile.base.errors import ConfigurationError
from reconcile.base.redaction import register_secret
from reconcile.settings import alerts, core, rules
from reconcile.settings.alerts import AlertSettings
from reconcile.settings.core import CoreSettings, LogSettings
from reconcile.settings.mail import MailSettings
from reconcile.settings.rules import EVERYTHING, Group
from reconcile.settings.schedule import ScheduleSettings, WatchSettings
from reconcile.settings.sources import read_sources

#: The groups of settings, in the order in which the documentation lists them.
SECTIONS: tuple[type[BaseModel], ...] = (
    CoreSettings,
    ScheduleSettings,
    WatchSettings,
    AlertSettings,
    MailSettings,
    LogSettings,
)


class Settings(CoreSettings, ScheduleSettings, WatchSettings, AlertSettings, MailSettings, LogSettings):
    """The settings of one process, checked and frozen.

    Secrets never show in `repr()` or dumps, and it does not pickle. Make it with `Settings.load`. A
    group that was not asked for keeps its defaults, unchecked.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, validate_default=False)

    @classmethod
    def load(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        env_file: str | os.PathLike[str] | None = ".env",
        require: Iterable[Group] = EVERYTHING,
    ) -> Self:
        """Read and check the settings.

        The environment (`environ`, default the process's) wins over `env_file`, which may be absent;
        empty counts as unset. `require` names the groups that the command needs: settings of other
        groups are neither required nor checked. Registers the secrets with the redaction.
        Raises ConfigurationError with every problem; each begins with the variable's name and never
        holds a secret.
        """
        groups = set(require)
        wanted = {doc.name: doc for doc, group in _GROUPS.items() if group is None or group in groups}
        secret = frozenset(name for name, doc in wanted.items() if doc.secret)
        path = Path(env_file) if env_file is not None else None
        values, problems = read_sources(
            os.environ if environ is None else environ, path, names=wanted.keys(), secret=secret
        )
        for name in sorted(secret & values.keys()):
            _register(values[name])
        for name in secret & values.keys() & alerts.NAMES:
            for part in alerts.secret_parts(values[name]):
                register_secret(part)
        settings, faulty = cls._parse(values, problems)
        faulty |= {problem.partition(":")[0] for problem in problems}
        missing = [name for name, doc in wanted.items() if doc.required and name not in values]
        problems += [rules.missing(name, is_secret=name in secret) for name in missing if name not in faulty]
        settings = settings._completed(groups, faulty, problems)
        if problems:
            raise ConfigurationError(problems, hint="Set them in the environment or in .env, then try again.")
        return settings

    @classmethod
    def _parse(cls, values: dict[str, str], problems: list[str]) -> tuple[Self, set[str]]:
        """The settings without the unusable values, whose problems are added; the names of those."""
        try:
            return cls(**values), set()
        except ValidationError as error:
            errors = error.errors(include_url=False, include_context=True, include_input=False)
            faulty = {str(item["loc"][0]) for item in errors}
            problems += [
                rules.explain(str(item["loc"][0]), item, values, secret=SECRET_NAMES) for item in errors
            ]
        usable = {name: value for name, value in values.items() if name not in faulty}
        return cls(**usable), faulty

    def _completed(self, groups: set[Group], faulty: set[str], problems: list[str]) -> Self:
        """Check what several settings say together, and put the base URL into its final form."""
        found: list[str] = []
        update: dict[str, object] = {}
        if "mongodb" in groups and "MONGODB_URI" not in faulty:
            found += core.database_problems(self.mongodb_uri.get_secret_value(), self.mongodb_db)
        if "lms" in groups:
            if self.lms_base_url:
                url, problem = core.base_url(self.lms_base_url, allow_http=self.allow_http)
                update["lms_base_url"] = url
                found += [problem] if problem else []
            key, secret = self.lms_api_key.get_secret_value(), self.lms_api_secret.get_secret_value()
            found += core.key_problems(key, secret, enroll_via=self.enroll_via)
        if "mail" in groups and "RECONCILE_SMTP_URL" not in faulty:
            found += self.mail_problems()
        found += alerts.ping_problems(self.ping_url.get_secret_value(), allow_http=self.allow_http)
        # A variable that is already known to be wrong has its problem; consequences help nobody.
        problems += [problem for problem in found if problem.partition(":")[0] not in faulty]
        return self.model_copy(update=update)

    @property
    def database(self) -> str:
        """The database's name: from the URI's path, else MONGODB_DB."""
        return core.database_of(self.mongodb_uri.get_secret_value()) or self.mongodb_db

    @property
    def authorization(self) -> SecretStr | None:
        """The Authorization header's value, or None without a key (FRAPPE 2: exactly two words)."""
        header = core.authorization(
            self.lms_api_key.get_secret_value(), self.lms_api_secret.get_secret_value()
        )
        return SecretStr(header) if header else None

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise TypeError("settings hold secrets and are not pickled; load them where they are needed")


@dataclass(frozen=True, kw_only=True)
class SettingDoc:
    """What the documentation says of one setting."""

    name: str
    default: str  #: as people write it; empty where there is none
    unit: str
    description: str
    secret: bool
    required: bool


def _documented() -> Iterable[tuple[SettingDoc, Group | None]]:
    for field in (field for section in SECTIONS for field in section.model_fields.values()):
        extra: Any = field.json_schema_extra
        default: Any = field.default
        if isinstance(default, SecretStr):
            default = default.get_secret_value()
        elif default is None:
            default = rules.AUTO
        elif extra["unit"] == "duration":
            default = rules.as_duration(default)
        elif isinstance(default, tuple):
            default = " ".join(default)
        elif isinstance(default, (bool, float)):
            default = f"{default:g}"
        doc = SettingDoc(
            name=str(field.validation_alias),
            default=str(default),
            unit=extra["unit"],
            description=field.description or "",
            secret=field.annotation is SecretStr,
            required=extra["required"],
        )
        yield doc, extra["group"]


_GROUPS = dict(_documented())
SETTINGS: tuple[SettingDoc, ...] = tuple(_GROUPS)
SECRET_NAMES = frozenset(doc.name for doc in SETTINGS if doc.secret)


def _register(value: str) -> None:
    """Keep a secret, and the password inside a URL, out of whatever is shown from now on."""
    for secret in rules.secrets_in(value):
        register_secret(secret)
