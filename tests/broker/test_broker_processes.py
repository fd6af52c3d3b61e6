from __future__ import annotations

import logging
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from stream_app.brokers import Broker, embedded
from stream_app.brokers.embedded import EmbeddedBroker
from stream_app.brokers.kafka import KafkaBroker
from stream_app.brokers.process import answers, free_ports
from stream_app.errors import BrokerError
from stream_app.kafka.connection import client_settings
from stream_app.kafka.topic_check import apply_topics, load_topics
from stream_app.settings import load_settings
from tests.broker.records import read, send

DEADLINE_S = 60.0


def port_of(broker: Broker) -> int:
    servers: str = broker.settings_overrides["kafka_bootstrap_servers"]
    return int(servers.rpartition(":")[2])


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_free_ports_differ_and_are_not_taken() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert not any(answers(port) for port in ports)


def test_a_stopped_broker_is_gone_with_its_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with EmbeddedBroker() as started:
        port = port_of(started)
        assert answers(port)
        started.start()
        assert port_of(started) == port
        assert list(tmp_path.iterdir())
    assert not answers(port)
    assert not list(tmp_path.iterdir())


def test_another_binary_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = tmp_path / "tansu"
    other.write_text("#!/bin/sh\nexit 0\n")
    other.chmod(0o755)
    monkeypatch.setenv("CALF_TANSU_BIN", str(other))
    with pytest.raises(
        BrokerError, match=r"tansu has SHA-256 [0-9a-f]{64}, but [0-9a-f]{64} is recorded for"
    ):
        EmbeddedBroker().start()


def test_an_absent_binary_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CALF_TANSU_BIN", str(tmp_path / "absent"))
    with pytest.raises(BrokerError, match="no binary"):
        EmbeddedBroker().start()


def test_a_platform_without_a_checksum_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(embedded, "BINARY_SHA256", {})
    with caplog.at_level(logging.WARNING):
        assert embedded.verified_binary().is_file()
    assert len(caplog.records) == 1
    assert f"no checksum is recorded for {platform.system()}" in caplog.text


def test_a_broker_that_dies_at_once_shows_its_last_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dying = tmp_path / "dying"
    dying.write_text("#!/bin/sh\necho no such luck >&2\nexit 3\n")
    dying.chmod(0o755)
    monkeypatch.setattr(embedded, "verified_binary", lambda: dying)
    with pytest.raises(BrokerError, match=r"exit code 3: no such luck$"):
        EmbeddedBroker().start()


def test_a_broker_that_never_answers_is_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    idle = tmp_path / "idle"
    idle.write_text("#!/bin/sh\nexec sleep 1000\n")
    idle.chmod(0o755)
    monkeypatch.setattr(embedded, "verified_binary", lambda: idle)
    monkeypatch.setattr(embedded, "READY_TIMEOUT_S", 1.0)
    before = psutil.Process().children()
    with pytest.raises(BrokerError, match=r"does not answer .* within 1 s"):
        EmbeddedBroker().start()
    assert psutil.Process().children() == before


def test_a_directory_that_is_no_kafka_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=r"^KAFKA_HOME=.*kafka-storage\.sh"):
        KafkaBroker(tmp_path).start()


def test_a_kafka_without_java_is_refused(tmp_path: Path) -> None:
    scripts = tmp_path / "bin"
    scripts.mkdir()
    for name in ("kafka-storage.sh", "kafka-server-start.sh"):
        (scripts / name).write_text("#!/bin/sh\necho java: not found\nexit 127\n")
        (scripts / name).chmod(0o755)
    with pytest.raises(BrokerError, match=r"java: not found.*Java 17"), KafkaBroker(tmp_path):
        pass


@contextmanager
def parent_of(code: str, files: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that starts a broker, prints its port and waits."""
    print_port = "print(broker.settings_overrides['kafka_bootstrap_servers'], flush=True)"
    script = f"{code}\nwith broker:\n    {print_port}\n    input()"
    parent = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(files)},  # it will not live to remove its files
    )
    with parent:
        assert parent.stdout is not None
        try:
            yield parent, int(parent.stdout.readline().rpartition(":")[2])
        finally:
            parent.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
def test_the_embedded_broker_dies_with_a_killed_parent(tmp_path: Path) -> None:
    code = "from stream_app.brokers.embedded import EmbeddedBroker\nbroker = EmbeddedBroker()"
    with parent_of(code, tmp_path) as (parent, port):
        assert answers(port)
        parent.send_signal(signal.SIGKILL)
        wait_until(lambda: not answers(port))


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
def test_kafka_dies_with_a_killed_parent(kafka_home: Path, tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\nfrom stream_app.brokers.kafka import KafkaBroker\n"
        f"broker = KafkaBroker(Path({str(kafka_home)!r}))"
    )
    with parent_of(code, tmp_path) as (parent, port):
        assert answers(port)
        parent.send_signal(signal.SIGKILL)
        wait_until(lambda: not answers(port))


async def test_kafka_comes_back_with_its_data_on_the_same_port(
    kafka_home: Path, topics_file: Path
) -> None:
    topics = load_topics(topics_file)
    name = topics.ticks.name
    with KafkaBroker(kafka_home) as own:
        port = port_of(own)
        client = client_settings(load_settings(**own.settings_overrides))
        await apply_topics(topics, client)
        for number, end in enumerate((own.stop, own.kill), start=1):
            await send(client, name, [b"x"])
            end()
            assert not answers(port)
            own.start()
            assert port_of(own) == port
            assert len(await read(client, name, number)) == number
