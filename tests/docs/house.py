"""The house as the code is built: rooms, arrows and sizes. `python -m tests.docs.house` draws it anew.

The picture stands in docs/architecture.md between two marks; a test compares it with the code.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from configparser import ConfigParser
from pathlib import Path

from tests.docs.documents import ROOT

ARCHITECTURE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- drawn from the code by `python -m tests.docs.house` -->", "<!-- end of the drawing -->"
#: Sizes are rounded to this, so that not every change makes the drawing stale.
_ROUND = 100


def floors() -> list[list[str]]:
    """From the top, as the contract in setup.cfg has them; the sandbox stands beside the house."""
    layers = _contract("floors")["layers"].strip().splitlines()
    return [[room.strip() for room in floor.split("|")] for floor in layers]


def rooms() -> list[str]:
    """All of them, from the top."""
    return [room for floor in floors() for room in floor] + ["sandbox"]


def files_of(room: str) -> list[Path]:
    """A room's modules; `jobs` is a folder of its own in the checkout."""
    home = ROOT / "jobs" if room == "jobs" else ROOT / "reconcile" / room
    return sorted(home.rglob("*.py"))


def arrows() -> dict[str, set[str]]:
    """Which other rooms each room imports."""
    found: dict[str, set[str]] = defaultdict(set)
    for room in rooms():
        for file in files_of(room):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and node.module:
                    first, *rest = node.module.split(".")
                    targets = rest[:1] or [name.name for name in node.names]
                    found[room].update(targets if first == "reconcile" else ())
    return {room: (found[room] & set(rooms())) - {room} for room in rooms()}


def drawing() -> str:
    """The picture, in Markdown."""
    widest = max(len(_floor(floor)) for floor in floors())
    picture = [f"    {_floor(floor):^{widest}}".rstrip() for floor in floors()]
    imports, pure = arrows(), _pure()
    table = ["| room | what it is for | pure | imports | lines |", "|---|---|---|---|---|"]
    for room in rooms():
        below = ", ".join(other for other in rooms() if other in imports[room]) or "nothing of ours"
        marked = ", ".join(f"`{name}`" for name in sorted(pure[room])) or "–"
        table.append(f"| `{room}` | {_purpose(room)} | {marked} | {below} | {_lines(room):,} |")
    return "\n".join(["```", *picture, "```", "", *table])


def drawn(text: str) -> str:
    """A document's text with the drawing as it is now. Raises ValueError where it has no place for it."""
    before, after = text.index(BEGIN) + len(BEGIN), text.index(END)
    return f"{text[:before]}\n{drawing()}\n{text[after:]}"


def _contract(name: str) -> dict[str, str]:
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    return dict(config[f"importlinter:contract:{name}"])


def _pure() -> dict[str, set[str]]:
    """By room, the modules marked as pure; `all` where the whole room is."""
    found: dict[str, set[str]] = defaultdict(set)
    for module in _contract("pure")["source_modules"].split():
        _, room, *rest = module.split(".")
        found[room].add(".".join(rest) or "all")
    return found


def _floor(floor: list[str]) -> str:
    return " | ".join(floor)


def _purpose(room: str) -> str:
    docstring = ast.get_docstring(ast.parse(files_of(room)[0].read_text(encoding="utf-8"))) or ""
    return " ".join(docstring.split("\n\n")[0].split()).partition(". ")[0].rstrip(".").replace("|", "\\|")


def _lines(room: str) -> int:
    lines = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files_of(room))
    return max(round(lines / _ROUND), 1) * _ROUND


if __name__ == "__main__":
    ARCHITECTURE.write_text(drawn(ARCHITECTURE.read_text(encoding="utf-8")), encoding="utf-8")
