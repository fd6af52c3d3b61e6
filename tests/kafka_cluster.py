"""Apache Kafka as a cluster of three nodes, each broker and controller, for tests."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Self

from aiokafka.admin import AIOKafkaAdminClient

from stream_app.brokers.kafka import new_cluster_id, node, server_properties
from stream_app.brokers.process import BrokerProcess, free_ports
from tests.link import Link

NODES: Final = (1, 2, 3)
_HEAP: Final = "-Xmx256m -Xms128m"
_IN_SYNC_WITHIN_S: Final = 180.0


class KafkaCluster:
    """Three nodes with their own data. One that was ended starts again with its data.

    Each has two listeners: a direct one, and one that is advertised at a port of its own on which
    a `Link` must listen. `direct` and `linked` are the settings of clients of the one and other.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._files = tempfile.TemporaryDirectory(prefix="stream-app-cluster-")
        # A broker dies with the thread that started it: these live as long as the cluster.
        self._starter = ThreadPoolExecutor(len(NODES))
        ports = free_ports(4 * len(NODES))
        self._direct, self._behind, self._linked, self._controller = (
            dict(zip(NODES, ports[first::4], strict=True)) for first in range(4)
        )
        self._processes: dict[int, BrokerProcess] = {}

    @property
    def direct(self) -> dict[str, Any]:
        """The fields of `Settings` of a client that reaches the nodes themselves."""
        return _settings(self._direct)

    @property
    def linked(self) -> dict[str, Any]:
        """The fields of `Settings` of a client that reaches the nodes by their links."""
        return _settings(self._linked)

    def links(self) -> dict[int, Link]:
        """A link to each node, not opened yet."""
        return {number: Link(self._linked[number], self._behind[number]) for number in NODES}

    def __enter__(self) -> Self:
        cluster = new_cluster_id()

        def begin(number: int) -> None:
            files = Path(self._files.name) / str(number)
            files.mkdir()
            self._processes[number] = node(
                self._home,
                files,
                self._properties(number, files / "data"),
                name=f"Apache Kafka, node {number}",
                port=self._direct[number],
                cluster=cluster,
                heap=_HEAP,
            )
            self._processes[number].start()

        try:
            list(self._starter.map(begin, NODES))
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.end(signal.SIGKILL)
        self._starter.shutdown()
        self._files.cleanup()

    async def end(self, number: int, how: signal.Signals) -> None:
        """Stop a node in order by SIGTERM, or as a power cut would by SIGKILL."""
        await asyncio.to_thread(self._processes[number].end, how)

    async def start(self, number: int) -> None:
        """Start it again, and wait until every partition has all of its replicas in sync."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._starter, self._processes[number].start)
        async with asyncio.timeout(_IN_SYNC_WITHIN_S):
            while not await self._is_in_sync():
                await asyncio.sleep(0.2)

    async def leader_of(self, topic: str, partition: int) -> int:
        """The number of the node that leads a partition."""
        for part in (await self._described([topic]))[0]["partitions"]:
            if part["partition"] == partition:
                return int(part["leader"])
        raise LookupError(f"{topic} has no partition {partition}")

    async def _is_in_sync(self) -> bool:
        return all(
            len(part["isr"]) == len(part["replicas"]) == len(NODES)
            for topic in await self._described(None)
            for part in topic["partitions"]
        )

    async def _described(self, topics: list[str] | None) -> list[Any]:
        servers = self.direct["kafka_bootstrap_servers"]
        admin = AIOKafkaAdminClient(bootstrap_servers=servers)
        await admin.start()
        try:
            described: list[Any] = await admin.describe_topics(topics)
            return described
        finally:
            await admin.close()

    def _properties(self, number: int, data: Path) -> str:
        plain = server_properties(self._direct[number], self._controller[number], data)
        voters = ",".join(f"{each}@127.0.0.1:{self._controller[each]}" for each in NODES)
        more = {
            "node.id": number,
            "controller.quorum.voters": voters,
            "listeners": f"PLAINTEXT://127.0.0.1:{self._direct[number]},"
            f"LINKED://127.0.0.1:{self._behind[number]},"
            f"CONTROLLER://127.0.0.1:{self._controller[number]}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self._direct[number]},"
            f"LINKED://127.0.0.1:{self._linked[number]}",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,"
            "LINKED:PLAINTEXT",
            "offsets.topic.replication.factor": 3,
            "transaction.state.log.replication.factor": 3,
            "transaction.state.log.min.isr": 2,
            "share.coordinator.state.topic.replication.factor": 3,
            "share.coordinator.state.topic.min.isr": 2,
            "min.insync.replicas": 2,
            "default.replication.factor": 3,
        }
        # Of two lines with one key Java takes the last.
        return plain + "".join(f"{key}={value}\n" for key, value in more.items())


def _settings(ports: Mapping[int, int]) -> dict[str, Any]:
    return {
        "kafka_bootstrap_servers": ",".join(f"127.0.0.1:{port}" for port in ports.values()),
        "kafka_security_protocol": "PLAINTEXT",
        "kafka_session_timeout_seconds": 6.0,
        "kafka_idempotent_producer": True,
    }
