"""How long commands take to start, against an interpreter that does nothing and the libraries' own imports.

    python -m benchmarks.startup [--quick]

An LMS that answers after 5 ms, an embedded MongoDB, `init` done and nothing to do. All take turns, and the
fastest of each counts. `its libraries` is an interpreter that imports what the command cannot do without.
The last line is the verdict; the exit code is 1 where a command takes longer than it may.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from reconcile.sandbox.lms.faults import Fault
from reconcile.sandbox.servers import running

_LATENCY = 0.005
#: Seconds that a command may take.
LIMITS = {"--help": 0.15, "run": 0.8, "status": 0.7, "plan": 0.7}
_READS = "click, pydantic, pymongo, sqlalchemy.dialects.sqlite"
_LIBRARIES = {
    "--help": "click",
    "run": f"{_READS}, requests, structlog.stdlib",
    "status": _READS,
    "plan": f"{_READS}, requests",
}


def seconds(command: list[str], environment: Mapping[str, str], folder: Path) -> float:
    """How long one process takes. Raises where it fails."""
    began = time.perf_counter()
    subprocess.run(
        command,
        check=True,
        cwd=folder,
        env=dict(environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - began


def main() -> int:
    """Measure and print; 1 where a command takes longer than it may."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="does it still work? the numbers mean little")
    rounds = 2 if parser.parse_args().quick else 10
    python, reconcile = [sys.executable, "-c"], [sys.executable, "-P", "-m", "reconcile"]
    commands: dict[str, list[str]] = {"nothing": [*python, "pass"]}
    for name in LIMITS:
        commands[f"libraries of {name}"] = [*python, f"import {_LIBRARIES[name]}"]
        commands[name] = [*reconcile, name]
    best = dict.fromkeys(commands, float("inf"))
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "HOME") if name in os.environ}
    with running(seeded=False) as sandbox:
        sandbox.lms.faults.add(Fault(kind="latency", times=None, delay=_LATENCY))
        environment = kept | dict(sandbox.environment)
        seconds([*reconcile, "init"], environment, sandbox.directory)
        for _ in range(rounds):
            for name, command in commands.items():
                best[name] = min(best[name], seconds(command, environment, sandbox.directory))
    print(f"{'':<10} {'seconds':>8} {'limit':>6} {'× nothing':>10} {'× its libraries':>16}")
    for name, limit in LIMITS.items():
        took, libraries = best[name], best[f"libraries of {name}"]
        print(f"{name:<10} {took:8.3f} {limit:6.2f} {took / best['nothing']:10.1f} {took / libraries:16.2f}")
    print(
        ", ".join(
            f"{name} {best[name]:.2f} s ({best[name] / best['nothing']:.0f} × nothing)" for name in LIMITS
        )
    )
    return 0 if all(best[name] < limit for name, limit in LIMITS.items()) else 1


if __name__ == "__main__":
    sys.exit(main())
