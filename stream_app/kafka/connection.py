"""How to connect to Kafka. Only this module handles protocols, certificates and passwords."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.helpers import create_ssl_context
from aiokafka.protocol.metadata import MetadataRequest

from stream_app.errors import BrokerError, ConfigError
from stream_app.settings import Settings

if TYPE_CHECKING:
    from faust.auth import SASLCredentials, SSLCredentials

FETCH_MAX_WAIT_MS: Final = 25
"""How long a broker may delay an empty answer to a fetch. Kafka answers as soon as there is a
record. The embedded broker makes a single tick wait this long when several partitions are fetched
at once."""
ISOLATION_LEVEL: Final = "read_committed"
"""Ticks of a transaction that was aborted are no ticks. All readers must agree on that: a restart
reads the ticks again that the group has answered."""
FOLLOW_MAX_WAIT_MS: Final = 500
"""The same where a reader stays on its partitions and half a second on the embedded broker is soon
enough. A reader that waits 25 ms asks an idle broker forty times a second."""
_RETRY_S: Final = 0.2
_REFUSALS: Final = (
    AuthenticationFailedError,
    IllegalSaslStateError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
    ssl.SSLCertVerificationError,
)
"""Errors that asking again cannot change. Asking again with a wrong password may even lock the
user out."""
_SECURITY_SETTINGS: Final = "KAFKA_SECURITY_PROTOCOL and the KAFKA_SASL_ and KAFKA_SSL_ settings"
_FETCH_TIMEOUT_S: Final = 2.0
POLL_MS: Final = 50
"""How long a poll waits where there may be no record. The client does not return for what holds
none, such as a transaction's marker; only the position moves on."""


def client_settings(settings: Settings) -> dict[str, Any]:
    """The keyword arguments for any aiokafka client. They contain the password: never log them.

    Blocks while it reads certificates. Every code that creates a client calls it.

    Raises:
        ConfigError: a certificate or key is unusable; one line that names it.
    """
    arguments: dict[str, Any] = {
        "bootstrap_servers": _servers(settings),
        "security_protocol": settings.kafka_security_protocol,
    }
    if settings.kafka_security_protocol.endswith("SSL"):
        arguments["ssl_context"] = _ssl_context(settings)
    if settings.kafka_security_protocol.startswith("SASL"):
        arguments["sasl_mechanism"] = settings.kafka_sasl_mechanism
        arguments["sasl_plain_username"] = settings.kafka_sasl_username
        arguments["sasl_plain_password"] = _password(settings)
    return arguments


def faust_credentials(settings: Settings) -> SASLCredentials | SSLCredentials | None:
    """Faust's `broker_credentials`; None for PLAINTEXT.

    Blocks while it reads certificates. The composition root calls it.

    Raises:
        ConfigError: a certificate or key is unusable; one line that names it.
    """
    from faust.auth import SASLCredentials, SSLCredentials

    protocol = settings.kafka_security_protocol
    context = _ssl_context(settings) if protocol.endswith("SSL") else None
    if protocol.startswith("SASL"):
        return SASLCredentials(
            mechanism=settings.kafka_sasl_mechanism,
            username=settings.kafka_sasl_username,
            password=_password(settings),
            ssl_context=context,
        )
    return SSLCredentials(context) if context is not None else None


async def wait_until_reachable(settings: Settings, timeout_s: float) -> None:
    """Return once a broker answers; retry until then. Every client calls it before it starts.

    Raises:
        BrokerError: no broker answers within `timeout_s`. At once when a broker refuses the user,
            or when this client does not trust the broker's certificate.
        ConfigError: as `client_settings`.
    """
    arguments = client_settings(settings)
    hosts = collect_hosts(arguments.pop("bootstrap_servers"))
    servers = settings.kafka_bootstrap_servers
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_without_ended_connections)
    clock = loop.time
    deadline = clock() + timeout_s
    told: Exception | None = None
    while True:
        error = await _first_answer(hosts, arguments, deadline)
        if error is None:
            return
        # The last try may be cut short: what was seen before says more than that.
        told = error = told if told and isinstance(error, TimeoutError) else error
        if isinstance(error, _REFUSALS):
            raise BrokerError(
                f"the broker at {servers} and this client do not accept each other "
                f"({_reason(error)}); check {_SECURITY_SETTINGS}"
            ) from None
        if clock() + _RETRY_S > deadline:
            raise BrokerError(
                f"no broker answers at {servers} within {timeout_s:g} s ({_reason(error)}); "
                f"{_remedy(settings, error)}"
            ) from None
        await asyncio.sleep(_RETRY_S)


def _without_ended_connections(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what asyncio finds that nobody waited for, but for the end of a connection.

    Whoever asks over a TLS connection is told how it ended. Its stream keeps the same error in a
    future of its own, and when both are garbage asyncio may report that future with a traceback.
    """
    if "future" in context and isinstance(context.get("exception"), OSError):
        return
    loop.default_exception_handler(context)


async def _first_answer(
    hosts: Sequence[tuple[str, int, Any]], arguments: Mapping[str, Any], deadline: float
) -> Exception | None:
    """Ask each host in turn. None once one answers, otherwise the error of the last host."""
    clock = asyncio.get_running_loop().time
    error: Exception | None = None
    for asked, (host, port, _) in enumerate(hosts):
        share_s = (deadline - clock()) / (len(hosts) - asked)
        try:
            async with asyncio.timeout(share_s):
                connection = await create_conn(host, port, **arguments)
                try:
                    await connection.send(MetadataRequest([]))
                finally:
                    connection.close()
            return None
        except (OSError, KafkaError) as failed:  # a TimeoutError is an OSError
            error = failed
    return error


def _reason(error: Exception) -> str:
    """One line; aiokafka's errors hide what closed the connection in their cause."""
    if isinstance(error, TimeoutError):
        return "it accepts the connection but does not answer, or its host cannot be reached"
    cause = error.__cause__
    if isinstance(cause, EOFError) or isinstance(error, ConnectionResetError):
        return "the other side closes the connection"
    return " ".join(str(cause or error).split()) or type(error).__name__


def _remedy(settings: Settings, error: Exception) -> str:
    closed = isinstance(error, KafkaError | ConnectionResetError)
    if closed or settings.kafka_security_protocol != "PLAINTEXT":
        return (
            f"set KAFKA_BOOTSTRAP_SERVERS to a broker's port and check {_SECURITY_SETTINGS}: the "
            f"port must speak KAFKA_SECURITY_PROTOCOL={settings.kafka_security_protocol}"
        )
    return "start one with `docker compose up -d kafka` or set KAFKA_BOOTSTRAP_SERVERS"


async def end_offset(consumer: AIOKafkaConsumer, tp: TopicPartition) -> int:
    """The offset after the last record that can be read of a partition. Waits for the broker.

    Records of a transaction that is still open cannot, nor can those behind them. It uses the last
    stable offset that comes with a fetch. `consumer.end_offsets` is too low on the
    embedded broker: it misses all but the first record of the last batch.

    Args:
        consumer: started, with `tp` assigned manually. Its position changes.
        tp: the partition.
    """
    first = (await consumer.beginning_offsets([tp]))[tp]
    told = int((await consumer.end_offsets([tp]))[tp])
    if told <= first:
        return told
    consumer.seek(tp, told - 1)
    clock = asyncio.get_running_loop().time
    deadline = clock() + _FETCH_TIMEOUT_S
    while await consumer.position(tp) < told and clock() < deadline:
        await consumer.getmany(tp, timeout_ms=POLL_MS, max_records=1)
    stable: int | None = consumer.last_stable_offset(tp)
    if stable is None or stable < 0:  # of a broker that knows no transactions
        stable = consumer.highwater(tp)
    return max(told, stable or 0)


def _servers(settings: Settings) -> str:
    given = settings.kafka_bootstrap_servers
    try:
        well_formed = all(host and 0 < port < 65_536 for host, port, _ in collect_hosts(given))
    except ValueError:
        well_formed = False
    if not well_formed:
        raise ConfigError(
            f"KAFKA_BOOTSTRAP_SERVERS={given}: allowed is host:port, or several separated by commas"
        )
    return given


def _password(settings: Settings) -> str | None:
    secret = settings.kafka_sasl_password
    return None if secret is None else secret.get_secret_value()


def _ssl_context(settings: Settings) -> ssl.SSLContext:
    files = {
        "KAFKA_SSL_CAFILE": settings.kafka_ssl_cafile,
        "KAFKA_SSL_CERTFILE": settings.kafka_ssl_certfile,
        "KAFKA_SSL_KEYFILE": settings.kafka_ssl_keyfile,
    }
    for key, path in files.items():
        if path is not None and not path.is_file():
            raise ConfigError(f"{key}={path}: no such file; allowed is a file in PEM format")
    cafile, certfile, keyfile = files.values()
    if keyfile is not None and certfile is None:
        raise ConfigError(f"KAFKA_SSL_KEYFILE={keyfile}: set KAFKA_SSL_CERTFILE too")
    try:
        # With an empty password OpenSSL refuses an encrypted key. Without a password it would
        # ask for one at the terminal.
        context: ssl.SSLContext = create_ssl_context(
            cafile=cafile, certfile=certfile, keyfile=keyfile, password=""
        )
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        named = ", ".join(f"{key}={path}" for key, path in files.items() if path is not None)
        raise ConfigError(
            f"{named}: cannot be used ({error}); allowed are files in PEM format, and a key "
            "without a password that belongs to the certificate"
        ) from None
    return context
