"""Fixtures for the installed command: the servers are shared, the orders and the LMS are each test's own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from reconcile.audit import schema
from reconcile.sandbox.lms.server import FrappeStandIn
from reconcile.sandbox.lms.site import Site, load_site
from reconcile.sandbox.mongo.server import EmbeddedMongo
from reconcile.sandbox.shop.seed import load, shop
from tests.acceptance.asking import Schedule
from tests.acceptance.harness import World


@pytest.fixture(scope="session")
def empty_audit(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An audit database without a run: made once, because Alembic takes its time."""
    path = tmp_path_factory.mktemp("audit") / "empty.db"
    schema.upgrade(f"sqlite:///{path}")
    return path.read_bytes()


@pytest.fixture
def bare(mongo: EmbeddedMongo, database: Database[dict[str, Any]], tmp_path: Path) -> Iterator[World]:
    """No orders, an LMS without anybody, and no audit database yet."""
    with FrappeStandIn(load_site([], [])) as lms:
        world = World(mongo=mongo, database=database, lms=lms, folder=tmp_path)
        yield world
        world.clean_up()


@pytest.fixture
def world(bare: World, empty_audit: bytes) -> World:
    """Somebody else is enrolled already, so that the key can prove its sight; an empty audit database."""
    bare.audit_file.write_bytes(empty_audit)
    bare.audit_file.chmod(0o600)
    _inhabit(bare.lms.site)
    return bare


@pytest.fixture
def seeded(mongo: EmbeddedMongo, database: Database[dict[str, Any]], tmp_path: Path) -> Iterator[World]:
    """The sandbox's shop, and no audit database yet."""
    data = shop(datetime.now(UTC))
    load(data, database)
    site = load_site(data.lms_users, data.lms_courses, data.lms_enrollments)
    with FrappeStandIn(site) as lms:
        world = World(mongo=mongo, database=database, lms=lms, folder=tmp_path, shop=data)
        yield world
        world.clean_up()


@pytest.fixture
def schedule(tmp_path: Path) -> Schedule:
    """Starts schedulers that can be asked over HTTP."""
    return Schedule(tmp_path)


def _inhabit(site: Site) -> None:
    site.add_course("web-dev")
    for name in ("old1@example.com", "old2@example.com"):
        site.add_user(name)
        site.enroll(name, "web-dev")
