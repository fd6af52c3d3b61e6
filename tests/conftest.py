"""Brokers for the tests: the embedded one always, Apache Kafka where KAFKA_HOME is set."""

from __future__ import annotations

import logging
import os
import signal
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import hypothesis
import pytest
import yaml

from stream_app.brokers import Broker
from stream_app.brokers.embedded import EmbeddedBroker
from stream_app.brokers.kafka import KafkaBroker
from stream_app.kafka.connection import client_settings
from stream_app.kafka.topic_check import Topics, apply_topics, load_topics
from stream_app.settings import Settings, load_settings
from tests.s3 import MOTO, S3, s3_server

# No test may depend on how fast the machine is.
hypothesis.settings.register_profile(
    "any-speed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any-speed")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As in a background job of a script: programs that the tests end by it would ignore it too.
    signal.signal(signal.SIGINT, signal.default_int_handler)

TOPICS_YAML = Path(__file__).parents[1] / "topics.yaml"
KAFKA_HOME = os.environ.get("KAFKA_HOME")
needs_kafka = pytest.mark.skipif(not KAFKA_HOME, reason="KAFKA_HOME is not set: no Apache Kafka")


class SettingsFor(Protocol):
    """Makes settings for the test's broker, with the test's own topics, group and data."""

    def __call__(self, **overrides: Any) -> Settings: ...


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name a case of bytes by its parameter: a gzip file has the time at which it was made.

    All processes of a run must give a test the same name.
    """
    return argname if isinstance(val, bytes) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that talks to a broker, so that `-m "not broker"` leaves them out."""
    for item in items:
        if {"broker", "kafka_home"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.broker)


@pytest.fixture(autouse=True)
def _logging_stays_as_it_was() -> Iterator[None]:
    """Commands that run in this process set loggers up; later tests read their records."""
    root = logging.getLogger()
    handlers = root.handlers[:]
    before = {logger: (logger.level, logger.propagate) for logger in _loggers()}
    yield
    root.handlers[:] = handlers
    for logger in _loggers():
        level, logger.propagate = before.get(logger, (logging.NOTSET, True))
        if logger.level != level:  # to set it empties all loggers' caches
            logger.setLevel(level)


def _loggers() -> list[logging.Logger]:
    known = logging.root.manager.loggerDict.values()
    return [logging.root, *(it for it in known if isinstance(it, logging.Logger))]


@pytest.fixture(scope="session")
def kafka_home() -> Path:
    """The Kafka distribution, for a test that starts, stops and kills a Kafka of its own."""
    if not KAFKA_HOME:
        pytest.skip("KAFKA_HOME is not set: no Apache Kafka")
    return Path(KAFKA_HOME)


@pytest.fixture(scope="session")
def brokers() -> Iterator[Callable[[str], Broker]]:
    """From a name to a running broker; each is started once, whatever the order of the tests."""
    running: dict[str, Broker] = {}
    with ExitStack() as stack:

        def started(name: str) -> Broker:
            if name not in running:
                made: Broker = (
                    EmbeddedBroker() if name == "embedded" else KafkaBroker(Path(KAFKA_HOME or ""))
                )
                running[name] = stack.enter_context(made)
            return running[name]

        yield started


@pytest.fixture(scope="session", params=["embedded", pytest.param("kafka", marks=needs_kafka)])
def broker(request: pytest.FixtureRequest, brokers: Callable[[str], Broker]) -> Broker:
    """A running broker, shared by all tests: tell topics and groups apart by `settings_for`."""
    return brokers(request.param)


@pytest.fixture
def topics_file(tmp_path: Path) -> Path:
    """The repository's topics.yaml with a prefix of the test's own before each name."""
    prefix = f"t{uuid.uuid4().hex[:12]}."
    content = yaml.safe_load(TOPICS_YAML.read_text())
    content["topics"] = {prefix + name: topic for name, topic in content["topics"].items()}
    for uses in content["services"].values():
        for direction, names in uses.items():
            uses[direction] = [prefix + name for name in names]
    path = tmp_path / "topics.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


@pytest.fixture
def settings_for(broker: Broker, tmp_path: Path, topics_file: Path) -> SettingsFor:
    """A function from overrides to settings."""

    def make(**overrides: Any) -> Settings:
        own = {
            "consumer_group": f"{tmp_path.name}-{uuid.uuid4().hex[:12]}",
            "data_dir": tmp_path / "data",
            "topics_file": topics_file,
            "web_port": 0,
        }
        return load_settings(**(broker.settings_overrides | own | overrides))

    return make


@pytest.fixture
async def topics_on_broker(settings_for: SettingsFor) -> Topics:
    """The test's own topics, created."""
    settings = settings_for()
    topics = load_topics(settings.topics_file)
    await apply_topics(topics, client_settings(settings))
    return topics


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """A real S3 server on loopback, with one bucket; tests have prefixes of their own."""
    if not MOTO.exists():
        pytest.skip(f"{MOTO} is not there: no S3 server; `make setup` installs it")
    with s3_server(tmp_path_factory.mktemp("s3") / "server.log") as server:
        yield server
