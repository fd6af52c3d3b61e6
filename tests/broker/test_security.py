"""Passwords and certificates against Apache Kafka: the whole way, and every refusal."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import orjson
import psutil
import pytest

from stream_app.kafka.topic_check import load_topics
from stream_app.settings import Settings, load_settings
from tests.broker.secure_kafka import USER, SecureKafka
from tests.builders import walk
from tests.conftest import KAFKA_HOME, TOPICS_YAML, needs_kafka
from tests.workers import WorkerProcess, environment, feed, read_until

pytestmark = [needs_kafka, pytest.mark.broker, pytest.mark.timeout(400)]

WRONG = "wrong-and-secret-too"
SMALL = {"bar_seconds": 60, "training_window_days": 1, "lstm_epochs": 1, "min_training_bars": 200}
DEADLINE_S = 120


@pytest.fixture(scope="module")
def secure() -> Iterator[SecureKafka]:
    with SecureKafka(Path(KAFKA_HOME or "")) as broker:
        yield broker


@pytest.fixture
def settings_for_listener(
    secure: SecureKafka, topics_file: Path, tmp_path: Path
) -> Callable[..., Settings]:
    def make(listener: str, **overrides: Any) -> Settings:
        own = {
            "consumer_group": topics_file.parent.name,
            "data_dir": tmp_path / "data",
            "topics_file": topics_file,
            "web_port": 0,
        }
        return load_settings(**(secure.settings(listener) | own | overrides))

    return make


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "stream_app", *arguments]


def run(settings: Settings, *arguments: str) -> str:
    """What a command says on both its outputs; it must succeed."""
    ended = subprocess.run(
        command(*arguments),
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0, said
    return said


def forms(secret: str) -> list[str]:
    """A secret as it might be written down."""
    encoded = base64.b64encode(secret.encode()).decode()
    return [secret, quote(secret, safe=""), repr(secret)[1:-1], encoded.rstrip("=")]


def assert_secret(secret: str, *places: str) -> None:
    for place in places:
        for form in forms(secret):
            assert form not in place


@pytest.mark.parametrize("listener", ["SASL_SSL", "SASL_PLAINTEXT", "SSL"])
async def test_the_whole_way_works_and_the_password_is_written_nowhere(
    secure: SecureKafka,
    settings_for_listener: Callable[..., Settings],
    tmp_path: Path,
    listener: str,
) -> None:
    settings = settings_for_listener(listener, log_level="DEBUG", **SMALL)
    topics = load_topics(settings.topics_file)
    said = [run(settings, "topics", "apply"), run(settings, "topics", "check")]
    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        await feed(settings, list(walk(1000, symbol="A")))
        predictions = await read_until(worker, topics.predictions, 1000)
        await worker.until("(all 4 models)")
        said.append(
            run(settings, "feed", "synthetic", "--symbol", "B", "--ticks", "50", "--speed", "max")
        )
        await read_until(worker, topics.predictions, 1050)
        said.append(run(settings, "history", "--json"))
        found = re.search(r"http://127\.0\.0\.1:(\d+)/status", worker.text())
        assert found, worker.text()
        for path in ("status", "metrics", "health/ready"):
            with urlopen(f"http://127.0.0.1:{found[1]}/{path}", timeout=30) as reply:
                said.append(reply.read().decode() + str(reply.headers))
        family = psutil.Process(worker.process.pid)
        listed = [family, *family.children(recursive=True)]
        said.extend(" ".join(process.cmdline()) for process in listed)
        assert len(listed) > 1
        code = worker.terminate()
    said.append(worker.text())
    assert code == 0, worker.text()
    assert len(predictions) == 1000
    events = orjson.loads(said[3].splitlines()[-1])
    assert events[-1]["state"] == "succeeded"
    assert "DEBUG" in worker.text()
    assert_secret(secure.password, *said)
    for file in settings.data_dir.rglob("*"):
        if file.is_file():
            assert_secret(secure.password, file.read_bytes().decode(errors="replace"))


REFUSALS: dict[str, tuple[str, tuple[str, ...], Callable[[SecureKafka], dict[str, Any]], str]] = {
    "wrong password": (
        "SASL_SSL",
        ("topics", "check"),
        lambda _: {"kafka_sasl_password": WRONG},
        "SaslAuthenticationFailed",
    ),
    "wrong password, worker": (
        "SASL_SSL",
        ("worker",),
        lambda _: {"kafka_sasl_password": WRONG},
        "SaslAuthenticationFailed",
    ),
    "wrong password, feed": (
        "SASL_SSL",
        ("feed", "synthetic"),
        lambda _: {"kafka_sasl_password": WRONG},
        "SaslAuthenticationFailed",
    ),
    "wrong password, history": (
        "SASL_PLAINTEXT",
        ("history",),
        lambda _: {"kafka_sasl_password": WRONG},
        "SaslAuthenticationFailed",
    ),
    "unknown user": (
        "SASL_SSL",
        ("topics", "apply"),
        lambda _: {"kafka_sasl_username": "mallory"},
        "SaslAuthenticationFailed",
    ),
    "mechanism that the broker has not": (
        "SASL_SSL",
        ("topics", "check"),
        lambda _: {"kafka_sasl_mechanism": "SCRAM-SHA-256"},
        "UnsupportedSaslMechanism",
    ),
    "wrong authority": (
        "SASL_SSL",
        ("topics", "check"),
        lambda secure: {"kafka_ssl_cafile": secure.stranger.file},
        "certificate verify failed",
    ),
    "wrong authority, worker": (
        "SSL",
        ("worker",),
        lambda secure: {"kafka_ssl_cafile": secure.stranger.file},
        "certificate verify failed",
    ),
    "no authority": (
        "SASL_SSL",
        ("topics", "check"),
        lambda _: {"kafka_ssl_cafile": None},
        "certificate verify failed",
    ),
    "another name than the certificate's": (
        "SASL_SSL",
        ("topics", "check"),
        lambda secure: {"kafka_bootstrap_servers": f"localhost:{secure.ports['SASL_SSL']}"},
        "Hostname mismatch",
    ),
    "no client certificate": (
        "SSL",
        ("topics", "check"),
        lambda _: {"kafka_ssl_certfile": None, "kafka_ssl_keyfile": None},
        r"no broker answers .*alert bad certificate.*KAFKA_SSL_",
    ),
    "foreign client certificate": (
        "SSL",
        ("topics", "check"),
        lambda secure: {
            "kafka_ssl_certfile": secure.foreign_client[0],
            "kafka_ssl_keyfile": secure.foreign_client[1],
        },
        r"no broker answers .*alert certificate unknown.*KAFKA_SSL_",
    ),
    "plain text to a TLS port": (
        "SASL_SSL",
        ("topics", "check"),
        lambda _: {"kafka_security_protocol": "PLAINTEXT"},
        r"no broker answers .*closes the connection.*KAFKA_SECURITY_PROTOCOL",
    ),
    "plain text to a TLS port, worker": (
        "SSL",
        ("worker",),
        lambda _: {"kafka_security_protocol": "PLAINTEXT"},
        r"no broker answers .*closes the connection.*KAFKA_SECURITY_PROTOCOL",
    ),
    "password in plain text to a TLS port": (
        "SASL_SSL",
        ("topics", "check"),
        lambda _: {"kafka_security_protocol": "SASL_PLAINTEXT"},
        r"no broker answers .*closes the connection.*KAFKA_SECURITY_PROTOCOL",
    ),
    "TLS to a port in plain text": (
        "PLAINTEXT",
        ("topics", "check"),
        lambda secure: {
            "kafka_security_protocol": "SSL",
            "kafka_ssl_cafile": secure.authority.file,
        },
        r"no broker answers .*closes the connection.*KAFKA_SECURITY_PROTOCOL",
    ),
    "password to a port without passwords": (
        "PLAINTEXT",
        ("topics", "check"),
        lambda secure: {
            "kafka_security_protocol": "SASL_PLAINTEXT",
            "kafka_sasl_username": USER,
            "kafka_sasl_password": secure.password,
        },
        r"do not accept each other \(.*IllegalSaslStateError",
    ),
    "no password to a port that asks for one": (
        "SASL_PLAINTEXT",
        ("topics", "check"),
        lambda _: {"kafka_security_protocol": "PLAINTEXT"},
        r"no broker answers .*closes the connection.*KAFKA_SECURITY_PROTOCOL",
    ),
}


@pytest.fixture(scope="module")
def refused(
    secure: SecureKafka, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """All the refusals at once: each tries for ten seconds and more."""
    started = {}
    for name, (listener, arguments, change, _) in REFUSALS.items():
        own = {
            "data_dir": tmp_path_factory.mktemp("data"),
            "topics_file": TOPICS_YAML,
            "web_port": 0,
        }
        settings = load_settings(**(secure.settings(listener) | own | change(secure)))
        started[name] = subprocess.Popen(
            command(*arguments),
            env=environment(settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tempfile.gettempdir(),
        )
    yield started
    for process in started.values():
        process.kill()
        process.communicate()


@pytest.mark.parametrize("name", list(REFUSALS))
def test_who_may_not_in_is_told_so_in_one_line(
    secure: SecureKafka, refused: dict[str, subprocess.Popen[str]], name: str
) -> None:
    out, err = refused[name].communicate(timeout=DEADLINE_S)
    assert refused[name].returncode == 2, err
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("stream-app: ")
    assert re.search(REFUSALS[name][3], lines[0]), lines[0]
    assert "Traceback" not in err
    assert_secret(secure.password, err)
    assert_secret(WRONG, err)


def test_a_user_is_no_secret_and_the_password_is_long_enough_to_be_looked_for(
    secure: SecureKafka,
) -> None:
    assert len(secure.password) >= 24
    assert USER not in secure.password
