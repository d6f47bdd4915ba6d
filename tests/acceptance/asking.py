"""A scheduler that listens, and how to ask it."""

from __future__ import annotations

import json
import re
import signal
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.harness import SECRETS, Started, World, until

#: Samples by name and labels.
Metrics = dict[tuple[str, frozenset[tuple[str, str]]], float]

NEVER = "0 0 1 1 *"
#: Longer than a minute's pause and the jitter, on a busy machine.
A_RUN = 120.0


class Asked:
    """A scheduler that listens."""

    def __init__(self, world: World, started: Started, log: Path) -> None:
        self.world, self.started, self._log = world, started, log
        until(lambda: "Scheduler started" in self.log or started.process.poll() is not None, patience=60)
        assert self.address is not None, self.log

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def address(self) -> tuple[str, int] | None:
        found = re.search(r'"address": "http://(127\.0\.0\.1):(\d+)"', self.log)
        return (found[1], int(found[2])) if found else None

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        assert self.address is not None
        connection = HTTPConnection(*self.address, timeout=30)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def readiness(self) -> tuple[int, dict[str, Any]]:
        status, body = self.get("/readyz")
        found: dict[str, Any] = json.loads(body)
        assert found["ready"] == (status == 200) == all(check["ok"] for check in found["checks"].values())
        return status, found["checks"]

    def metrics(self) -> Metrics:
        status, text = self.get("/metrics")
        assert status == 200
        assert not [secret for secret in SECRETS if secret in text]
        assert "@" not in text
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def metric(self, name: str, **labels: str) -> float:
        return self.metrics()[f"reconcile_{name}", frozenset(labels.items())]

    def stop(self) -> int:
        self.started.signal(signal.SIGTERM)
        return self.started.process.wait(60)


class Schedule:
    """Starts schedulers that listen; each with its log in a file of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def __call__(self, world: World, **env: str | None) -> Asked:
        """A scheduler over this world, as soon as it can be asked."""
        self._count += 1
        settings = {"RECONCILE_HTTP": "127.0.0.1:0", "RECONCILE_SCHEDULE": NEVER, **env}
        path = self._folder / f"schedule{self._count}.log"
        with path.open("w") as log:
            return Asked(world, world.start("schedule", env=settings, stderr=log), path)
