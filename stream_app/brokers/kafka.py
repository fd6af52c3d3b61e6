"""Apache Kafka from a distribution's directory (KAFKA_HOME): one KRaft node on loopback."""

from __future__ import annotations

import base64
import re
import secrets
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final, Self

from stream_app.brokers.process import BrokerProcess, free_ports
from stream_app.errors import BrokerError

READY_TIMEOUT_S: Final = 120.0
_FORMAT_TIMEOUT_S: Final = 120.0
_HEAP: Final = "-Xmx512m -Xms128m"


class KafkaBroker:
    """A Kafka node with its own data. After `stop` or `kill`, `start` continues with that data."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._files: tempfile.TemporaryDirectory[str] | None = None
        self._process: BrokerProcess | None = None
        self._port = 0

    @property
    def name(self) -> str:
        """A name for humans."""
        for jar in sorted((self._home / "libs").glob("kafka_*.jar")):
            if named := re.fullmatch(r"kafka_[0-9.]+-([0-9.]+)\.jar", jar.name):
                return f"Apache Kafka {named[1]}"
        return f"Apache Kafka in {self._home}"

    @property
    def settings_overrides(self) -> dict[str, Any]:
        """The fields of `Settings` that a client of this broker needs, by name."""
        return {
            "kafka_bootstrap_servers": f"127.0.0.1:{self._port}",
            "kafka_security_protocol": "PLAINTEXT",
            "kafka_session_timeout_seconds": 6.0,
            "kafka_idempotent_producer": True,
        }

    def start(self) -> None:
        """Start it and wait until it answers. Blocks, usually for 5 s the first time.

        After `stop` or `kill` it starts on the same port with the same data.

        Raises:
            BrokerError: there is no distribution or no Java, or it does not start.
        """
        if self._process is not None:
            self._process.start()
            return
        try:
            self._process = self._prepared()
            self._process.start()
        except BrokerError:
            self._clean_up()
            raise

    def stop(self) -> None:
        """Stop it cleanly and keep its data. Does nothing when it is not running. Blocks."""
        if self._process is not None:
            self._process.end(signal.SIGTERM)

    def kill(self) -> None:
        """Stop it as a power cut would, and keep its data. Does nothing when it is not running."""
        if self._process is not None:
            self._process.end(signal.SIGKILL)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()  # a clean stop takes seconds, and its data is deleted now
        self._clean_up()

    def _clean_up(self) -> None:
        if self._files is not None:
            self._files.cleanup()
        self._files = self._process = None

    def _prepared(self) -> BrokerProcess:
        self._files = tempfile.TemporaryDirectory(prefix="stream-app-kafka-")
        files = Path(self._files.name)
        self._port, controller_port = free_ports(2)
        return node(
            self._home,
            files,
            server_properties(self._port, controller_port, files / "data"),
            name=self.name,
            port=self._port,
            cluster=new_cluster_id(),
        )


def new_cluster_id() -> str:
    """Sixteen bytes in base64. The first is zero, so that the id does not look like an option."""
    return base64.urlsafe_b64encode(b"\0" + secrets.token_bytes(15)).decode().rstrip("=")


def node(
    home: Path,
    files: Path,
    properties: str,
    *,
    name: str,
    port: int,
    cluster: str,
    heap: str = _HEAP,
) -> BrokerProcess:
    """A node with formatted storage, not started yet. Blocks on the formatting, 2 s.

    Args:
        home: the distribution.
        files: an empty folder for its configuration and logs.
        properties: its server.properties.
        name: for humans.
        port: where it answers clients on loopback.
        cluster: the same id for all nodes of a cluster.
        heap: Java's options for its memory.

    Raises:
        BrokerError: there is no distribution or no Java, or the storage cannot be formatted.
    """
    scripts = [home / "bin" / f"kafka-{script}.sh" for script in ("storage", "server-start")]
    for script in scripts:
        if not script.is_file():
            raise BrokerError(
                f"KAFKA_HOME={home}: no bin/{script.name}; set it to the directory of an "
                "Apache Kafka 4 distribution"
            )
    storage, server = map(str, scripts)
    config = files / "server.properties"
    config.write_text(properties)
    # The distribution's scripts write logs into the distribution unless told otherwise.
    environment = ("env", f"LOG_DIR={files / 'logs'}", f"KAFKA_HEAP_OPTS={heap}")
    command = (*environment, storage, "format", "-t", cluster, "-c", str(config))
    try:
        subprocess.run(  # noqa: S603 - a fixed command, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_FORMAT_TIMEOUT_S,
            check=True,
        )
    except subprocess.SubprocessError as error:
        said = (getattr(error, "stdout", None) or b"").decode(errors="replace").split()
        raise BrokerError(
            f"{name}: cannot format its storage ({' '.join(said[-40:]) or error}); put "
            "Java 17 or later on PATH"
        ) from None
    return BrokerProcess(
        name,
        [*environment, server, str(config)],
        port=port,
        log=files / "broker.log",
        ready_timeout_s=READY_TIMEOUT_S,
    )


def server_properties(port: int, controller_port: int, data: Path) -> str:
    """The server.properties of a single node that is both broker and controller."""
    settings: dict[str, object] = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": data,
        "auto.create.topics.enable": "false",
        "offsets.topic.num.partitions": 4,
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "group.initial.rebalance.delay.ms": 0,
    }
    return "".join(f"{key}={value}\n" for key, value in settings.items())
