"""The settings of what is told to people and to whoever watches over the runs."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, SecretStr
from pydantic_settings import BaseSettings

from reconcile.settings import rules_alerts
from reconcile.settings.fields import Seconds, setting


class AlertSettings(BaseSettings):
    """Who is told, and from when on a learner waits too long."""

    alert_urls: Annotated[SecretStr, BeforeValidator(rules_alerts.alert_urls)] = setting(
        "RECONCILE_ALERT_URLS",
        SecretStr(""),
        "Who is told of trouble: Apprise URLs, blanks or commas between.",
    )
    alert_age: Seconds = setting(
        "RECONCILE_ALERT_AGE", 3600.0, "Who waits longer for access is an alert.", unit="duration", gt=0
    )
    ping_url: Annotated[SecretStr, BeforeValidator(rules_alerts.ping_url)] = setting(
        "RECONCILE_PING_URL", SecretStr(""), "Called after each good run, with /fail after a bad one."
    )

    @property
    def alert_url_list(self) -> list[SecretStr]:
        """The Apprise URLs, one by one."""
        return [SecretStr(url) for url in rules_alerts.split_urls(self.alert_urls.get_secret_value())]
