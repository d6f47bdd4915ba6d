"""Where settings come from: the environment over `.env`, and `NAME_FILE` for secrets. Checks no value."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

#: No key or URI is longer; a path that names a log or a device by mistake is not read to its end.
_LARGEST_SECRET_FILE = 64 * 1024


def read_sources(
    environ: Mapping[str, str], env_file: Path | None, *, names: Collection[str], secret: frozenset[str]
) -> tuple[dict[str, str], list[str]]:
    """The values of `names` that are set, and what kept others from being read.

    Empty or blank counts as unset. In each source a name and its NAME_FILE exclude each other; the
    environment wins over the file as a whole. Never raises.
    """
    values: dict[str, str] = {}
    problems: list[str] = []
    for source in (environ, _dotenv(env_file, problems)):
        for name in names:
            if name in values or any(problem.startswith(f"{name}:") for problem in problems):
                continue
            value = source.get(name) or ""
            path = (source.get(f"{name}_FILE") or "").strip() if name in secret else ""
            if value.strip() and path:
                problems.append(f"{name}: is given twice, also as {name}_FILE; remove one of them")
            elif value.strip():
                values[name] = value if name in secret else value.strip()
            elif path:
                _read_secret(name, Path(path), values, problems)
    return values, problems


def _dotenv(env_file: Path | None, problems: list[str]) -> Mapping[str, str | None]:
    if env_file is None:
        return {}
    try:
        if not env_file.is_file() and not env_file.is_fifo():
            return {}
        # Imported where there is such a file, and only there.
        from dotenv import dotenv_values

        return dotenv_values(env_file, encoding="utf-8")
    except UnicodeDecodeError:
        problems.append(f"{env_file.name}: is not UTF-8 text; save it as UTF-8")
    except OSError as error:
        problems.append(f"{env_file.name[:40]}: cannot be read ({error.strerror}); check its permissions")
    return {}


def _read_secret(name: str, path: Path, values: dict[str, str], problems: list[str]) -> None:
    """Read NAME_FILE; the trailing line break that editors add is not part of the secret."""
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST_SECRET_FILE + 1)
        text = raw.decode("utf-8-sig").rstrip("\r\n")
    except OSError as error:
        problems.append(f"{name}: {name}_FILE cannot be read ({error.strerror}); check path and permissions")
        return
    except ValueError:  # not UTF-8, or a path with a NUL in it
        problems.append(f"{name}: {name}_FILE is not UTF-8 text; write the secret alone into it")
        return
    if not text.strip() or len(raw) > _LARGEST_SECRET_FILE:
        problems.append(f"{name}: {name}_FILE is empty or far too large; write the secret alone into it")
        return
    values[name] = text
