"""The owner's page in Chromium: it is quiet, harmless, and fits screen, phone and paper."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from reconcile.reports.model import View
from tests.browser.conftest import Browser
from tests.fakes.audit_story import HOSTILE

pytestmark = pytest.mark.browser

# --- quiet, and harmless -------------------------------------------------------------------


@pytest.mark.parametrize("view", list(View))
def test_nothing_leaves_the_page_and_nothing_runs_in_it(browser: Browser, folder: Path, view: View) -> None:
    path = folder / f"{view.value}.html"
    browser.open(path)

    assert browser.requests() == [path.as_uri()]
    assert browser.complaints() == []
    assert browser.ask("document.scripts.length") == 0
    assert browser.ask("window.pwned ?? null") is None
    assert browser.ask("document.title").endswith("· reconcile")
    assert (
        browser.ask("document.images.length + document.querySelectorAll('iframe, object, link').length") == 0
    )


def test_whatever_an_escape_missed_would_be_stopped(browser: Browser, folder: Path) -> None:
    """The same page with a hole in it: its policy still lets nothing out and nothing run."""
    hole = (
        "<script>window.pwned = 1</script>"
        "<img src='https://evil.example.com/x.png' onerror='window.pwned = 2'>"
        "<style>@import url('https://evil.example.com/x.css');</style>"
    )
    path = folder / "hole.html"
    path.write_text((folder / "summary.html").read_text("utf-8").replace("<main>", f"<main>{hole}"), "utf-8")

    browser.open(path)

    assert browser.ask("document.scripts.length") == 1
    assert browser.ask("window.pwned ?? null") is None
    complaints = " ".join(browser.complaints())
    assert complaints.count("Content Security Policy") >= 3
    answered = browser.ask(
        "performance.getEntriesByType('resource').filter(one => one.transferSize > 0).length"
    )
    assert answered == 0


def test_hostile_text_is_shown_as_it_is(browser: Browser, folder: Path) -> None:
    browser.open(folder / "enrollments.html")

    payments = {row["payment_id"] for row in browser.table("enrollments")}

    assert {text.replace("\u202e", "\\u202e") for text in HOSTILE} <= payments


# --- for everybody, everywhere -------------------------------------------------------------


@pytest.mark.parametrize("width", [1200, 390, 320])
@pytest.mark.parametrize("view", list(View))
def test_the_page_fits_the_screen(browser: Browser, folder: Path, view: View, width: int) -> None:
    """What is wider than the screen can be moved inside its own frame; the page itself stays."""
    browser.width(width)
    browser.open(folder / f"{view.value}.html")

    assert browser.ask("document.documentElement.scrollWidth") <= width


def test_the_page_can_be_heard(page: Browser) -> None:
    """Headings in order, a name for each table, chart and region, a scope for each head."""
    levels = page.ask("[...document.querySelectorAll('h1, h2, h3')].map(node => node.tagName)")
    assert levels[0] == "H1"
    assert set(levels[1:]) == {"H2"}
    assert page.ask("document.documentElement.lang") == "en"
    assert page.ask("document.querySelectorAll('table').length") == page.ask(
        "document.querySelectorAll('table > caption').length"
    )
    assert page.ask("document.querySelectorAll('th:not([scope])').length") == 0
    drawings = page.ask(
        "[...document.querySelectorAll('svg')].map(node => [node.getAttribute('role'), "
        "...node.getAttribute('aria-labelledby').split(' ')"
        ".map(id => document.getElementById(id).innerText)])"
    )
    assert len(drawings) == 5
    for role, title, words in drawings:
        assert role == "img"
        assert len(title) > 10
        assert len(words) > 30, "each chart says in words what it shows"
    unnamed = page.ask(
        "[...document.querySelectorAll('[aria-labelledby]')]"
        ".filter(node => node.getAttribute('aria-labelledby')"
        ".split(' ').some(id => !document.getElementById(id))).length"
    )
    assert unnamed == 0
    assert page.ask("new Set([...document.querySelectorAll('[id]')].map(node => node.id)).size") == page.ask(
        "document.querySelectorAll('[id]').length"
    )


def test_the_links_lead_to_the_sections(page: Browser) -> None:
    targets = page.ask("[...document.querySelectorAll('nav a')].map(node => node.hash.slice(1))")

    assert targets == page.ask("[...document.querySelectorAll('main > section')].map(node => node.id)")
    assert len(targets) == 11


def test_it_prints(page: Browser, tmp_path: Path) -> None:
    paper = base64.b64decode(page.driver.print_page())
    (tmp_path / "page.pdf").write_bytes(paper)

    assert paper.startswith(b"%PDF")
    assert 3 <= paper.count(b"/Type /Page\n") <= 12


@pytest.mark.parametrize(("name", "width"), [("desktop", 1200), ("phone", 390)])
def test_it_can_be_looked_at(page: Browser, tmp_path: Path, name: str, width: int) -> None:
    """The pictures stay in pytest's folder (`--basetemp`): look at them after a change of the page."""
    page.width(width)
    shot = page.driver.execute_cdp_cmd(
        "Page.captureScreenshot", {"captureBeyondViewport": True, "format": "png"}
    )
    picture = base64.b64decode(shot["data"])
    (tmp_path / f"{name}.png").write_bytes(picture)

    assert int.from_bytes(picture[16:20]) == width
    assert int.from_bytes(picture[20:24]) > 3000
