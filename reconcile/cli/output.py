"""Where an export goes: stdout, a pipe, or a file that appears whole or not at all, with its side files."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import click

from reconcile.base.errors import ReconcileError


@dataclass(kw_only=True)
class Export:
    """What is being written. `about`, set before the end, becomes a file of provenance beside the export."""

    out: IO[Any]
    about: Mapping[str, object] = field(default_factory=dict)
    side_files: tuple[Path, ...] = ()  #: those that were written, known at the end


@contextmanager
def exporting(output: Path | None, *, binary: bool) -> Iterator[Export]:
    """Something to write an export to.

    A plain file gets `FILE.sha256` beside it, in the format of sha256sum, and `FILE.provenance.json`
    where `about` was set. stdout, a pipe and a device are written to as they are and get neither. Raises
    click.UsageError for what cannot be opened and for bytes to a terminal, ReconcileError for what
    cannot be written to its end: then the file that stood there is unchanged.
    """
    if output is None:
        yield from _to_stdout(binary=binary)
    elif not output.exists() or output.is_file():
        yield from _to_file(output, binary=binary)
    else:
        yield from _to_device(output, binary=binary)


def _to_stdout(*, binary: bool) -> Iterator[Export]:
    if binary:
        _refuse_terminal(sys.stdout.fileno())
    elif isinstance(sys.stdout, io.TextIOWrapper):
        _prepare(sys.stdout)
    try:
        yield Export(out=sys.stdout.buffer if binary else sys.stdout)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (`| head`) has seen enough; Python must not complain while it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None


def _prepare(stdout: io.TextIOWrapper) -> None:
    """An export is UTF-8 whatever the locale, as it is in a file; a terminal is shown what it can show."""
    # CSV brings its own line ends.
    if stdout.isatty():
        stdout.reconfigure(newline="", errors="backslashreplace")
    else:
        stdout.reconfigure(newline="", encoding="utf-8")


def _to_device(output: Path, *, binary: bool) -> Iterator[Export]:
    try:
        descriptor = os.open(output, os.O_WRONLY)
    except OSError as error:
        raise click.UsageError(f"{output} cannot be written: {error.strerror}") from error
    if binary:
        try:
            _refuse_terminal(descriptor)
        except click.UsageError:
            os.close(descriptor)
            raise
    with _told(output), _opened(descriptor, binary=binary) as out:
        yield Export(out=out)


def _to_file(output: Path, *, binary: bool) -> Iterator[Export]:
    drafts: list[Path] = []
    try:
        try:
            draft, descriptor = _draft(output, drafts)
        except OSError as error:
            raise click.UsageError(f"{output} cannot be written: {error.strerror}") from error
        with _told(output):
            with _opened(descriptor, binary=binary) as out:
                export = Export(out=out)
                yield export
                out.flush()
                os.fsync(out.fileno())
            # All of them are whole before the first takes its place.
            beside = [
                (_draft_of(text, path, drafts), path) for path, text in _side_texts(draft, output, export)
            ]
            draft.replace(output)
            for side, path in beside:
                side.replace(path)
        export.side_files = tuple(path for _, path in beside)
    finally:
        for draft in drafts:
            with suppress(OSError):
                draft.unlink(missing_ok=True)


def _side_texts(draft: Path, output: Path, export: Export) -> Iterator[tuple[Path, str]]:
    with draft.open("rb") as written:
        digest = hashlib.file_digest(written, "sha256").hexdigest()
    if export.about:
        about = {"file": output.name, "sha256": digest, **export.about}
        yield _beside(output, "provenance.json"), json.dumps(about, ensure_ascii=False, indent=2) + "\n"
    yield _beside(output, "sha256"), checksum_line(digest, output.name)


def checksum_line(digest: str, name: str) -> str:
    """A line that `sha256sum -c` reads, in the folder of the file; odd names are escaped as it does."""
    escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"{'' if escaped == name else chr(92)}{digest}  {escaped}\n"


def _beside(output: Path, suffix: str) -> Path:
    return output.with_name(f"{output.name}.{suffix}")


def _draft(path: Path, drafts: list[Path]) -> tuple[Path, int]:
    # An export holds people's orders: for its owner's eyes only, as mkstemp makes it.
    descriptor, name = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name[:100]}.")
    drafts.append(Path(name))
    return Path(name), descriptor


def _draft_of(text: str, path: Path, drafts: list[Path]) -> Path:
    draft, descriptor = _draft(path, drafts)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="") as out:
        out.write(text)
    return draft


def _opened(descriptor: int, *, binary: bool) -> IO[Any]:
    if binary:
        return os.fdopen(descriptor, "wb")
    return os.fdopen(descriptor, "w", encoding="utf-8", newline="")


@contextmanager
def _told(output: Path) -> Iterator[None]:
    """What the disk says, as an error of ours; a reader that went away is told higher up."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ReconcileError(
            f"{output} cannot be written: {error.strerror}",
            hint="free some space or name another file; what stood there before is unchanged",
        ) from error


def _refuse_terminal(descriptor: int) -> None:
    if os.isatty(descriptor):
        raise click.UsageError("xlsx is no text for a terminal: name a file with --output FILE, or a pipe")
