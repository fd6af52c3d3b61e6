"""Alerts, dashboard and scrape configuration: they are valid, and ask for what there is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from stream_app.ops.metrics import REGISTRY, TABLE
from tests.documents import anchors
from tests.observed import ALERTS, DASHBOARD, FOLDER, plain, queries
from tests.scraped import names_of

ROOT = Path(__file__).parents[2]
CASES = yaml.safe_load((FOLDER / "alerts_test.yml").read_text())["tests"]

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="no promtool: apt-get install prometheus"
)

PROMETHEUS_OWN = {"up", "ALERTS"}
TARGET_LABELS = {"job", "instance"}
ALERT_LABELS = {"alertname", "alertstate", "severity"}
LABELS = {item.name: set(item.labels) for item in TABLE} | {
    "stream_app_build_info": {"version", "python"}
}


def promtool(*arguments: str, cwd: Path = FOLDER) -> str:
    """What it prints; fails where it finds something wrong."""
    ran = subprocess.run(
        ["promtool", *arguments], cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def expressions() -> dict[str, str]:
    return {rule["alert"]: rule["expr"] for rule in ALERTS} | queries()


def names_in(expression: str) -> set[str]:
    """The names of the metrics in a query."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    return set(re.findall(r"\b(?:stream_app|process)_\w+|\bup\b|\bALERTS\b", bare))


def labels_in(expression: str) -> set[str]:
    """The labels that a query selects, groups or matches by."""
    selected = re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"', expression)
    grouped = re.findall(r"\b(?:by|on|ignoring|without|group_left)\s*\(([^)]*)\)", expression)
    return {*selected, *(name for group in grouped for name in re.findall(r"\w+", group))}


def family(name: str) -> str:
    """The metric that a series of a histogram belongs to."""
    for suffix in ("_bucket", "_sum", "_count"):
        if LABELS.get(name) is None and name.removesuffix(suffix) in LABELS:
            return name.removesuffix(suffix)
    return name


@pytest.mark.parametrize(("where", "expression"), expressions().items(), ids=[*expressions()])
def test_a_query_asks_for_metrics_and_labels_that_there_are(where: str, expression: str) -> None:
    named = names_in(expression)
    assert named, where
    families = {family(name) for name in named}
    assert families <= names_of(REGISTRY.collect()) | PROMETHEUS_OWN
    kinds = {item.name: item.kind for item in TABLE}
    for name in named:
        is_part = name != family(name)
        assert (kinds.get(family(name)) == "histogram") == is_part, f"{name} has no such series"
    known = TARGET_LABELS.union(*(LABELS.get(name, set()) for name in families))
    if any(name.endswith("_bucket") for name in named):
        known.add("le")
    if "ALERTS" in named:
        known |= ALERT_LABELS
    assert labels_in(expression) <= known


@pytest.mark.parametrize("rule", ALERTS, ids=[rule["alert"] for rule in ALERTS])
def test_an_alert_says_how_bad_what_why_and_where_to_read_on(rule: dict[str, Any]) -> None:
    assert re.fullmatch(r"StreamApp[A-Z]\w+", rule["alert"])
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    told = rule["annotations"]
    assert set(told) == {"summary", "description", "runbook_url"}
    assert "{{" not in told["summary"], "a summary is the same for all that is grouped together"
    assert told["description"].endswith(".")
    page, _, anchor = told["runbook_url"].partition("#")
    assert page in ("docs/operations.md", "docs/accidents.md")
    assert anchor in anchors(ROOT / page)


def test_there_are_alerts_enough_and_each_has_its_own_name() -> None:
    names = [rule["alert"] for rule in ALERTS]
    assert len(names) == len(set(names)) >= 12


@pytest.mark.parametrize("page", ["docs/metrics.md", "CHANGELOG.md"])
def test_the_pages_say_how_many_alerts_there_are(page: str) -> None:
    assert re.findall(r"(\d+) alerts\b", (ROOT / page).read_text()) == [str(len(ALERTS))]


def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    asked = [check for case in CASES for check in case["alert_rule_test"]]
    fires = {check["alertname"] for check in asked if check["exp_alerts"]}
    silent = {check["alertname"] for check in asked if not check["exp_alerts"]}
    assert fires == silent == {rule["alert"] for rule in ALERTS}


@needs_promtool
def test_the_cases_are_as_they_say() -> None:
    assert "SUCCESS" in promtool("test", "rules", "alerts_test.yml")


@needs_promtool
def test_prometheus_takes_the_configuration_and_the_rules() -> None:
    assert f"{len(ALERTS)} rules found" in promtool("check", "rules", "alerts.yml")
    assert "SUCCESS" in promtool("check", "config", "prometheus.yml")


@needs_promtool
def test_prometheus_can_parse_each_query_of_the_dashboard(tmp_path: Path) -> None:
    rules = [
        {"record": "dashboard:query", "expr": plain(expression), "labels": {"of": where}}
        for where, expression in queries().items()
    ]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "q", "rules": rules}]}))
    found = promtool("check", "rules", "--lint=none", "rules.yml", cwd=tmp_path)
    assert f"{len(rules)} rules found" in found


def test_every_metric_is_on_the_dashboard_or_in_an_alert() -> None:
    asked = {family(name) for expression in expressions().values() for name in names_in(expression)}
    assert {item.name for item in TABLE} - asked == set()


def panels(kind: str) -> Iterator[dict[str, Any]]:
    return (panel for panel in DASHBOARD["panels"] if panel["type"] == kind)


def test_each_panel_says_what_it_shows_and_in_which_unit() -> None:
    titles = [panel["title"] for panel in DASHBOARD["panels"]]
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(titles)) == len(titles) > 20
    assert len(set(ids)) == len(ids)
    for panel in (*panels("stat"), *panels("timeseries")):
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"]["uid"] == "${datasource}"
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}"


def test_no_panel_lies_over_another() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]


def test_the_variables_that_are_used_are_the_dashboards() -> None:
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD["panels"]))) - {"__rate_interval"}
    variables = {item["name"]: item for item in DASHBOARD["templating"]["list"]}
    assert used == set(variables)
    for item in variables.values():
        if item["type"] == "query":
            metric, label = re.findall(r"label_values\((\w+), (\w+)\)", item["definition"])[0]
            assert item["query"]["query"] == item["definition"]
            assert label in TARGET_LABELS | LABELS[metric]


def test_the_scrape_job_is_the_one_that_alerts_and_dashboard_look_for() -> None:
    (job,) = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    asked = {
        name
        for expression in expressions().values()
        for name in re.findall(r'\bjob="([^"]*)"', expression)
    }
    assert asked == {job["job_name"]}
