"""The stand-in LMS from the benchmarks' side: starting it, filling it, reading what it was asked."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

from benchmarks.standin_site import WRITES
from reconcile.base.batched import batched

KEY = "key_benchmark:secret_benchmark"
_AT_ONCE = 20_000


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the LMS was asked since it was loaded, or told to forget."""

    requests: dict[str, int]
    learners: int  #: enrollments made
    rows: int
    duplicates: int  #: learners who are in a course more than once
    most_in_flight: int
    idle_share: float  #: of the time from the first request to the last answer
    idle_share_of_writing: float
    writing: tuple[float, float]  #: from the first write to the last, monotonic seconds
    processor: float  #: seconds

    @property
    def total(self) -> int:
        """Requests of all kinds."""
        return sum(self.requests.values())

    @property
    def writes(self) -> int:
        """Requests that enroll."""
        return sum(self.requests.get(name, 0) for name in WRITES)

    @property
    def beside(self) -> int:
        """Requests that enroll nobody."""
        return self.total - self.writes


class Lms:
    """One stand-in, in its own process; a context manager."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "benchmarks.standin"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().split()[1]
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.communicate()
            self._process = None

    @property
    def address(self) -> str:
        """Host and port."""
        return urlsplit(self.url).netloc

    def load(
        self,
        *,
        courses: dict[str, str],
        enrollments: Iterable[tuple[str, str]] = (),
        missing: Iterable[str] = (),
        refused: Iterable[str] = (),
        latency: float = 0.0,
        service: float = 0.0,
        workers: int = 0,
    ) -> None:
        """Begin anew with these courses (names to titles), learners in them, and times in seconds."""
        self._tell("load", courses=courses, latency=latency, service=service, workers=workers)
        self._tell("add", missing=list(missing), refused=list(refused))
        for some in batched(enrollments, _AT_ONCE):
            self._tell("add", enrollments=some)

    def forget(self) -> None:
        """Count anew; the data stay."""
        self._tell("forget")

    def asked(self) -> Asked:
        """What it was asked since it was loaded, or told to forget."""
        return Asked(**self._tell("stats"))

    def _tell(self, what: str, **said: Any) -> Any:
        connection = http.client.HTTPConnection(self.address, timeout=120)
        try:
            connection.request("POST", f"/_bench/{what}", body=json.dumps(said))
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()
