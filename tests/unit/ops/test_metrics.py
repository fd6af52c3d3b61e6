"""The names of the metrics, as Prometheus wants them; and the kinds that are our own."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from stream_app.messages.symbols import is_symbol
from stream_app.ops import event_loop, metrics
from stream_app.ops.metric_kinds import CountingHistogram, Described, GaugeAtScrape
from stream_app.ops.metrics import REGISTRY, TABLE
from tests.scraped import names_of

SUFFIXES = {"seconds": "_seconds", "seconds since 1970": "_timestamp_seconds"}
"""What a name ends in, by its unit."""
NO_BASE_UNIT = re.compile(
    r"_(ms|milli|micro|us|ns|nano|minutes?|hours?|days?|percent|kb|mb|kib|mib)(_|$)"
)

everything = pytest.mark.parametrize("item", TABLE, ids=[item.name for item in TABLE])


@everything
def test_a_name_tells_its_kind_and_its_base_unit(item: Described) -> None:
    assert re.fullmatch(r"stream_app(_[a-z]+[0-9]*)+", item.name)
    assert not NO_BASE_UNIT.search(item.name)
    assert item.name.endswith("_total") == (item.kind == "counter")
    assert item.name.endswith("_info") == (item.unit == "always 1")
    assert item.name.endswith("_ratio") == (item.unit.startswith(("0 to 1", "1 is perfect")))
    if item.unit in SUFFIXES:
        assert item.name.endswith(SUFFIXES[item.unit])
    else:
        assert not item.name.endswith("_seconds")
    assert item.name.endswith("_timestamp_seconds") == (item.unit == "seconds since 1970")
    if item.kind == "histogram":
        assert item.unit == "seconds"
    for reserved in ("_bucket", "_count", "_sum", "_created"):
        assert not item.name.endswith(reserved)


@everything
def test_a_help_text_is_a_sentence_and_names_its_labels_plainly(item: Described) -> None:
    assert re.match(r"[A-Z0-9`]", item.meaning)
    assert item.meaning.endswith(".")
    assert "\n" not in item.meaning
    assert item.unit
    for label in item.labels:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", label)
        assert label not in ("le", "quantile", "job", "instance")
    if item.kind == "histogram":
        assert "bserved" in item.meaning or "from when" in item.meaning, "what is observed?"


def test_all_that_is_served_is_described_or_of_the_process() -> None:
    served = names_of(REGISTRY.collect())
    described = [item.name for item in TABLE]
    assert len(described) == len(set(described)) > 30
    assert {name for name in served if not name.startswith("process_")} == set(described)
    assert "process_start_time_seconds" in served


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool: install prometheus")
def test_promtool_finds_nothing_to_say_of_them() -> None:
    checked = subprocess.run(
        ["promtool", "check", "metrics"],
        input=generate_latest(REGISTRY),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def test_a_counting_histogram_counts_as_the_librarys_own_does() -> None:
    bounds = (0.01, 0.1, 1.0, 10)
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    counting = CountingHistogram("waited_seconds", "Waited.", buckets=bounds, registry=ours)
    single = Histogram("waited_seconds", "Waited.", buckets=bounds, registry=theirs)
    assert generate_latest(ours) == generate_latest(theirs)
    for value, times in ((0.01, 1), (0.0100001, 3), (0.0, 2), (10.0, 1), (10.5, 4), (5e6, 2)):
        counting.observe(value, times)
        for _ in range(times):
            single.observe(value)
    assert generate_latest(ours) == generate_latest(theirs)


def test_a_gauge_at_scrape_shows_what_is_so_when_it_is_asked() -> None:
    registry = CollectorRegistry()
    gauge = GaugeAtScrape("level_ratio", "A level.", ["of"], registry=registry)
    assert b"level_ratio{" not in generate_latest(registry)
    values = {"a": 0.25, "b": 0.5}
    gauge.follow(lambda: (((name,), value) for name, value in values.items()))
    assert registry.get_sample_value("level_ratio", {"of": "a"}) == 0.25
    values.pop("a")
    assert registry.get_sample_value("level_ratio", {"of": "a"}) is None
    assert registry.get_sample_value("level_ratio", {"of": "b"}) == 0.5


async def test_a_busy_event_loop_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_loop, "LOOK_EVERY_S", 0.01)

    def counted(up_to: str) -> float:
        name = "stream_app_event_loop_delay_seconds"
        found = REGISTRY.get_sample_value(f"{name}_bucket", {"le": up_to})
        assert found is not None
        return found

    def slow() -> float:
        return counted("+Inf") - counted("0.2")

    before = slow()
    watching = asyncio.create_task(event_loop.watch_delay())
    await asyncio.sleep(0)
    loop = asyncio.get_running_loop()
    until = loop.time() + 0.5
    while loop.time() < until:
        pass  # what an endless step does
    async with asyncio.timeout(60):
        while slow() == before:
            await asyncio.sleep(0.01)
    watching.cancel()


def test_no_symbol_can_be_called_as_the_others_together_are() -> None:
    assert not is_symbol(metrics.OTHER_SYMBOLS)
