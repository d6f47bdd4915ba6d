"""Both embedded servers with the shop's data in them, and the settings to use them."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pymongo import MongoClient

from reconcile.sandbox.lms.server import FrappeStandIn
from reconcile.sandbox.lms.site import default_site, load_site
from reconcile.sandbox.mongo.server import EmbeddedMongo
from reconcile.sandbox.shop.seed import Shop, load, shop

KEY = "key_integration:secret_integration"
DATABASE = "shop"


@dataclass(frozen=True, kw_only=True)
class Sandbox:
    """The running servers."""

    mongo: EmbeddedMongo
    lms: FrappeStandIn
    shop: Shop | None
    directory: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """The settings that point reconcile at these servers."""
        return {
            "MONGODB_URI": self.mongo.uri(DATABASE),
            "FRAPPE_LMS_BASE_URL": self.lms.url,
            "FRAPPE_LMS_API_KEY": KEY,
            "RECONCILE_AUDIT_URL": f"sqlite:///{self.directory / 'reconcile-audit.db'}",
        }

    def exports(self) -> str:
        """The settings as shell lines."""
        return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in self.environment.items())


@contextmanager
def running(*, seeded: bool = True, mongo_port: int = 0, lms_port: int = 0) -> Iterator[Sandbox]:
    """Start both servers, with a shop's data if `seeded`; stop them and remove everything afterwards.

    Raises SandboxUnavailable where the embedded MongoDB is not installed.
    """
    data = shop(datetime.now(UTC)) if seeded else None
    site = load_site(data.lms_users, data.lms_courses, data.lms_enrollments) if data else default_site()
    with (
        tempfile.TemporaryDirectory(prefix="reconcile-sandbox-") as folder,
        EmbeddedMongo(port=mongo_port) as mongo,
        FrappeStandIn(site, port=lms_port) as lms,
    ):
        if data is not None:
            with MongoClient[dict[str, object]](mongo.uri(DATABASE)) as client:
                load(data, client[DATABASE])
        yield Sandbox(mongo=mongo, lms=lms, shop=data, directory=Path(folder))
