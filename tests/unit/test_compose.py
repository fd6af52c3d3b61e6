"""docker-compose.yml: valid, and what it mounts and names is there. No container is started."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
PROVISIONING = ROOT / "deploy/observability/grafana/provisioning"


def test_it_is_what_the_compose_specification_wants() -> None:
    schema = json.loads((ROOT / "tests/schemas/compose-spec.json").read_text())
    validator = jsonschema.Draft7Validator(schema)
    validator.validate(COMPOSE)
    with pytest.raises(jsonschema.ValidationError):
        validator.validate({**COMPOSE, "services": {"worker": {"comand": "x"}}})


def test_ops_brings_prometheus_and_grafana_beside_all_that_always_starts() -> None:
    always = {name for name, service in SERVICES.items() if not service.get("profiles")}
    ops = {name for name, service in SERVICES.items() if "ops" in service.get("profiles", ())}
    assert always == {"kafka", "topics", "worker", "drift", "dashboard"}
    assert ops == {"prometheus", "grafana"}


def test_whatever_serves_has_a_health_check() -> None:
    image = (ROOT / "Dockerfile").read_text()
    assert "HEALTHCHECK" in image
    for name in ("kafka", "worker", "dashboard", "prometheus", "grafana"):  # drift serves nothing
        service = SERVICES[name]
        check = service.get("healthcheck", {"test": "the image's" if "build" in service else None})
        assert check["test"], name
        assert not check.get("disable"), name
        assert service["restart"] == "unless-stopped", name


def test_what_is_mounted_is_there() -> None:
    for service in SERVICES.values():
        for mount in service.get("volumes", ()):
            source = mount.split(":")[0]
            if source.startswith("."):
                assert (ROOT / source).exists(), mount
            else:
                assert source in COMPOSE["volumes"], mount


def test_all_ports_are_of_this_machine_alone() -> None:
    for name, service in SERVICES.items():
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), name


def test_prometheus_scrapes_the_worker_where_it_listens() -> None:
    scraped = yaml.safe_load((ROOT / "deploy/observability/prometheus.yml").read_text())
    (target,) = scraped["scrape_configs"][0]["static_configs"][0]["targets"]
    host, port = target.split(":")
    assert f"127.0.0.1:{port}:{port}" in SERVICES[host]["ports"]
    assert SERVICES[host]["environment"]["WEB_HOST"] == "0.0.0.0"  # noqa: S104 - compared
    mounted = {item.split(":")[1] for item in SERVICES["prometheus"]["volumes"]}
    assert {f"/etc/prometheus/{name}" for name in scraped["rule_files"]} <= mounted


def test_grafana_finds_its_data_source_and_its_dashboard() -> None:
    (source,) = yaml.safe_load((PROVISIONING / "datasources/prometheus.yml").read_text())[
        "datasources"
    ]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards/stream-app.yml").read_text())[
        "providers"
    ]
    folder = provider["options"]["path"]
    mounts = dict(item.split(":")[:2][::-1] for item in SERVICES["grafana"]["volumes"])
    assert mounts[folder] == "./deploy/observability/grafana/dashboards"
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (ROOT / mounts[folder] / Path(home).relative_to(folder)).is_file()
