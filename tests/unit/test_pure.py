"""The files that setup.cfg marks as pure are all measured."""

from __future__ import annotations

from importlib import import_module

from tests.pure import ROOT, pure_files


def test_no_pure_file_escapes_the_measurement() -> None:
    """Coverage does not count a file that nobody has imported: then nothing of it would be missing."""
    found = [path for pattern in pure_files() for path in ROOT.glob(pattern)]

    assert len(found) >= len(pure_files())
    for path in found:
        import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
