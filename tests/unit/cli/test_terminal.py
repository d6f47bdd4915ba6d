"""Who is asked before something is done, and what is done where nobody can be."""

from __future__ import annotations

from types import SimpleNamespace

import click
import pytest

from reconcile.cli.terminal import confirmed

LEFT = "they are left as they are"


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who says no sits at the terminal."""
    terminal = SimpleNamespace(isatty=lambda: True)
    monkeypatch.setattr("reconcile.cli.terminal.sys", SimpleNamespace(stdin=terminal, stderr=terminal))
    monkeypatch.setattr(click, "confirm", lambda *_, **__: False)


def test_a_script_has_answered_by_calling() -> None:
    assert confirmed("Do it?", yes=False)


@pytest.mark.usefixtures("person")
def test_yes_asks_nobody() -> None:
    assert confirmed("Do it?", yes=True, unasked=LEFT)


@pytest.mark.usefixtures("person")
def test_a_person_may_say_no(capsys: pytest.CaptureFixture[str]) -> None:
    assert not confirmed("Do it?", yes=False)
    assert "nothing was changed" in capsys.readouterr().err


def test_what_needs_an_answer_is_left_where_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert not confirmed("Do it?", yes=False, unasked=LEFT)
    assert LEFT in capsys.readouterr().err


@pytest.mark.usefixtures("person")
def test_nobody_is_asked_who_is_not_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    assert not confirmed("Do it?", yes=False, ask=False, unasked=LEFT)
    assert LEFT in capsys.readouterr().err
