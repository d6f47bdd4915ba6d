"""docs/monitoring: rules, dashboard and document name only what is really exposed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from reconcile.jobs.registry import JOBS
from reconcile.metrics.measures import (
    ANSWERS,
    BACKLOG_STATUSES,
    JOB_EVENTS,
    NO_REASON,
    OPERATIONS,
    RUN_STATUSES,
)
from reconcile.metrics.metrics import Metrics, exposition
from tests.docs.documents import ROOT, first_cells, section
from tests.docs.promql import FOREIGN, Exposed, labels_shown, metrics_of, problems
from tests.fakes.world import NOON

FOLDER = ROOT / "docs" / "monitoring"
TEXT = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((FOLDER / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))


METRICS = Metrics(jobs=[job.name for job in JOBS]).collect(NOON)
#: By the whole name.
FAMILIES = {f"{each.name}_total" if each.type == "counter" else each.name: each for each in METRICS}


def _exposed() -> Exposed:
    """What a scheduler exposes before its first run, read by the library's own parser."""
    text, _ = exposition(METRICS)
    families = text_string_to_metric_families(text.decode())
    return Exposed.of(sample for family in families for sample in family.samples)


EXPOSED = _exposed()


def _targets() -> Iterator[Any]:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield pytest.param(target, id=f"{panel['title']} {target['refId']}")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_names_what_there_is(rule: dict[str, Any]) -> None:
    assert problems(rule["expr"], EXPOSED) == []
    assert metrics_of(rule["expr"]) or any(name in rule["expr"] for name in FOREIGN)


@pytest.mark.parametrize("target", list(_targets()))
def test_a_panel_names_what_there_is(target: dict[str, Any]) -> None:
    assert problems(target["expr"], EXPOSED) == []
    # A legend can only show what the expression has kept.
    kept = re.search(r"\bby\s*\(([^)]*)\)", target["expr"])
    labels = {label.strip() for label in kept[1].split(",")} if kept else set()
    assert labels_shown(target["legendFormat"]) <= labels


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_is_whole(rule: dict[str, Any]) -> None:
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert set(rule["annotations"]) == {"summary", "description"}
    assert re.fullmatch(r"\d+m", rule.get("for", "1m"))
    kept = {
        label.strip()
        for labels in re.findall(r"\bby\s*\(([^)]*)\)", rule["expr"])
        for label in labels.split(",")
    }
    shown = labels_shown(" ".join(rule["annotations"].values()))
    assert {word for word in shown if not word.startswith("$value")} <= kept | FOREIGN["up"]


def test_each_alert_is_explained_and_only_those() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names)
    assert first_cells(section(TEXT, "Alerts")) == set(names)


def test_every_metric_is_on_the_dashboard() -> None:
    shown = {
        name for panel in DASHBOARD["panels"] for t in panel["targets"] for name in metrics_of(t["expr"])
    }
    assert {re.sub(r"_(bucket|count|sum)$", "", name) for name in shown} == set(FAMILIES)


def test_the_dashboard_can_be_imported() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    assert [variable["name"] for variable in DASHBOARD["templating"]["list"]] == ["datasource"]
    boxes = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    taken = [
        (x, y)
        for box in boxes
        for x in range(box["x"], box["x"] + box["w"])
        for y in range(box["y"], box["y"] + box["h"])
    ]
    assert len(set(taken)) == len(taken), "panels overlap"
    assert max(x for x, _ in taken) < 24
    for panel in DASHBOARD["panels"]:
        assert panel["datasource"]["uid"] == "${datasource}"
        assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])


def test_the_document_tells_every_metric_with_its_labels() -> None:
    rows = {
        line.split("|")[1].strip().strip("`"): line
        for line in section(TEXT, "The metrics").splitlines()
        if line.startswith("| `")
    }
    assert set(rows) == set(FAMILIES)
    for name, family in FAMILIES.items():
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        assert all(f"`{label}`" in rows[name] for label in labels)
        assert ("histogram" in rows[name]) == (family.type == "histogram")
    for name, values in (
        ("reconcile_runs_total", RUN_STATUSES),
        ("reconcile_backlog", BACKLOG_STATUSES),
        ("reconcile_lms_request_duration_seconds", OPERATIONS + ANSWERS),
        ("reconcile_job_events_total", JOB_EVENTS),
        ("reconcile_enrollments_total", (NO_REASON,)),
    ):
        assert [value for value in values if f"`{value}`" not in rows[name]] == []


def test_the_scrape_job_is_the_one_that_the_rules_name() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    (scrape,) = yaml.safe_load(block)["scrape_configs"]
    assert any(f'job="{scrape["job_name"]}"' in rule["expr"] for rule in RULES)
    # Five minutes and more pass between two runs: a rule's window must hold some scrapes.
    assert timedelta(seconds=int(scrape["scrape_interval"].removesuffix("s"))) <= timedelta(minutes=1)


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("rate(reconcile_run_total[5m])", "no metric reconcile_run_total"),
        ("rate(reconcile_runs[5m])", "no metric reconcile_runs"),
        ("reconcile_run_duration_seconds > 5", "no metric reconcile_run_duration_seconds"),
        ('reconcile_backlog{state="failed"}', "has no label state"),
        ('reconcile_backlog{status="success"}', "is never success"),
        ('reconcile_runs_total{status=~"aborted|crash"}', "is never crash"),
        ('reconcile_enrollments_total{reason!="member_mising"}', "is never member_mising"),
        ("sum by (course) (reconcile_backlog)", "has the label course"),
        ("summ(reconcile_backlog)", "no metric summ"),
        ('sum(reconcile_backlog{status="failed")', "brackets"),
        ('reconcile_backlog{status=="failed"}', "no list of matchers"),
        ('up{service="reconcile"} == 0', "has no label service"),
    ],
)
def test_the_check_finds_mistakes(expression: str, problem: str) -> None:
    found = problems(expression, EXPOSED)

    assert any(problem in line for line in found), found
