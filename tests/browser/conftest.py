"""Chromium, driven over its own protocol: a page is opened, read, printed and photographed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from reconcile.reports.formats import Format, write_report
from reconcile.reports.model import View
from reconcile.reports.views import build_report
from tests.fakes.audit_story import REPORTED, story

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=1200,900",
)


class Browser:
    """One window. What a page asked the network for, and what it complained about, is kept."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, path: Path) -> None:
        """Open a file; what an earlier page did is forgotten."""
        self._log("performance")
        self._log("browser")
        self.driver.get(path.as_uri())

    def requests(self) -> list[str]:
        """The addresses that were asked for since the page was opened, its own first."""
        return [
            message["params"]["request"]["url"]
            for message in self._log("performance")
            if message["method"] == "Network.requestWillBeSent"
        ]

    def complaints(self) -> list[str]:
        """What the page's console says."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def ask(self, script: str, *arguments: object) -> Any:
        """The value of an expression in the page."""
        return self.driver.execute_script(f"return {script}", *arguments)

    def table(self, name: str) -> list[dict[str, str]]:
        """A table's rows by its columns: the machine's value where there is one, else the text."""
        found: list[dict[str, str]] = self.ask(
            """(table => {
              const names = [...table.querySelectorAll('thead th')].map(head => head.dataset.column);
              return [...table.querySelectorAll('tbody tr')].map(row => Object.fromEntries(
                [...row.children].map((cell, place) => {
                  const machine = cell.querySelector('data, time');
                  return [names[place], machine ? machine.value ?? machine.dateTime : cell.textContent];
                })));
            })(document.querySelector(`[data-table='${arguments[0]}']`))""",
            name,
        )
        return found

    def width(self, pixels: int) -> None:
        """The screen's width from now on; a narrow one is a phone's."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": pixels, "height": 900, "deviceScaleFactor": 1, "mobile": pixels < 600},
        )

    def _log(self, kind: str) -> list[dict[str, Any]]:
        entries = self.driver.get_log(kind)
        return [json.loads(entry["message"])["message"] for entry in entries] if kind == "performance" else []


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Debian's Chromium with an empty profile."""
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in programs:
        pytest.fail(
            "the page is looked at in Chromium: apt-get install chromium chromium-driver", pytrace=False
        )
    options = webdriver.ChromeOptions()
    options.binary_location = str(programs[0])
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    for flag in (*_FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(str(programs[1])))
    try:
        yield Browser(driver)
    finally:
        driver.quit()


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The story's audit database, and the pages of each view."""
    folder = tmp_path_factory.mktemp("owner")
    with story(folder) as log, log.reading() as connection:
        for view in View:
            report = build_report(connection, view, generated_at=REPORTED)
            with (folder / f"{view.value}.html").open("w", encoding="utf-8", newline="") as out:
                write_report(report, Format.HTML, out)
    return folder


@pytest.fixture
def page(browser: Browser, folder: Path) -> Browser:
    """The owner's page, just opened."""
    browser.width(1200)
    browser.open(folder / "summary.html")
    return browser
