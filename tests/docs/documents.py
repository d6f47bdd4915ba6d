"""The project's documents, as the tests of this folder read them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
OPERATIONS = ROOT / "docs" / "operations.md"
GUIDE = ROOT / "docs" / "guide.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"

_SKIPPED = {".git", ".venv", "build", "dist"}
_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_EXIT = re.compile(r"#\s*exit code (\d+)")


@dataclass(frozen=True)
class Shown:
    """One `reconcile …` command that a document shows, and the exit code that it promises."""

    arguments: tuple[str, ...]
    exit_code: int
    where: str

    def __str__(self) -> str:
        return f"{self.where}: reconcile {' '.join(self.arguments)}"


def markdown() -> list[Path]:
    """Every Markdown file of the project."""
    return sorted(path for path in ROOT.rglob("*.md") if _belongs(path))


def _belongs(path: Path) -> bool:
    parts = path.relative_to(ROOT).parts
    return not any(part in _SKIPPED or part.endswith(("_cache", ".egg-info")) for part in parts[:-1])


def section(text: str, title: str) -> str:
    """What stands under a heading of the second level."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"there is no section {title!r}"
    return found[1]


def prose(text: str) -> str:
    """The text without its code blocks."""
    return _FENCE.sub("", text)


def first_cells(text: str) -> set[str]:
    """The words in backticks in the first cells of the tables' rows; plain numbers too."""
    cells = re.findall(r"^\| *([^|]+?) *\|", text, re.MULTILINE)
    words = {word for cell in cells for word in re.findall(r"`([^`]+)`", cell)}
    return words | {cell for cell in cells if cell.isdecimal()}


def shown_commands(path: Path, text: str | None = None) -> Iterator[Shown]:
    """The commands after `$ reconcile` in code blocks, indented ones, and those in backticks."""
    name = path.name
    content = path.read_text(encoding="utf-8") if text is None else text
    for language, block in _FENCE.findall(content):
        if language != "console":
            continue
        for line in block.splitlines():
            if line.strip().startswith("$ reconcile "):
                promised = _EXIT.search(line)
                yield _shown(line.strip()[2:], int(promised[1]) if promised else 0, name)
    for inline in re.findall(r"`(reconcile [^`]+)`", prose(content)):
        if not _has_placeholder(inline):
            yield _shown(inline, 0, name)
    for line in re.findall(r"^ {4}(reconcile [^\n]+)$", prose(content), re.MULTILINE):
        yield _shown(line, 0, name)


def _has_placeholder(command: str) -> bool:
    """`reconcile COMMAND --help`, `--course SLUG`: words in capitals stand for something."""
    return any(word.isupper() for word in shlex.split(command)[1:]) or "…" in command


def _shown(line: str, exit_code: int, where: str) -> Shown:
    words = shlex.split(line, comments=True)
    if "|" in words:
        words = words[: words.index("|")]
    return Shown(tuple(words[1:]), exit_code, where)
