"""Brokers that the demo and the tests start on this machine. Not for production."""

from __future__ import annotations

from typing import Any, Protocol, Self


class Broker(Protocol):
    """A broker in a child process on this machine. It listens on loopback only.

    `start` and `stop` block. As a context manager it starts, and in the end it stops and removes
    its files. On Linux it dies with the thread that started it, however that thread ends.
    """

    @property
    def name(self) -> str:
        """A name for humans, such as "Apache Kafka 4.3.0"."""

    @property
    def settings_overrides(self) -> dict[str, Any]:
        """The fields of `Settings` that a client of this broker needs, by name."""

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            BrokerError: it cannot start; one line with the reason.
        """

    def stop(self) -> None:
        """Stop it cleanly. Does nothing when it is not running."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...
