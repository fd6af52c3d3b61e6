from __future__ import annotations

import asyncio
import gc
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from faust.auth import SASLCredentials, SSLCredentials

from stream_app.brokers import Broker
from stream_app.errors import BrokerError, ConfigError
from stream_app.kafka import connection
from stream_app.kafka.connection import client_settings, faust_credentials, wait_until_reachable
from stream_app.settings import load_settings

SASL: dict[str, Any] = {"kafka_sasl_username": "me", "kafka_sasl_password": "hush-hush"}


def test_plaintext_needs_nothing_more() -> None:
    settings = load_settings(kafka_bootstrap_servers="a:1,b:2")
    assert client_settings(settings) == {
        "bootstrap_servers": "a:1,b:2",
        "security_protocol": "PLAINTEXT",
    }
    assert faust_credentials(settings) is None


def test_sasl_carries_the_password_to_both_clients() -> None:
    settings = load_settings(
        kafka_security_protocol="SASL_PLAINTEXT", kafka_sasl_mechanism="SCRAM-SHA-256", **SASL
    )
    arguments = client_settings(settings)
    assert arguments["security_protocol"] == "SASL_PLAINTEXT"
    assert arguments["sasl_mechanism"] == "SCRAM-SHA-256"
    assert arguments["sasl_plain_username"] == "me"
    assert arguments["sasl_plain_password"] == SASL["kafka_sasl_password"]
    credentials = faust_credentials(settings)
    assert isinstance(credentials, SASLCredentials)
    assert (credentials.username, credentials.password) == ("me", "hush-hush")
    assert credentials.mechanism.value == "SCRAM-SHA-256"
    assert credentials.protocol.value == "SASL_PLAINTEXT"


def test_sasl_over_tls_has_both() -> None:
    settings = load_settings(kafka_security_protocol="SASL_SSL", **SASL)
    arguments = client_settings(settings)
    assert isinstance(arguments["ssl_context"], ssl.SSLContext)
    assert arguments["sasl_mechanism"] == "SCRAM-SHA-512"
    credentials = faust_credentials(settings)
    assert isinstance(credentials, SASLCredentials)
    assert credentials.protocol.value == "SASL_SSL"


def test_tls_verifies_the_broker() -> None:
    settings = load_settings(kafka_security_protocol="SSL")
    context = client_settings(settings)["ssl_context"]
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    credentials = faust_credentials(settings)
    assert isinstance(credentials, SSLCredentials)
    assert credentials.context.check_hostname


@pytest.mark.parametrize("key", ["kafka_ssl_cafile", "kafka_ssl_certfile", "kafka_ssl_keyfile"])
def test_a_missing_file_is_named(key: str, tmp_path: Path) -> None:
    settings = load_settings(kafka_security_protocol="SSL", **{key: tmp_path / "absent.pem"})
    for build in (client_settings, faust_credentials):
        with pytest.raises(ConfigError, match=rf"^{key.upper()}=.*absent\.pem: no such file"):
            build(settings)


@pytest.mark.parametrize("key", ["kafka_ssl_cafile", "kafka_ssl_certfile"])
def test_a_file_that_is_no_certificate_is_named(key: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.pem"
    path.write_text("no certificate")
    settings = load_settings(kafka_security_protocol="SSL", **{key: path})
    with pytest.raises(ConfigError, match=rf"^{key.upper()}=.*bad\.pem: cannot be used.*PEM"):
        client_settings(settings)


def test_a_key_without_its_certificate_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_text("key")
    settings = load_settings(kafka_security_protocol="SSL", kafka_ssl_keyfile=path)
    with pytest.raises(ConfigError, match="KAFKA_SSL_CERTFILE"):
        client_settings(settings)


@pytest.mark.parametrize("servers", ["host:port", "host:0", "host:70000", "[::1", "a:1,,b:1"])
def test_servers_that_are_no_addresses_are_refused(servers: str) -> None:
    with pytest.raises(ConfigError, match=r"^KAFKA_BOOTSTRAP_SERVERS=.*host:port"):
        client_settings(load_settings(kafka_bootstrap_servers=servers))


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


async def test_no_broker_is_one_line_and_no_flood(
    closed_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    settings = load_settings(kafka_bootstrap_servers=f"127.0.0.1:{closed_port}")
    with caplog.at_level(logging.DEBUG), pytest.raises(BrokerError) as refusal:
        await wait_until_reachable(settings, 0.5)
    assert str(refusal.value) == (
        f"no broker answers at 127.0.0.1:{closed_port} within 0.5 s ([Errno 111] Connect call "
        f"failed ('127.0.0.1', {closed_port})); start one with `docker compose up -d kafka` or set "
        "KAFKA_BOOTSTRAP_SERVERS"
    )
    assert [record for record in caplog.records if record.name.startswith("aiokafka")] == []


async def test_a_port_that_never_answers_ends_in_time(silent_port: int) -> None:
    settings = load_settings(kafka_bootstrap_servers=f"127.0.0.1:{silent_port}")
    with pytest.raises(
        BrokerError, match=r"within 0\.5 s \(it accepts the connection but does not"
    ):
        await wait_until_reachable(settings, 0.5)


@pytest.fixture
async def closing_port() -> AsyncIterator[int]:
    """A port that reads a request and closes the connection, as a TLS port does on plain text."""

    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()

    server = await asyncio.start_server(close, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_port_that_closes_the_connection_names_the_protocol(closing_port: int) -> None:
    settings = load_settings(kafka_bootstrap_servers=f"127.0.0.1:{closing_port}")
    with pytest.raises(BrokerError) as refusal:
        await wait_until_reachable(settings, 0.5)
    assert str(refusal.value) == (
        f"no broker answers at 127.0.0.1:{closing_port} within 0.5 s (the other side closes the "
        "connection); set KAFKA_BOOTSTRAP_SERVERS to a broker's port and check "
        "KAFKA_SECURITY_PROTOCOL and the KAFKA_SASL_ and KAFKA_SSL_ settings: the port must speak "
        "KAFKA_SECURITY_PROTOCOL=PLAINTEXT"
    )


async def test_waits_that_overlap_each_tell_their_own_reason(
    closed_port: int, silent_port: int, closing_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def reason(port: int, timeout_s: float) -> str:
        with pytest.raises(BrokerError) as refusal:
            await wait_until_reachable(
                load_settings(kafka_bootstrap_servers=f"127.0.0.1:{port}"), timeout_s
            )
        return str(refusal.value)

    async def log_meanwhile() -> None:
        await asyncio.sleep(0.4)
        logging.getLogger("aiokafka").error("of another client")

    closed, silent, closing, _ = await asyncio.gather(
        reason(closed_port, 3.0),
        reason(silent_port, 2.5),
        reason(closing_port, 2.0),
        log_meanwhile(),
    )
    assert "Connect call failed" in closed
    assert "does not answer" in silent
    assert "closes the connection" in closing
    assert [record.message for record in caplog.records] == ["of another client"]


async def test_the_end_of_a_connection_is_told_once(
    closed_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    loop = asyncio.get_running_loop()
    with pytest.raises(BrokerError):
        await wait_until_reachable(
            load_settings(kafka_bootstrap_servers=f"127.0.0.1:{closed_port}"), 0.1
        )
    for error in (ssl.SSLError("bad certificate"), ValueError("a fault")):
        loop.create_future().set_exception(error)
    gc.collect()
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["a fault"]


@pytest.mark.parametrize("order", [1, -1])
async def test_one_silent_host_does_not_hide_the_next(
    silent_port: int, broker: Broker, order: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.shuffle", lambda _: None)  # aiokafka asks the hosts in any order
    answers = str(broker.settings_overrides["kafka_bootstrap_servers"])
    servers = [f"127.0.0.1:{silent_port}", answers][::order]
    settings = load_settings(
        **(broker.settings_overrides | {"kafka_bootstrap_servers": ",".join(servers)})
    )
    await wait_until_reachable(settings, 4)


async def test_a_secured_client_at_a_plain_port_of_either_broker(broker: Broker) -> None:
    tls = load_settings(**(broker.settings_overrides | {"kafka_security_protocol": "SSL"}))
    with pytest.raises(BrokerError, match=r"no broker answers .* KAFKA_SECURITY_PROTOCOL=SSL$"):
        await wait_until_reachable(tls, 0.5)
    password = broker.settings_overrides | {"kafka_security_protocol": "SASL_PLAINTEXT"} | SASL
    with pytest.raises(BrokerError, match=r"KAFKA_SECURITY_PROTOCOL and the KAFKA_SASL_") as told:
        await wait_until_reachable(load_settings(**password), 0.5)
    assert SASL["kafka_sasl_password"] not in str(told.value)


async def test_a_last_try_that_is_cut_short_does_not_hide_what_was_seen_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Exception] = [ConnectionResetError(), TimeoutError()]

    async def answers(*_: Any) -> Exception:
        return seen.pop(0) if len(seen) > 1 else seen[0]

    monkeypatch.setattr(connection, "_first_answer", answers)
    with pytest.raises(BrokerError, match="the other side closes the connection"):
        await wait_until_reachable(load_settings(), 1.5)
