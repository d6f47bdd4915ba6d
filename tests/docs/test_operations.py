"""docs/operations.md knows every word that reconcile may say."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from reconcile.domain.mail_status import MailStatus
from reconcile.domain.model import DUPLICATE_PAYMENT, ODD_ORDER, SYNC_STATUS, Outcome, Reason
from reconcile.jobs.registry import JOBS
from reconcile.run.summary import MAX_ENROLLS, AbortReason, ExitCode, RunStatus
from reconcile.story.remedies import REMEDIES
from reconcile.templates.mail import Facts
from tests.docs.documents import OPERATIONS, README, ROOT, first_cells, section

TEXT = OPERATIONS.read_text(encoding="utf-8")


def test_each_exit_code_has_a_row() -> None:
    codes = {str(int(code)) for code in ExitCode}
    assert first_cells(section(TEXT, "Exit codes")) == codes
    assert first_cells(section(README.read_text(encoding="utf-8"), "Exit codes")) == codes


def test_the_outcomes_are_the_closed_list() -> None:
    assert first_cells(section(TEXT, "Outcomes")) == {outcome.value for outcome in Outcome}


@pytest.mark.parametrize("outcome", Outcome)
def test_each_outcome_says_what_the_order_says(outcome: Outcome) -> None:
    row = next(
        line for line in section(TEXT, "Outcomes").splitlines() if line.startswith(f"| `{outcome.value}` |")
    )
    status = SYNC_STATUS.get(outcome)
    assert (f"`{status.value}`" if status is not None else "unchanged") in row.split("|")[3]


def test_the_reasons_are_the_closed_list() -> None:
    assert first_cells(section(TEXT, "Reasons")) == {reason.value for reason in Reason}


@pytest.mark.parametrize("reason", Reason)
def test_each_remedy_is_the_one_that_explain_gives(reason: Reason) -> None:
    row = next(line for line in section(TEXT, "Reasons").splitlines() if line.startswith(f"| `{reason}` |"))
    assert row.strip("| ").split(" | ")[-1] == REMEDIES[reason]


def test_the_mails_states_and_the_templates_variables_are_told() -> None:
    told = first_cells(section(TEXT, "Mail to the learner"))
    assert told == {status.value for status in MailStatus} | {field.name for field in fields(Facts)}


def test_the_flags_are_the_closed_list() -> None:
    assert first_cells(section(TEXT, "Flags")) == {DUPLICATE_PAYMENT, ODD_ORDER}


@pytest.mark.parametrize("word", [*AbortReason, MAX_ENROLLS, RunStatus.CRASHED])
def test_the_other_words_are_told(word: str) -> None:
    assert f"`{word!s}`" in TEXT


def test_each_log_line_to_search_for_is_logged() -> None:
    sources = "\n".join(
        path.read_text(encoding="utf-8")
        for folder in ("reconcile", "jobs")
        for path in (ROOT / folder).rglob("*.py")
    )
    told = first_cells(section(TEXT, "Log lines to search for"))
    assert told >= {
        "Attempting Frappe LMS enrollment",
        "FrappeLMS enrollment successful",
        "First Frappe attempt failed, retrying immediately...",
        "Immediate retry failed, queuing for later",
    }
    # "Run completed" is put together from the run's status.
    whole = {line for line in told if not line.startswith("Run ")}
    assert {line for line in whole if f'"{line}' not in sources} == set()
    statuses = {line.removeprefix("Run ") for line in told - whole}
    assert statuses <= {status.value for status in RunStatus}


@pytest.mark.parametrize("status", [401, 403, 404, 405, 408, 409, 417, 429, 500, 501, 502, 503, 504])
def test_the_failure_table_knows_the_status(status: int) -> None:
    assert re.search(rf"\b{status}\b", section(TEXT, "The failure table"))


def test_each_job_has_a_row_with_its_setting() -> None:
    told = section(TEXT, "The scheduler")
    for job in JOBS:
        row = next(line for line in told.splitlines() if line.startswith(f"| `{job.name}` |"))
        assert f"`{job.setting}`" in row
