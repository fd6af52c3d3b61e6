"""What a worker serves at /metrics, read by prometheus-client's own parser."""

from __future__ import annotations

import re
from collections.abc import Iterable

import aiohttp
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import CollectorRegistry

from tests.workers import WorkerProcess


def names_of(families: Iterable[Metric]) -> set[str]:
    """As Prometheus stores them, but for a histogram's `_bucket`, `_sum` and `_count`."""
    return {
        family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")
        for family in families
    }


def series(registry: CollectorRegistry) -> int:
    """How many series a scrape gives."""
    return sum(len(family.samples) for family in registry.collect())


def address(worker: WorkerProcess) -> str:
    """HOST:PORT of a worker that serves."""
    found = re.search(r"metrics at http://(\S+)/status", worker.text())
    assert found is not None, worker.text()
    return found[1]


async def scrape(worker: WorkerProcess) -> str:
    """The text of /metrics."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{address(worker)}/metrics") as response,
    ):
        assert response.status == 200
        return await response.text()


def value(text: str, name: str, **labels: str) -> float:
    """Of the sample of this name and these labels; fails where there is not one."""
    (found,) = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    ]
    return found
