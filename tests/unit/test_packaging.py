"""What the wheel holds: every package, every file in them that is no code; and how long files may be."""

from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Folder in the checkout, and the package that it becomes.
HOMES = {"reconcile": "reconcile", "jobs": "reconcile.jobs", "migrations": "reconcile.migrations"}
LONGEST = 300


def config() -> ConfigParser:
    found = ConfigParser()
    found.read(ROOT / "setup.cfg")
    return found


def packages() -> dict[str, Path]:
    """The packages of the checkout, by name."""
    found = {}
    for home, name in HOMES.items():
        for code in (ROOT / home).rglob("*.py"):
            inner = code.parent.relative_to(ROOT / home).parts
            found[".".join((name, *inner))] = code.parent
    return found


def test_every_package_is_in_the_wheel() -> None:
    listed = config()["options"]["packages"].split()

    assert sorted(listed) == sorted(packages())
    assert all((folder / "__init__.py").is_file() for folder in packages().values())


def test_every_file_that_is_no_code_is_in_the_wheel() -> None:
    patterns = {name: text.split() for name, text in config()["options.package_data"].items()}
    shipped = {
        file
        for name, folder in packages().items()
        for pattern in patterns.get(name, ())
        for file in folder.glob(pattern)
    }
    there = {
        file
        for home in HOMES
        for file in (ROOT / home).rglob("*")
        if file.is_file() and file.suffix not in (".py", ".pyc")
    }

    assert there == shipped


def test_the_patterns_find_something() -> None:
    """A pattern without a file is a file that somebody has forgotten."""
    for name, text in config()["options.package_data"].items():
        for pattern in text.split():
            assert list(packages()[name].glob(pattern)), f"{name}: {pattern}"


def test_rooms_are_small() -> None:
    """A file is about one thing; one that grows beyond this is about two."""
    lengths = {
        str(code.relative_to(ROOT)): len(code.read_text("utf-8").splitlines())
        for home in HOMES
        for code in (ROOT / home).rglob("*.py")
    }

    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}
