"""How to connect to Kafka: the one place that knows of protocols, certificates and passwords."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import collect_hosts
from aiokafka.errors import KafkaError
from aiokafka.helpers import create_ssl_context

from stream_app.errors import BrokerError, ConfigError
from stream_app.settings import Settings

if TYPE_CHECKING:
    from faust.auth import SASLCredentials, SSLCredentials

FETCH_MAX_WAIT_MS: Final = 25
"""How long a broker may hold back an empty answer to a fetch. Kafka answers as soon as there is a
record, however long this is; the embedded broker lets a lone tick wait for it when several
partitions are fetched at once."""
_RETRY_S: Final = 0.2
_REFUSALS: Final = (
    "SaslAuthenticationFailed",
    "UnsupportedSaslMechanism",
    "certificate verify failed",
    "Hostname mismatch",
)
"""In what aiokafka logs of a broker that answers, and says no; asking again changes nothing, and
with a wrong password it may lock the user out."""
_FETCH_TIMEOUT_MS: Final = 2000


def client_settings(settings: Settings) -> dict[str, Any]:
    """The keyword arguments of any aiokafka client. Holds the password: never log it.

    Blocks on reading certificates. Called by whatever makes a client.

    Raises:
        ConfigError: a certificate or key cannot be used; one line that names it.
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
    """What Faust wants as `broker_credentials`; None for PLAINTEXT.

    Blocks on reading certificates. Called by the composition root.

    Raises:
        ConfigError: a certificate or key cannot be used; one line that names it.
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
    """Return once a broker answers; try again until then. Called before any other client starts.

    aiokafka's own log lines are kept back meanwhile; the last goes into the error.

    Raises:
        BrokerError: none answers within `timeout_s`, or one refuses the user or has a certificate
            that is not trusted: that at once.
        ConfigError: as `client_settings`.
    """
    arguments = client_settings(settings)
    clock = asyncio.get_running_loop().time
    deadline = clock() + timeout_s
    with _last_word("aiokafka") as last_word:
        while True:
            admin = AIOKafkaAdminClient(**arguments)
            try:
                async with asyncio.timeout_at(deadline):
                    await admin.start()
                return
            except KafkaError as error:
                reason = last_word() or str(error)
            except TimeoutError:
                reason = last_word() or "it does not answer what it is asked"
            finally:
                await admin.close()
            if any(word in reason for word in _REFUSALS):
                raise BrokerError(
                    f"the broker at {settings.kafka_bootstrap_servers} and this client do not "
                    f"accept each other ({reason}); check the KAFKA_SASL_ and KAFKA_SSL_ settings"
                )
            if clock() + _RETRY_S > deadline:
                secured = settings.kafka_security_protocol != "PLAINTEXT"
                also = ", and check the KAFKA_SASL_ and KAFKA_SSL_ settings" if secured else ""
                raise BrokerError(
                    f"no broker answers at {settings.kafka_bootstrap_servers} within "
                    f"{timeout_s:g} s ({reason}); start one with `docker compose up -d kafka` or "
                    f"set KAFKA_BOOTSTRAP_SERVERS{also}"
                )
            await asyncio.sleep(_RETRY_S)


async def end_offset(consumer: AIOKafkaConsumer, tp: TopicPartition) -> int:
    """The offset after the last record of a partition, now.

    Unlike `consumer.end_offsets`, which on the embedded broker falls short by all but the first
    record of the last batch, it goes by the high watermark that comes with a fetch.

    Args:
        consumer: started and assigned `tp` by hand; its position is moved.
        tp: the partition.
    """
    first = (await consumer.beginning_offsets([tp]))[tp]
    told = int((await consumer.end_offsets([tp]))[tp])
    if told <= first:
        return told
    consumer.seek(tp, told - 1)
    await consumer.getmany(tp, timeout_ms=_FETCH_TIMEOUT_MS, max_records=1)
    return max(told, consumer.highwater(tp) or 0)


def _servers(settings: Settings) -> str:
    given = settings.kafka_bootstrap_servers
    try:
        well_formed = all(host and 0 < port < 65_536 for host, port, _ in collect_hosts(given))
    except ValueError:
        well_formed = False
    if not well_formed:
        raise ConfigError(
            f"KAFKA_BOOTSTRAP_SERVERS={given}: allowed is host:port, several with commas between"
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
        # An encrypted key is refused with the empty password; with none OpenSSL would ask for
        # one at the terminal.
        context: ssl.SSLContext = create_ssl_context(
            cafile=cafile, certfile=certfile, keyfile=keyfile, password=""
        )
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        named = ", ".join(f"{key}={path}" for key, path in files.items() if path is not None)
        raise ConfigError(
            f"{named}: cannot be used ({error}); allowed are files in PEM format, the key without "
            "a password and of the certificate"
        ) from None
    return context


@contextlib.contextmanager
def _last_word(name: str) -> Iterator[Callable[[], str]]:
    """Keep a logger's messages from all handlers; gives a function that tells the last one."""
    messages: deque[str] = deque(maxlen=1)
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger(name)
    propagated, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield lambda: " ".join(messages)
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagated
