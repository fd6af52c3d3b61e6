"""Where a schema registry is set, a record of ours names its schema in a header, and stays JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from jsonschema import Draft7Validator

from stream_app.contracts.schema_registry import register, schema_headers
from stream_app.kafka.champions import say_champion
from stream_app.kafka.topic_check import Topics, TopicSpec
from stream_app.messages.schemas import Champion
from stream_app.settings import Settings
from tests.broker.test_drift import until_alarms, write
from tests.conftest import SettingsFor
from tests.drifting import drifting
from tests.registries import RecordedRegistry
from tests.workers import WorkerProcess, command, read_all, read_until

pytestmark = pytest.mark.timeout(400)
COUNT = 60
CHAMPION = Champion(
    symbol="A",
    version="20220101T000100Z-0f3c9a1b",
    since="2022-01-01T00:00:00.000+00:00",
    by="pin",
    why="",
    pinned=True,
    worker="w",
)


async def check_records(settings: Settings, topic: TopicSpec, registry: RecordedRegistry) -> int:
    """Each record has one header, which names a schema that the record's JSON keeps."""
    records: list[Any] = await read_all(settings, topic)
    for record in records:
        ((name, value),) = record.headers
        assert (name, value[:1], len(value)) == ("__value_schema_id", b"\0", 5)
        number = int.from_bytes(value[1:], "big")
        assert registry.subjects[f"{topic.name}-value"] == [number]
        Draft7Validator(registry.schemas[number - 1]).validate(orjson.loads(record.value))
    return len(records)


async def test_each_record_names_its_schema_in_a_header(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    async with RecordedRegistry() as registry:
        settings = settings_for(
            schema_registry_url=registry.url, bar_seconds=1, training_window_days=1
        )
        await register(settings, topics_on_broker.specs)
        fed = await command(
            settings, "feed", "synthetic", "--symbol", "A", "--limit", f"{COUNT}", "--speed", "max"
        )
        assert fed.returncode == 0, fed.stderr
        with WorkerProcess(settings, tmp_path / "worker.log") as worker:
            await read_until(worker, topics_on_broker.predictions, COUNT)
            asked = len(registry.asked)
            assert worker.terminate() == 0, worker.text()
        assert len(registry.asked) == asked
        await say_champion(
            settings, CHAMPION, await schema_headers(settings, [topics_on_broker.champions])
        )
        checked = {
            topic.role: await check_records(settings, topic, registry)
            for topic in (
                topics_on_broker.ticks,
                topics_on_broker.predictions,
                topics_on_broker.bars,
                topics_on_broker.champions,
            )
        }
    assert checked["ticks"] == checked["predictions"] == COUNT
    assert checked["bars"] > 0
    assert checked["champions"] == 1


async def test_an_alarm_of_drift_names_its_schema_too(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    scores = drifting(1000, errors_from=800)
    async with RecordedRegistry() as registry:
        settings = settings_for(schema_registry_url=registry.url)
        await register(settings, topics_on_broker.specs)
        await write(settings, topics_on_broker, scores)
        with WorkerProcess(settings, tmp_path / "drift.log", command="drift") as process:
            await until_alarms(process, topics_on_broker, 1)
        assert await check_records(settings, topics_on_broker.drift, registry) > 0


async def test_without_a_registry_a_record_has_no_header(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings = settings_for()
    fed = await command(
        settings, "feed", "synthetic", "--symbol", "A", "--limit", "5", "--speed", "max"
    )
    assert fed.returncode == 0, fed.stderr
    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        await read_until(worker, topics_on_broker.predictions, 5)
    for topic in (topics_on_broker.ticks, topics_on_broker.predictions):
        assert [list(record.headers) for record in await read_all(settings, topic)] == [[]] * 5


async def test_a_worker_whose_schemas_are_not_registered_says_so_and_ends(
    settings_for: SettingsFor, topics_on_broker: Topics
) -> None:
    async with RecordedRegistry() as registry:
        settings = settings_for(schema_registry_url=registry.url)
        ended = await command(settings, "worker")
    assert ended.returncode == 2
    last = ended.stderr.splitlines()[-1]
    assert f"{topics_on_broker.predictions.name}-value is not there as this version has it" in last
    assert "run `stream-app contracts register`" in last
    assert "Traceback" not in ended.stderr
