"""All programs, one table: goal, measured, ratio to the baseline of the same run, hold or not.

    python -m benchmarks [--quick] [V1 V4 …]

Each program is a process of its own, so that none inherits another's memory or threads. The exit code is 0
whatever the numbers are; 1 where a program breaks.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec

from benchmarks.table import Line, show


@dataclass(frozen=True)
class Program:
    """One of the programs, and what it is told when it is to be quick.

    Its lines come as JSON. One that `judges` prints in its own way, what counts last, and says with its exit
    code whether it holds.
    """

    number: str
    name: str
    judges: str = ""  #: what it is about
    quick: tuple[str, ...] = ("--quick",)


#: In the order of the table.
PROGRAMS = (
    Program("V1", "v1"),
    Program("V1b", "v1b"),
    Program("V2", "v2"),
    Program("V3", "v3"),
    Program("V4", "v4"),
    Program("V5", "v5"),
    Program("V6", "v6"),
    Program("V7", "startup", judges="start-up of the commands"),
    Program("V8", "audit_group", judges="attempts recorded in groups, against one by one", quick=("5",)),
    Program("V8", "v8"),
    Program("V9", "v9"),
)


class Broken(Exception):
    """The program did not come to its end."""


def lines_of(program: Program, *, quick: bool) -> list[Line]:
    """Run it. Raises Broken."""
    told = [*(() if program.judges else ("--json",)), *(program.quick if quick else ())]
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{program.name}", *told],
        stdout=subprocess.PIPE,
        # Notes on the way go to the terminal, but for those that may be a traceback.
        stderr=subprocess.PIPE if program.judges else None,
        text=True,
        check=False,
    )
    if program.judges:
        said = done.stdout.strip().splitlines()
        if done.returncode not in (0, 1) or not said or "Traceback" in done.stderr:
            raise Broken(done.stderr)
        holds = done.returncode == 0
        return [Line(number=program.number, what=program.judges, goal="", measured=said[-1], holds=holds)]
    if done.returncode != 0:
        raise Broken
    return [Line(**each) for each in json.loads(done.stdout)]


def main() -> int:
    """Run them, print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="do they still work? the numbers mean little")
    parser.add_argument("only", nargs="*", metavar="V1", help="only these")
    options = parser.parse_args()
    wanted = {name.lower() for name in options.only}
    lines: list[Line] = []
    broken: list[str] = []
    began = time.monotonic()
    for program in PROGRAMS:
        if wanted and program.number.lower() not in wanted:
            continue
        if find_spec(f"benchmarks.{program.name}") is None:
            lines.append(_without(program, "is not there"))
            continue
        try:
            lines += lines_of(program, quick=options.quick)
        except Broken as error:
            print(error, file=sys.stderr)
            broken.append(program.name)
            lines.append(_without(program, "broke"))
    show(lines)
    held = sum(line.holds is True for line in lines)
    judged = sum(line.holds is not None for line in lines)
    print(f"{held} of {judged} hold, in {time.monotonic() - began:.0f} s")
    for name in broken:
        print(f"broken: python -m benchmarks.{name}", file=sys.stderr)
    return 1 if broken else 0


def _without(program: Program, what: str) -> Line:
    return Line(number=program.number, what=f"benchmarks/{program.name}.py {what}", goal="", measured="")


if __name__ == "__main__":
    sys.exit(main())
