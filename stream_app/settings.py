"""Every setting of the system: frozen, and validated once when a command starts.

This is the only module that reads the environment. A value comes from the first of these that
has it: the environment, `.env` in the working directory, the TOML file named with `--config` (or
by `STREAM_APP_CONFIG`), the default. An empty value counts as none.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings.exceptions import SettingsError

from stream_app.environment import variables as environment
from stream_app.environment.refusals import not_json, refusal
from stream_app.environment.types import (
    HttpUrl,
    Layers,
    Levels,
    LogFormat,
    LogLevel,
    RegistryUrl,
    SaslMechanism,
    SecurityProtocol,
    TickFields,
    WebPort,
    Weights,
)
from stream_app.errors import ConfigError
from stream_app.messages.tick_mapping import TickMapping
from stream_app.messages.times import TimeUnit
from stream_app.models.catalog import CATALOG

LEAST_ROWS = 120
"""Bars that a training needs besides the first sequence: 48 that the first feature looks back on,
and enough rows for the leaves of the trees."""
MOST_WINDOW_BARS = 31_622_400
"""A year of seconds: a window is held in memory, 92 bytes a bar."""


class Settings(BaseSettings):
    """All settings. The variable for a field is its name in capitals."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_file=".env", env_file_encoding="utf-8"
    )
    _toml: ClassVar[Path | None] = None

    # The retrain
    retrain_interval_hours: Annotated[float, Field(gt=0, le=8760, allow_inf_nan=False)] = 1.0
    retrain_target_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 45.0
    retrain_deadline_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 120.0
    """A job that runs longer is ended, and the current models keep serving."""
    retrain_processes: Annotated[int, Field(ge=1, le=64)] = 2
    min_training_bars: Annotated[int, Field(ge=150)] = 500
    model_seed: Annotated[int, Field(ge=0, lt=2**31)] = 7

    # The models
    lstm_layers: Layers = (32, 16)
    lstm_sequence_length: Annotated[int, Field(ge=2)] = 30
    lstm_batch_size: Annotated[int, Field(ge=1)] = 64
    lstm_epochs: Annotated[int, Field(ge=1)] = 10
    lstm_warm_start: bool = False
    """Whether a retrain's LSTM starts from the weights of the LSTM that serves."""
    ensemble_weights: Weights = {name: spec.weight for name, spec in CATALOG.items()}
    shrinkage: bool = True
    """Whether forecasts count only as far as their own realised ones justify it."""
    interval_levels: Levels = (0.5, 0.9)
    """How likely the price at the horizon lies in each prediction interval."""
    model_max_age_hours: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 720.0
    """Event time. A model whose training data ended longer ago is left out of the ensemble."""

    # Event time
    bar_seconds: Annotated[int, Field(ge=1, le=86_400)] = 300
    horizon_bars: Annotated[int, Field(ge=1, le=288)] = 1
    horizon_by: Literal["time", "bars"] = "time"
    """Whether the horizon is counted on the clock, or in bars that have ticks."""
    training_window_days: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 30.0
    grace_seconds: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] = 5.0
    """How far behind the newest tick of its symbol a tick may be and still enter its bar."""
    max_future_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 300.0
    """How far after its record's Kafka timestamp a tick's event time may be."""

    # Drift
    drift_false_alarm_days: Annotated[float, Field(ge=0.1, le=3650, allow_inf_nan=False)] = 30.0
    """The wanted mean time between two false alarms of a symbol."""
    drift_retrain: bool = False
    """Whether an alarm lets a worker train the symbol early."""
    drift_retrain_min_seconds: Annotated[float, Field(ge=60, allow_inf_nan=False)] = 21_600.0
    """From one early training of a symbol to the next at least; older alarms are passed over."""

    # Kafka
    kafka_bootstrap_servers: Annotated[str, Field(min_length=1)] = "localhost:9092"
    kafka_security_protocol: SecurityProtocol = "PLAINTEXT"
    kafka_sasl_mechanism: SaslMechanism = "SCRAM-SHA-512"
    kafka_sasl_username: str | None = None
    kafka_sasl_password: SecretStr | None = None
    kafka_ssl_cafile: Path | None = None
    kafka_ssl_certfile: Path | None = None
    kafka_ssl_keyfile: Path | None = None
    kafka_session_timeout_seconds: Annotated[float, Field(ge=1, le=300, allow_inf_nan=False)] = 10.0
    kafka_group_instance_id: Annotated[str, Field(max_length=200)] | None = None
    """With one, a worker that comes back within the session timeout gets its partitions again and
    nothing moves meanwhile. Each worker of a group needs its own; the name of a pod is one."""
    standbys: Annotated[int, Field(ge=0, le=3)] = 1
    """How many other workers follow each partition, ready to take it over. All workers of a group
    need the same."""
    kafka_idempotent_producer: bool = True
    """False for a broker without idempotent producers, such as the embedded one."""
    consumer_group: Annotated[str, Field(min_length=1, max_length=200)] = "stream-app"
    topics_file: Path = Path("topics.yaml")
    max_batch_ticks: Annotated[int, Field(ge=1, le=4096)] = 1024

    # Ticks of feeds that do not follow the contract
    tick_fields: TickFields = {}
    """From the contract's names to the feed's; dots lead into objects."""
    tick_time_unit: TimeUnit = "ms"
    tick_key: Literal["required", "ignored"] = "required"

    # The schema registry
    schema_registry_url: HttpUrl | None = None
    """Where it is set, our records have a header with the id of their schema."""
    schema_registry_username: Annotated[str, Field(pattern="^[^:]+$")] | None = None
    schema_registry_password: SecretStr | None = None

    # The process
    watchdog_seconds: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 120.0
    """The process ends with exit code 3 after this long without progress while ticks wait."""
    data_dir: Path = Path("data")
    registry_url: RegistryUrl | None = None
    """An object store behind the models in DATA_DIR, for workers on several machines."""
    web_host: str = "127.0.0.1"
    web_port: WebPort = 6066
    metrics_symbols: Annotated[int, Field(ge=0, le=1000)] = 50
    """So many symbols have metrics of their own; the others are taken together."""
    dashboard_host: str = "127.0.0.1"
    dashboard_port: WebPort = 6080
    log_level: LogLevel = "INFO"
    log_format: LogFormat = "text"
    trace_spans: bool = False
    """Whether each batch is a span of OpenTelemetry, sent as the OTEL_ variables say."""

    @property
    def bar_ms(self) -> int:
        """Length of a bar in milliseconds."""
        return self.bar_seconds * 1000

    @property
    def window_bars(self) -> int:
        """How many bars a symbol's window holds: the training window."""
        # 2.3 days of minutes are 3,312 bars; the quotient is a little less.
        return int(round(self.training_window_days * 86_400 / self.bar_seconds, 6))

    @property
    def horizon_s(self) -> int:
        """The horizon in seconds."""
        return self.horizon_bars * self.bar_seconds

    @property
    def tick_mapping(self) -> TickMapping:
        """The form in which ticks come."""
        return TickMapping(
            fields=self.tick_fields,
            time_unit=self.tick_time_unit,
            key_required=self.tick_key == "required",
        )

    @model_validator(mode="after")
    def _fits_together(self) -> Settings:
        if self.window_bars > MOST_WINDOW_BARS:
            most = MOST_WINDOW_BARS * self.bar_seconds / 86_400
            raise ValueError(
                f"TRAINING_WINDOW_DAYS={self.training_window_days:g}: allowed is at most "
                f"{MOST_WINDOW_BARS:,} bars, {most:,.0f} days of BAR_SECONDS={self.bar_seconds}"
            )
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
        """All settings as variables for a worker in another process, secrets included.

        With the prefix, so that they go before whatever the process inherits.
        """
        out = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, SecretStr):
                value = value.get_secret_value()
            if value is not None:
                structured = isinstance(value, dict | tuple)
                out[environment.PREFIX + name.upper()] = (
                    json.dumps(value) if structured else str(value)
                )
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
        known = settings_cls.model_fields
        for source in (env_settings, dotenv_settings):
            assert isinstance(source, EnvSettingsSource)  # noqa: S101 - pydantic's own types
            variables = source.env_vars
            if source is env_settings:
                environment.require_known(variables, known)
                variables = _unquoted(variables, known)
            source.env_vars = environment.given(variables, known)
        sources = (init_settings, env_settings, dotenv_settings)
        if cls._toml is None:
            return sources
        toml = TomlConfigSettingsSource(settings_cls, cls._toml)
        toml.init_kwargs = {name: value for name, value in toml.init_kwargs.items() if value != ""}
        return (*sources, toml)


def load_settings(config: Path | None = None, **overrides: Any) -> Settings:
    """Read and validate the settings.

    Blocks while it reads `.env` and the TOML file. Each command calls it once.

    Raises:
        ConfigError: one line that names the key, the value and what is allowed.
    """
    variable = environment.CONFIG_VARIABLE
    named = environment.unquoted(variable, os.environ.get(variable, ""))
    path = config or (Path(named) if named else None)
    if path is not None and not path.is_file():
        raise ConfigError(f"settings file {path}: no such file; give --config an existing one")

    class _Sourced(Settings):
        _toml: ClassVar[Path | None] = path

    try:
        loaded = _Sourced(**overrides)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"settings file {path}: not TOML: {error}") from None
    except ValidationError as error:
        raise ConfigError(refusal(error, Settings.model_fields)) from None
    except SettingsError as error:  # a list or an object that is not JSON
        raise ConfigError(not_json(error, Settings.model_fields)) from None
    values = {name: getattr(loaded, name) for name in Settings.model_fields}
    return Settings.model_construct(**values)


def _unquoted(
    variables: Mapping[str, str | None], known: Mapping[str, Any]
) -> dict[str, str | None]:
    """The settings among the variables without the quotes that an env file leaves around them."""
    names = {item: item.removeprefix(environment.PREFIX.lower()) for item in variables}
    return {
        name: environment.unquoted(name, value)
        for name, value in variables.items()
        if value is not None and names[name] in known
    }
