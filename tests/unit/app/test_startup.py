"""A command imports what it uses: libraries take longer to import than most commands work."""

from __future__ import annotations

import subprocess
import sys

import pytest

from reconcile.app.build import build
from reconcile.settings import Settings

REQUIRED = {"MONGODB_URI": "mongodb://localhost/shop", "FRAPPE_LMS_BASE_URL": "lms.example.com"}
#: Put together and closed again, as `status` does it; nothing is contacted.
PUT_TOGETHER = f"""
import sys
from reconcile.base import log
from reconcile.settings import Settings
from reconcile.app.build import build
settings = Settings.load({REQUIRED!r}, env_file=None)
log.configure(settings.log_level, settings.log_format)
with build(settings, create_audit=False, asks_lms=%s):
    print(*(name for name in sys.argv[1:] if name in sys.modules))
"""
NEVER = (
    "structlog",
    "rich",
    "email_validator",
    "dotenv",
    "alembic",
    "jinja2",
    "prometheus_client",
    "apprise",
)


@pytest.mark.parametrize("asks_lms", [True, False])
def test_putting_an_application_together_imports_what_it_uses(*, asks_lms: bool) -> None:
    wanted = [*NEVER, "reconcile.alerts.alerting", "requests", "pymongo"]

    done = subprocess.run(
        [sys.executable, "-c", PUT_TOGETHER % asks_lms, *wanted], capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == (["requests", "pymongo"] if asks_lms else ["pymongo"])


def test_an_application_without_an_lms_cannot_ask_it() -> None:
    settings = Settings.load(REQUIRED, env_file=None)
    with build(settings, create_audit=False, asks_lms=False) as app:
        with pytest.raises(TypeError, match="observe"):
            app.ports.platform.observe([])
        with pytest.raises(TypeError, match="without an LMS"):
            _ = app.lms
