"""Fixtures that every tier may use: the embedded servers, started once for a test process."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from typing import Any

import pytest
from pymongo.database import Database

from reconcile.sandbox.mongo.server import EmbeddedMongo
from reconcile.storefront.connect import connect

# A developer's own settings must not reach the tests.
for _name in [name for name in os.environ if name.startswith(("RECONCILE_", "MONGODB_", "FRAPPE_LMS_"))]:
    if not _name.startswith("RECONCILE_TEST_"):
        del os.environ[_name]

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def mongo() -> Iterator[EmbeddedMongo]:
    """One embedded MongoDB for the whole test process, with fail points."""
    with EmbeddedMongo(test_commands=True) as server:
        yield server


@pytest.fixture
def database(mongo: EmbeddedMongo) -> Iterator[Database[dict[str, Any]]]:
    """An empty database of the test's own."""
    name = f"test{next(_numbers)}"
    database = connect(mongo.uri(name), name)
    yield database
    database.client.drop_database(name)
    database.client.close()
