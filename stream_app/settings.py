"""Every setting of the system, frozen, validated once at start-up.

This is the only module that reads the environment. A value comes from, in this order: the
environment, `.env` in the working directory, the TOML file named with `--config` (or by
`STREAM_APP_CONFIG`), the default.
"""

from __future__ import annotations

import difflib
import json
import math
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings.exceptions import SettingsError

from stream_app.errors import ConfigError
from stream_app.models.catalog import CATALOG

LEAST_ROWS = 120
"""Bars that a training needs beside the first sequence: 48 that the first feature looks back on,
and rows enough for the trees' leaves."""
CONFIG_ENV = "STREAM_APP_CONFIG"
_HIDDEN = "********"


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


class Settings(BaseSettings):
    """Settings of a worker; the field's name in capitals is the variable's name."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_file=".env", env_file_encoding="utf-8"
    )
    _toml: ClassVar[Path | None] = None

    # The retrain
    retrain_interval_hours: Annotated[float, Field(gt=0, le=8760, allow_inf_nan=False)] = 1.0
    retrain_target_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 45.0
    retrain_deadline_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 120.0
    """A job that runs longer than this is ended; the serving models go on."""
    retrain_processes: Annotated[int, Field(ge=1, le=64)] = 2
    min_training_bars: Annotated[int, Field(ge=150)] = 500
    model_seed: Annotated[int, Field(ge=0, lt=2**31)] = 7

    # The models
    lstm_layers: Annotated[tuple[int, ...], AfterValidator(_layers)] = (32, 16)
    lstm_sequence_length: Annotated[int, Field(ge=2)] = 30
    lstm_batch_size: Annotated[int, Field(ge=1)] = 64
    lstm_epochs: Annotated[int, Field(ge=1)] = 10
    lstm_warm_start: bool = False
    """A retrain's LSTM goes on from the one that serves, and stops when that no longer helps."""
    ensemble_weights: Annotated[dict[str, float], AfterValidator(_weights)] = {
        name: spec.weight for name, spec in CATALOG.items()
    }
    model_max_age_hours: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 720.0
    """Event time; a model older than the data it learned from is left out of the ensemble."""

    # Event time
    bar_seconds: Annotated[int, Field(ge=1, le=86_400)] = 300
    horizon_bars: Annotated[int, Field(ge=1, le=288)] = 1
    training_window_days: Annotated[float, Field(gt=0, le=366)] = 30.0
    grace_seconds: Annotated[float, Field(ge=0, le=3600)] = 5.0
    """How far behind the newest tick of its symbol a tick may be and still enter its bar."""
    max_future_seconds: Annotated[float, Field(ge=0)] = 300.0
    """How far after its record's Kafka timestamp a tick's event time may be."""

    # Kafka
    kafka_bootstrap_servers: Annotated[str, Field(min_length=1)] = "localhost:9092"
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    kafka_sasl_username: str | None = None
    kafka_sasl_password: SecretStr | None = None
    kafka_ssl_cafile: Path | None = None
    kafka_ssl_certfile: Path | None = None
    kafka_ssl_keyfile: Path | None = None
    kafka_session_timeout_seconds: Annotated[float, Field(ge=1, le=300)] = 10.0
    kafka_idempotent_producer: bool = True
    """Off for a broker without idempotent producers, such as the embedded one."""
    consumer_group: Annotated[str, Field(min_length=1, max_length=200)] = "stream-app"
    topics_file: Path = Path("topics.yaml")
    max_batch_ticks: Annotated[int, Field(ge=1, le=4096)] = 1024

    # The process
    watchdog_seconds: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 120.0
    """The process ends with exit code 3 after so long without progress though there are ticks."""
    data_dir: Path = Path("data")
    web_host: str = "127.0.0.1"
    web_port: Annotated[int, Field(ge=0, le=65_535)] = 6066
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @property
    def bar_ms(self) -> int:
        """Length of a bar in milliseconds."""
        return self.bar_seconds * 1000

    @property
    def window_bars(self) -> int:
        """How many bars a symbol's window holds: the training window."""
        return int(self.training_window_days * 86_400 / self.bar_seconds)

    @property
    def horizon_s(self) -> int:
        """The horizon in seconds."""
        return self.horizon_bars * self.bar_seconds

    @model_validator(mode="after")
    def _fits_together(self) -> Settings:
        for key, bars in (
            ("lstm_sequence_length", self.lstm_sequence_length),
            ("min_training_bars", self.min_training_bars),
            ("horizon_bars", self.horizon_bars),
        ):
            if bars > self.window_bars:
                raise ValueError(
                    f"{key.upper()}={bars}: allowed is at most the training window's "
                    f"{self.window_bars} bars (TRAINING_WINDOW_DAYS x BAR_SECONDS)"
                )
        least = self.lstm_sequence_length + LEAST_ROWS
        if self.min_training_bars < least:
            raise ValueError(
                f"MIN_TRAINING_BARS={self.min_training_bars}: allowed is at least {least}, "
                f"LSTM_SEQUENCE_LENGTH={self.lstm_sequence_length} and {LEAST_ROWS} more"
            )
        if self.retrain_deadline_seconds < self.retrain_target_seconds:
            raise ValueError(
                f"RETRAIN_DEADLINE_SECONDS={self.retrain_deadline_seconds:g}: allowed is at "
                f"least RETRAIN_TARGET_SECONDS={self.retrain_target_seconds:g}"
            )
        if self.kafka_security_protocol.startswith("SASL") and not (
            self.kafka_sasl_username and self.kafka_sasl_password
        ):
            raise ValueError(
                f"KAFKA_SECURITY_PROTOCOL={self.kafka_security_protocol}: set "
                "KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD too"
            )
        return self

    def as_environment(self) -> dict[str, str]:
        """All settings as variables for a worker in another process, secrets included."""
        out = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, SecretStr):
                value = value.get_secret_value()
            if value is not None:
                structured = isinstance(value, dict | tuple)
                out[name.upper()] = json.dumps(value) if structured else str(value)
        return out

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Rank the sources: arguments, environment, `.env`, TOML file."""
        sources = (init_settings, env_settings, dotenv_settings)
        if cls._toml is None:
            return sources
        return (*sources, TomlConfigSettingsSource(settings_cls, cls._toml))


def load_settings(config: Path | None = None, **overrides: Any) -> Settings:
    """Read and validate the settings.

    Blocks on reading `.env` and the TOML file. Called once by each command.

    Raises:
        ConfigError: one line that names the key, the value and what is allowed.
    """
    path = config or (Path(os.environ[CONFIG_ENV]) if CONFIG_ENV in os.environ else None)
    if path is not None and not path.is_file():
        raise ConfigError(f"settings file {path}: no such file; give --config an existing one")

    class _Sourced(Settings):
        _toml: ClassVar[Path | None] = path

    try:
        loaded = _Sourced(**overrides)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"settings file {path}: not TOML: {error}") from None
    except ValidationError as error:
        raise ConfigError(_one_line(error)) from None
    except SettingsError as error:  # a list or an object that is not JSON
        name = str(error).split('"')[1]
        given = error.__cause__.doc if isinstance(error.__cause__, json.JSONDecodeError) else "?"
        raise ConfigError(
            f"{name.upper()}={given}: not JSON; write it as {_example(name)}"
        ) from None
    values = {name: getattr(loaded, name) for name in Settings.model_fields}
    return Settings.model_construct(**values)


def _example(name: str) -> str:
    return json.dumps(Settings.model_fields[name].default)


def _one_line(error: ValidationError) -> str:
    """The first problem, as `KEY=value: what is allowed`."""
    problem = error.errors(include_url=False)[0]
    message = problem["msg"].removeprefix("Value error, ")
    location: Iterable[Any] = problem["loc"]
    path = ".".join(str(part) for part in location)
    if problem["type"] == "extra_forbidden":
        known = _nearest(path, Settings.model_fields)
        hint = f"; did you mean {known.upper()}?" if known else "; see docs/settings.md"
        secret = "pass" in path.lower() or "password" in (known or "")
        given = _HIDDEN if secret else repr(problem["input"])
        return f"{path.upper()}={given}: unknown setting{hint}"
    if not path:
        return message
    value = _HIDDEN if "password" in path else problem["input"]
    return f"{path.upper()}={value}: {message}"


def _nearest(name: str, known: Mapping[str, Any]) -> str | None:
    matches = difflib.get_close_matches(name.lower(), list(known), n=1)
    return matches[0] if matches else None
