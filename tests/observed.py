"""The files of deploy/observability/ as tests need them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[1] / "deploy/observability"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "grafana/dashboards/stream-app.json").read_text())
ALERTS: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]


def queries() -> dict[str, str]:
    """Each of the dashboard's, by its panel's title and its letter."""
    return {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in DASHBOARD["panels"]
        for target in panel.get("targets", ())
    }


def plain(expression: str) -> str:
    """With values in place of Grafana's variables."""
    filled = expression.replace("$__rate_interval", "1m").replace("$instance", ".*")
    return filled.replace("$symbol", ".*")
