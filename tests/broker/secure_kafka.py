"""Apache Kafka with passwords and certificates: one node with a listener of each kind.

Everything secret is made for each run: an authority, the broker's certificate for
127.0.0.1, a client's certificate, a user's password.
"""

from __future__ import annotations

import base64
import datetime
import ipaddress
import secrets
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from stream_app.brokers.kafka import READY_TIMEOUT_S, server_properties
from stream_app.brokers.process import BrokerProcess, free_ports

USER: Final = "alice"
LISTENERS: Final = ("SASL_SSL", "SASL_PLAINTEXT", "SSL")
"""Beside PLAINTEXT, which is for the broker itself and for waiting until it answers. SSL asks the
client for a certificate."""
_AUDIT: Final = """
Configuration:
  Appenders:
    Console: {name: STDOUT, PatternLayout: {pattern: "[%d] %p %m (%c)%n"}}
    File: {name: AUDIT, fileName: "FILE", PatternLayout: {pattern: "%m%n"}}
  Loggers:
    Root: {level: WARN, AppenderRef: {ref: STDOUT}}
    Logger:
      name: kafka.authorizer.logger
      level: DEBUG
      additivity: false
      AppenderRef: {ref: AUDIT}
"""


class Authority:
    """Signs certificates; `file` is what its clients trust."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._builder(self._name, self._key.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self._certificate = made.sign(self._key, hashes.SHA256())
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str) -> tuple[Path, Path, Path]:
        """A certificate for a name and for 127.0.0.1.

        Returns:
            Files of the certificate, its key, and both together.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        certificate = (
            self._builder(subject, key.public_key())
            .add_extension(x509.SubjectAlternativeName([loopback]), critical=False)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        content = certificate.public_bytes(serialization.Encoding.PEM)
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        files = [self._folder / f"{name}{end}" for end in (".pem", ".key", ".both.pem")]
        for path, part in zip(files, (content, private, private + content), strict=True):
            path.write_bytes(part)
        return files[0], files[1], files[2]

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=2))
        )


class SecureKafka:
    """A running node; as a context manager it is started, and ended with its files removed.

    Args:
        home: the distribution.
        users: who has a password; all have the same one.
        authorizes: whether users may only do what ACLs allow, and the node says in `audit` what it
            was asked for. Whoever comes by PLAINTEXT may do everything.
    """

    def __init__(
        self, home: Path, *, users: Sequence[str] = (USER,), authorizes: bool = False
    ) -> None:
        self._home = home
        self._users = users
        self._authorizes = authorizes
        self._files = tempfile.TemporaryDirectory(prefix="stream-app-secure-")
        self._folder = Path(self._files.name)
        self._process: BrokerProcess | None = None
        self.audit = self._folder / "audit.log"
        self.ports = dict(zip((*LISTENERS, "PLAINTEXT", "CONTROLLER"), free_ports(5), strict=True))
        self.password = secrets.token_urlsafe(18)
        self.authority = Authority(self._folder, "authority")
        self.stranger = Authority(self._folder, "stranger")
        """An authority that the broker's certificate is not from."""
        self.client = self.authority.issue("client")
        self.foreign_client = self.stranger.issue("foreign-client")

    def settings(self, listener: str, user: str = USER) -> dict[str, Any]:
        """The fields of `Settings` that a client of this listener needs, by name."""
        own: dict[str, Any] = {
            "kafka_bootstrap_servers": f"127.0.0.1:{self.ports[listener]}",
            "kafka_security_protocol": listener,
            "kafka_session_timeout_seconds": 6.0,
        }
        if listener.startswith("SASL"):
            own |= {"kafka_sasl_username": user, "kafka_sasl_password": self.password}
        if listener.endswith("SSL"):
            own["kafka_ssl_cafile"] = self.authority.file
        if listener == "SSL":
            own |= {"kafka_ssl_certfile": self.client[0], "kafka_ssl_keyfile": self.client[1]}
        return own

    def __enter__(self) -> Self:
        properties = self._folder / "server.properties"
        properties.write_text(self._properties())
        environment = ["env", f"LOG_DIR={self._folder / 'logs'}", "KAFKA_HEAP_OPTS=-Xmx512m"]
        cluster = base64.urlsafe_b64encode(b"\0" + secrets.token_bytes(15)).decode().rstrip("=")
        scram = [
            argument
            for user in self._users
            for argument in ("--add-scram", f"SCRAM-SHA-512=[name={user},password={self.password}]")
        ]
        storage = self._home / "bin" / "kafka-storage.sh"
        command = [*environment, str(storage), "format", "-t", cluster, "-c", str(properties)]
        subprocess.run([*command, *scram], capture_output=True, timeout=120, check=True)
        if self._authorizes:
            logging = self._folder / "log4j2.yaml"
            logging.write_text(_AUDIT.replace("FILE", str(self.audit)))
            environment.append(f"KAFKA_LOG4J_OPTS=-Dlog4j2.configurationFile={logging}")
        self._process = BrokerProcess(
            "Apache Kafka with SASL and TLS",
            [*environment, str(self._home / "bin" / "kafka-server-start.sh"), str(properties)],
            port=self.ports["PLAINTEXT"],
            log=self._folder / "broker.log",
            ready_timeout_s=READY_TIMEOUT_S,
        )
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.end(signal.SIGKILL)
        self._files.cleanup()

    def _properties(self) -> str:
        both = self.authority.issue("broker")[2]
        scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        addresses = {name: f"{name}://127.0.0.1:{port}" for name, port in self.ports.items()}
        clients = [addresses[name] for name in (*LISTENERS, "PLAINTEXT")]
        kinds = {name: name for name in (*LISTENERS, "PLAINTEXT")} | {"CONTROLLER": "PLAINTEXT"}
        more = {
            "listeners": ",".join(addresses.values()),
            "advertised.listeners": ",".join(clients),
            "listener.security.protocol.map": ",".join(map(":".join, kinds.items())),
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": scram,
            "listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config": scram,
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": both,
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": self.authority.file,
            "listener.name.ssl.ssl.client.auth": "required",
        }
        if self._authorizes:
            more |= {
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "super.users": "User:ANONYMOUS",
            }
        plain = server_properties(
            self.ports["PLAINTEXT"], self.ports["CONTROLLER"], self._folder / "data"
        )
        # Of two lines with one key Java takes the last.
        return plain + "".join(f"{key}={value}\n" for key, value in more.items())
