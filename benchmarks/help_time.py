"""How long `reconcile --help` takes, as a multiple of an interpreter that does nothing.

    python benchmarks/help_time.py [ROUNDS]

The ratio says more than the seconds: it is about the same on a fast and on a busy machine. The two
are run in turns, and the fastest of each counts.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

LIMIT_SECONDS = 0.3


def seconds(command: list[str]) -> float:
    """How long one process takes."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> int:
    """Measure and print; 1 where `--help` takes longer than it may."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    script = Path(sys.executable).with_name("reconcile")
    reconcile = [str(script)] if script.exists() else [sys.executable, "-P", "-m", "reconcile"]
    commands = {"python -c pass": [sys.executable, "-c", "pass"], "reconcile --help": [*reconcile, "--help"]}
    best = dict.fromkeys(commands, float("inf"))
    for _ in range(rounds):
        for name, command in commands.items():
            best[name] = min(best[name], seconds(command))
    for name, took in best.items():
        print(f"{name:<18} {1000 * took:7.1f} ms")
    nothing, help_took = best.values()
    print(f"{'ratio':<18} {help_took / nothing:7.1f}")
    print(f"limit              {1000 * LIMIT_SECONDS:7.1f} ms")
    return 0 if help_took < LIMIT_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
