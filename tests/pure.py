"""Coverage of the files that setup.cfg marks as pure: `tests/unit` alone reaches every branch of them."""

from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).parents[1]


def pure_files() -> list[str]:
    """Their paths; of a package, a pattern."""
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    modules = config["importlinter:contract:pure"]["source_modules"].split()
    paths = [module.replace(".", "/") for module in modules]
    return [f"{path}/*.py" if (ROOT / path).is_dir() else f"{path}.py" for path in paths]


if __name__ == "__main__":
    print("[run]\nbranch = true\ninclude =", *pure_files(), sep="\n    ")
    print("[report]\nexclude_also =", r"\.\.\.$", "if TYPE_CHECKING:", sep="\n    ")
