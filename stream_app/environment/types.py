"""Types of settings that check more than a number's range, with their one-line refusals."""

from __future__ import annotations

import math
import re
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from stream_app.environment.variables import PREFIX
from stream_app.messages.tick_mapping import check_fields
from stream_app.models.catalog import CATALOG


def _weights(value: dict[str, float]) -> dict[str, float]:
    allowed = ", ".join(CATALOG)
    if unknown := sorted(set(value) - set(CATALOG)):
        raise ValueError(f"unknown model {unknown[0]!r}; allowed are {allowed}")
    for name, weight in value.items():
        if not (math.isfinite(weight) and weight >= 0):
            raise ValueError(f"the weight of {name} is {weight}; allowed are numbers from 0 to 1")
    if missing := [name for name in CATALOG if name not in value]:
        raise ValueError(f"no weight for {missing[0]}; give one for each of {allowed}")
    total = math.fsum(value.values())
    if abs(total - 1.0) > 1e-9:
        raise ValueError(f"the weights sum to {total:g}; they must sum to 1")
    return value


def _layers(value: tuple[int, ...]) -> tuple[int, ...]:
    if not value or any(not 1 <= units <= 1024 for units in value):
        raise ValueError("allowed is a list of one or more sizes from 1 to 1024, such as [32,16]")
    return value


def _levels(value: tuple[float, ...]) -> tuple[float, ...]:
    if not all(0.0 < level < 1.0 for level in value) or list(value) != sorted(set(value)):
        raise ValueError(
            "allowed is a list of rising numbers above 0 and below 1, such as [0.5,0.9]"
        )
    return value


def _tick_fields(value: dict[str, str]) -> dict[str, str]:
    check_fields(value)
    return value


def _in_any_case(*names: str, **aliases: str) -> BeforeValidator:
    """Accept the names in small letters too, and each alias for a name."""
    known = {name.upper(): name for name in names} | aliases

    def named(value: object) -> object:
        return known.get(value.strip().upper(), value) if isinstance(value, str) else value

    return BeforeValidator(named)


def _no_service_link(value: object) -> object:
    if isinstance(value, str) and re.match(r"(tcp|udp|sctp)://", value):
        raise ValueError(
            "Kubernetes sets this for a service of that name (a service link); set "
            f"{PREFIX}WEB_PORT, which goes first, or `enableServiceLinks: false` in the pod's spec"
        )
    return value


def _registry_url(value: str) -> str:
    """Without what may be a secret: this text is in logs."""
    try:
        parts = urlsplit(value)
    except ValueError:
        raise ValueError("not a URL; write it as s3://BUCKET/PREFIX") from None
    if parts.scheme not in REGISTRY_SCHEMES:
        raise ValueError(f"allowed are URLs that begin with {', '.join(REGISTRY_SCHEMES)}")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(
            "credentials and options do not belong here; give them in the provider's own "
            "variables, such as AWS_ACCESS_KEY_ID"
        )
    if parts.scheme == "file" and (parts.netloc or not parts.path.strip("/")):
        raise ValueError("a folder is written with three slashes, as in file:///mnt/models")
    if parts.scheme != "file" and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", parts.netloc):
        raise ValueError(f"no bucket is named; write it as {parts.scheme}://BUCKET/PREFIX")
    if not re.fullmatch(r"[A-Za-z0-9/._=+-]*", parts.path) or ".." in parts.path.split("/"):
        raise ValueError("allowed in its path are ASCII letters, digits and /._=+-")
    return value


def _http_url(value: str) -> str:
    try:
        url = urlsplit(value)
        is_plain = not (url.query or url.fragment) and url.port != 0
    except ValueError:
        raise ValueError("allowed is http://host:port or https://host:port") from None
    if "@" in url.netloc:
        raise ValueError("give user and password with SCHEMA_REGISTRY_USERNAME and _PASSWORD")
    if url.scheme not in {"http", "https"} or not url.hostname or not is_plain:
        raise ValueError("allowed is http://host:port or https://host:port")
    return value


HttpUrl = Annotated[str, AfterValidator(_http_url)]
"""Without user and password, since errors and logs show it."""
Weights = Annotated[dict[str, float], AfterValidator(_weights)]
"""One weight for each model of the catalog; they sum to 1."""
TickFields = Annotated[dict[str, str], AfterValidator(_tick_fields)]
Levels = Annotated[tuple[float, ...], AfterValidator(_levels)]
Layers = Annotated[tuple[int, ...], AfterValidator(_layers)]
_Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
_Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
_Level = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
_Format = Literal["text", "json"]
SecurityProtocol = Annotated[_Protocol, _in_any_case(*get_args(_Protocol))]
SaslMechanism = Annotated[_Mechanism, _in_any_case(*get_args(_Mechanism))]
LogLevel = Annotated[_Level, _in_any_case(*get_args(_Level), WARN="WARNING")]
REGISTRY_SCHEMES = ("s3", "gs", "az", "file")
RegistryUrl = Annotated[str, AfterValidator(_registry_url)]
LogFormat = Annotated[_Format, _in_any_case(*get_args(_Format))]
WebPort = Annotated[int, Field(ge=0, le=65_535), BeforeValidator(_no_service_link)]
