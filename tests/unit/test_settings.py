from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from stream_app.errors import ConfigError
from stream_app.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"STREAM_APP_{name.upper()}", raising=False)


def test_the_defaults_are_those_that_operators_know() -> None:
    settings = load_settings()
    assert settings.retrain_interval_hours == 1
    assert settings.retrain_target_seconds == 45
    assert settings.lstm_layers == (32, 16)
    assert settings.lstm_sequence_length == 30
    assert settings.lstm_batch_size == 64
    assert settings.lstm_epochs == 10
    assert settings.ensemble_weights == {
        "kalman": 0.10,
        "random_forest": 0.30,
        "lightgbm": 0.35,
        "lstm": 0.25,
    }
    assert settings.bar_seconds == 300
    assert settings.training_window_days == 30
    assert settings.window_bars == 8640
    assert settings.web_host == "127.0.0.1"


def test_a_window_of_years_is_allowed_where_its_bars_are_few() -> None:
    assert load_settings(training_window_days=2.3, bar_seconds=60).window_bars == 3312
    assert load_settings(training_window_days=7300, bar_seconds=86_400).window_bars == 7300
    assert load_settings(training_window_days=3653, bar_seconds=3600).window_bars == 87_672


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        load_settings().lstm_epochs = 3


def test_the_environment_goes_before_dotenv_and_that_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toml = tmp_path / "app.toml"
    toml.write_text("lstm_epochs = 3\nlstm_batch_size = 16\nlstm_layers = [8]\n")
    (tmp_path / ".env").write_text("LSTM_EPOCHS=4\nLSTM_BATCH_SIZE=32\n")
    monkeypatch.setenv("LSTM_EPOCHS", "5")
    settings = load_settings(toml)
    assert (settings.lstm_epochs, settings.lstm_batch_size) == (5, 32)
    assert settings.lstm_layers == (8,)


def test_the_interval_may_be_a_fraction_of_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRAIN_INTERVAL_HOURS", "0.25")
    assert load_settings().retrain_interval_hours == 0.25


BAD = [
    ({"METRICS_SYMBOLS": "-1"}, ["METRICS_SYMBOLS", "-1", "greater than or equal to 0"]),
    ({"ENSEMBLE_WEIGHTS": '{"kalman":-0.1,"random_forest":0.4,"lightgbm":0.4,"lstm":0.3}'},
     ["ENSEMBLE_WEIGHTS", "kalman", "-0.1", "0 to 1"]),
    ({"ENSEMBLE_WEIGHTS": '{"kalman":0.5,"random_forest":0.3,"lightgbm":0.35,"lstm":0.25}'},
     ["ENSEMBLE_WEIGHTS", "1.4", "sum to 1"]),
    ({"ENSEMBLE_WEIGHTS": '{"kalman":1,"arima":0}'}, ["ENSEMBLE_WEIGHTS", "arima", "allowed"]),
    ({"ENSEMBLE_WEIGHTS": '{"kalman":1}'}, ["ENSEMBLE_WEIGHTS", "random_forest"]),
    ({"ENSEMBLE_WEIGHTS": "0.1,0.2"}, ["ENSEMBLE_WEIGHTS", "0.1,0.2", "write it as"]),
    ({"LSTM_SEQUENCE_LENGTH": "10000"}, ["LSTM_SEQUENCE_LENGTH=10000", "8640 bars"]),
    ({"TRAINING_WINDOW_DAYS": "367", "BAR_SECONDS": "1"},
     ["TRAINING_WINDOW_DAYS=367", "31,622,400 bars", "366 days of BAR_SECONDS=1"]),
    ({"TRAINING_WINDOW_DAYS": "inf"}, ["TRAINING_WINDOW_DAYS=inf", "finite"]),
    ({"DASHBOARD_PORT": "65536"}, ["DASHBOARD_PORT=65536", "65535"]),
    ({"HORIZON_BY": "ticks"}, ["HORIZON_BY=ticks", "'time' or 'bars'"]),
    ({"LSTM_LAYERS": "[32,0]"}, ["LSTM_LAYERS", "[32, 0]", "1 to 1024"]),
    ({"LSTM_LAYERS": "thirty"}, ["LSTM_LAYERS=thirty", "[32, 16]"]),
    ({"INTERVAL_LEVELS": "[0.9,0.5]"}, ["INTERVAL_LEVELS", "[0.9, 0.5]", "rising"]),
    ({"INTERVAL_LEVELS": "[0.5,0.5]"}, ["INTERVAL_LEVELS", "rising"]),
    ({"INTERVAL_LEVELS": "[0.5,1]"}, ["INTERVAL_LEVELS", "above 0 and below 1"]),
    ({"INTERVAL_LEVELS": "[NaN]"}, ["INTERVAL_LEVELS", "above 0 and below 1"]),
    ({"INTERVAL_LEVELS": "90"}, ["INTERVAL_LEVELS", "90"]),
    ({"RETRAIN_INTERVAL_HOURS": "0"}, ["RETRAIN_INTERVAL_HOURS=0", "greater than 0"]),
    ({"RETRAIN_INTERVAL_HOURS": "nan"}, ["RETRAIN_INTERVAL_HOURS=nan", "finite"]),
    ({"RETRAIN_DEADLINE_SECONDS": "10"}, ["RETRAIN_DEADLINE_SECONDS=10", "TARGET_SECONDS=45"]),
    ({"REGISTRY_URL": "ftp://host/x"}, ["REGISTRY_URL", "s3, gs, az, file"]),
    ({"REGISTRY_URL": "s3:///x"}, ["REGISTRY_URL", "no bucket is named"]),
    ({"REGISTRY_URL": "s3://bucket/a b"}, ["REGISTRY_URL", "ASCII letters"]),
    ({"REGISTRY_URL": "file://models"}, ["REGISTRY_URL", "three slashes"]),
    ({"REGISTRY_URL": "file:///a/../b"}, ["REGISTRY_URL", "allowed in its path"]),
    ({"DRIFT_FALSE_ALARM_DAYS": "0"}, ["DRIFT_FALSE_ALARM_DAYS=0", "0.1"]),
    ({"DRIFT_RETRAIN": "maybe"}, ["DRIFT_RETRAIN=maybe", "boolean"]),
    ({"DRIFT_RETRAIN_MIN_SECONDS": "1"}, ["DRIFT_RETRAIN_MIN_SECONDS=1", "60"]),
    ({"WEB_PORT": "70000"}, ["WEB_PORT=70000", "65535"]),
    ({"KAFKA_SECURITY_PROTOCOL": "TLS"}, ["KAFKA_SECURITY_PROTOCOL=TLS", "SASL_SSL"]),
    ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, ["KAFKA_SASL_USERNAME"]),
    ({"SCHEMA_REGISTRY_URL": "registry:8081"}, ["SCHEMA_REGISTRY_URL=registry:8081", "http://"]),
    ({"SCHEMA_REGISTRY_URL": "http://"}, ["SCHEMA_REGISTRY_URL=http://", "host:port"]),
    ({"SCHEMA_REGISTRY_URL": "http://[a"}, ["SCHEMA_REGISTRY_URL=http://[a", "host:port"]),
    ({"SCHEMA_REGISTRY_URL": "http://a:99999"}, ["SCHEMA_REGISTRY_URL=http://a:99999:"]),
    ({"SCHEMA_REGISTRY_URL": "http://a/?b"}, ["SCHEMA_REGISTRY_URL=http://a/?b", "host:port"]),
    *(({name: value}, [f"{name}={value}", "finite number"])
      for name in ("RETRAIN_INTERVAL_HOURS", "RETRAIN_TARGET_SECONDS", "RETRAIN_DEADLINE_SECONDS",
                   "MODEL_MAX_AGE_HOURS", "TRAINING_WINDOW_DAYS", "GRACE_SECONDS",
                   "MAX_FUTURE_SECONDS", "DRIFT_FALSE_ALARM_DAYS", "DRIFT_RETRAIN_MIN_SECONDS",
                   "KAFKA_SESSION_TIMEOUT_SECONDS", "WATCHDOG_SECONDS")
      for value in ("nan", "inf", "-inf")),
    ({"SCHEMA_REGISTRY_USERNAME": "a:b"}, ["SCHEMA_REGISTRY_USERNAME=a:b"]),
]  # fmt: skip


@pytest.mark.parametrize(("env", "words"), BAD, ids=[str(env) for env, _ in BAD])
def test_a_bad_value_is_refused_in_one_line_with_key_value_and_what_is_allowed(
    env: dict[str, str], words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as refused:
        load_settings()
    message = str(refused.value)
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("name", ["app.toml", ".env"])
def test_an_unknown_key_in_a_file_is_refused_with_the_nearest_name(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text("lstm_epoch = 3\n")
    with pytest.raises(
        ConfigError, match=r"LSTM_EPOCH='?3'?: unknown setting; did you mean LSTM_EPOCHS"
    ):
        load_settings(tmp_path / name if name != ".env" else None)


def test_a_file_that_is_absent_or_no_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_settings(tmp_path / "absent.toml")
    (tmp_path / "bad.toml").write_text("= 3")
    with pytest.raises(ConfigError, match="not TOML"):
        load_settings(tmp_path / "bad.toml")


@pytest.mark.parametrize("user", ["me:hunter2", "me:hunter2@x", "me:hunter2/"])
def test_the_password_in_a_url_is_refused_and_not_shown(user: str, tmp_path: Path) -> None:
    for name in ("SCHEMA_REGISTRY_URL", "SCHEMA_REGISTRY_URI"):
        (tmp_path / ".env").write_text(f"{name}=http://{user}@registry:8081\n")
        with pytest.raises(ConfigError, match=f"{name}=.*registry:8081") as refused:
            load_settings()
        assert "hunter2" not in str(refused.value)


def test_a_password_is_in_no_repr_and_no_dump(monkeypatch: pytest.MonkeyPatch) -> None:
    secret: dict[str, Any] = {"kafka_sasl_username": "me", "kafka_sasl_password": "hunter2"}
    settings = load_settings(kafka_security_protocol="SASL_SSL", **secret)
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings.model_dump())
    assert "hunter2" not in settings.model_dump_json()


QUOTED = [
    ("LSTM_LAYERS", '"[32,16]"', (32, 16)),
    ("LSTM_LAYERS", "'[8]'", (8,)),
    ("DATA_DIR", '"/data"', Path("/data")),
    ("DATA_DIR", "'my data'", Path("my data")),
    ("STREAM_APP_DATA_DIR", '"/data"', Path("/data")),
    ("KAFKA_BOOTSTRAP_SERVERS", '"a:1,b:2"', "a:1,b:2"),
    ("KAFKA_SECURITY_PROTOCOL", '"SSL"', "SSL"),
    ("WEB_PORT", "'7000'", 7000),
    ("LSTM_WARM_START", '"true"', True),
    ("CONSUMER_GROUP", "''mine''", "'mine'"),
]


@pytest.mark.parametrize(("variable", "value", "meant"), QUOTED)
def test_quotes_that_an_env_file_keeps_are_left_out_with_a_line(
    variable: str,
    value: str,
    meant: object,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv(variable, value)
    assert getattr(load_settings(), variable.removeprefix("STREAM_APP_").lower()) == meant
    assert [record.getMessage() for record in caplog.records] == [
        f"{variable}: its value has quotes around it, which are left out; an env file needs none"
    ]


def test_a_quoted_password_is_the_password_and_the_line_does_not_show_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("KAFKA_SASL_USERNAME", '"me"')
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", '"hush-hush"')
    settings = load_settings()
    assert settings.kafka_sasl_username == "me"
    assert settings.kafka_sasl_password is not None
    assert settings.kafka_sasl_password.get_secret_value() == "hush-hush"
    assert "hush" not in caplog.text
    assert len(caplog.records) == 2


@pytest.mark.parametrize("value", ['"x', 'x"', "\"x'", '"', "it's", '{"a":"b"}x', 'say "x"'])
def test_quotes_that_are_no_pair_stay(
    value: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CONSUMER_GROUP", value)
    assert load_settings().consumer_group == value
    assert not caplog.records


def test_variables_of_others_are_not_looked_at(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SOMETHING_ELSE", '"quoted"')
    load_settings()
    assert not caplog.records


def test_a_line_end_of_windows_is_no_part_of_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_DIR", "/data\r")
    monkeypatch.setenv("CONSUMER_GROUP", '"mine"\r')
    settings = load_settings()
    assert (settings.data_dir, settings.consumer_group) == (Path("/data"), "mine")


def _in_environment(name: str, value: str, tmp_path: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv(name.upper(), value)


def _in_prefixed(name: str, value: str, tmp_path: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv(f"STREAM_APP_{name.upper()}", value)


def _in_dotenv(name: str, value: str, tmp_path: Path, patch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text(f"{name.upper()}={value}\n")


def _in_toml(name: str, value: str, tmp_path: Path, patch: pytest.MonkeyPatch) -> None:
    (tmp_path / "app.toml").write_text(f'{name} = "{value}"\n')
    patch.setenv("STREAM_APP_CONFIG", "app.toml")


@pytest.mark.parametrize("place", [_in_environment, _in_prefixed, _in_dotenv, _in_toml])
@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_empty_means_not_set(
    name: str, place: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(name, "", tmp_path, monkeypatch)
    assert getattr(load_settings(), name) == Settings.model_fields[name].default


@pytest.mark.parametrize("value", ["", " ", '""', "''"])
def test_an_empty_variable_gives_way_to_the_next_place(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("WEB_PORT=7000\n")
    monkeypatch.setenv("WEB_PORT", value)
    assert load_settings().web_port == 7000
    monkeypatch.setenv("STREAM_APP_CONFIG", value)
    assert load_settings().web_port == 7000


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        *(("LOG_LEVEL", text, "WARNING") for text in ("WARN", "warn", "Warning", "warning ")),
        ("LOG_LEVEL", "debug", "DEBUG"),
        ("LOG_FORMAT", "JSON", "json"),
        ("LOG_LEVEL", "Error", "ERROR"),
        ("LOG_LEVEL", "info", "INFO"),
        ("KAFKA_SECURITY_PROTOCOL", "ssl", "SSL"),
        ("KAFKA_SASL_MECHANISM", "scram-sha-256", "SCRAM-SHA-256"),
    ],
)
def test_names_are_known_in_small_letters_too(
    name: str, value: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert getattr(load_settings(), name.lower()) == meant


def test_an_unknown_level_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "loud")
    with pytest.raises(ConfigError, match=r"^LOG_LEVEL=loud: .*'WARNING'"):
        load_settings()


LINK = "tcp://10.0.0.1:6066"


def test_a_service_link_of_kubernetes_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WEB_PORT", LINK)
    with pytest.raises(ConfigError) as refused:
        load_settings()
    assert str(refused.value) == (
        f"WEB_PORT={LINK}: Kubernetes sets this for a service of that name (a service link); set "
        "STREAM_APP_WEB_PORT, which goes first, or `enableServiceLinks: false` in the pod's spec"
    )
    monkeypatch.setenv("STREAM_APP_WEB_PORT", "7000")
    assert load_settings().web_port == 7000


def test_the_links_of_services_named_stream_app_are_no_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("", "WEB_", "DATA_DIRS_"):
        prefix = f"STREAM_APP_{name}"
        for end in ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT_6066_TCP"):
            monkeypatch.setenv(prefix + end, "10.0.0.1")
    monkeypatch.setenv("STREAM_APP_PORT", LINK)
    assert load_settings().web_port == 6066
    monkeypatch.setenv("STREAM_APP_WEB_PORT", LINK)
    with pytest.raises(ConfigError, match=r"^STREAM_APP_WEB_PORT=tcp.*enableServiceLinks: false"):
        load_settings()


@pytest.mark.parametrize("place", [_in_environment, _in_dotenv])
@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_every_setting_is_known_with_the_prefix_too(
    name: str, place: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {"kafka_security_protocol": "SSL", "kafka_idempotent_producer": "false",
              "lstm_warm_start": "true", "drift_retrain": "true",
              "shrinkage": "false", "log_level": "ERROR",
              "log_format": "json", "trace_spans": "true",
              "lstm_layers": "[8]", "interval_levels": "[0.8]",
              "kafka_sasl_mechanism": "PLAIN", "horizon_bars": "2", "bar_seconds": "60",
              "horizon_by": "bars", "tick_fields": '{"price":"p"}', "tick_time_unit": "s",
              "tick_key": "ignored", "registry_url": "s3://bucket/x",
              "schema_registry_url": "http://a:1",
              "ensemble_weights": '{"kalman":1,"random_forest":0,"lightgbm":0,"lstm":0}',
              "lstm_sequence_length": "9", "retrain_deadline_seconds": "70",
              "retrain_target_seconds": "30", "retrain_processes": "3",
              "standbys": "2"}  # fmt: skip
    place(f"stream_app_{name}", values.get(name, "200"), tmp_path, monkeypatch)
    changed = load_settings()
    others = [item for item in Settings.model_fields if item != name]
    assert getattr(changed, name) != Settings.model_fields[name].default
    assert all(getattr(changed, item) == Settings.model_fields[item].default for item in others)


def test_the_prefix_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("STREAM_APP_LSTM_EPOCHS=3\nLSTM_EPOCHS=4\n")
    assert load_settings().lstm_epochs == 3
    monkeypatch.setenv("LSTM_EPOCHS", "5")
    assert load_settings().lstm_epochs == 5
    monkeypatch.setenv("STREAM_APP_LSTM_EPOCHS", "6")
    assert load_settings().lstm_epochs == 6


def test_an_error_names_the_variable_as_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_APP_WEB_PORT", "70000")
    with pytest.raises(ConfigError, match=r"^STREAM_APP_WEB_PORT=70000: "):
        load_settings()
    monkeypatch.setenv("STREAM_APP_LSTM_LAYERS", "many")
    with pytest.raises(ConfigError, match=r"^STREAM_APP_LSTM_LAYERS=many: not JSON"):
        load_settings()


def test_a_misspelt_name_with_the_prefix_is_refused_without_its_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STREAM_APP_KAFKA_SASL_PASWORD", "hush-hush")
    with pytest.raises(ConfigError) as refused:
        load_settings()
    assert str(refused.value) == (
        "STREAM_APP_KAFKA_SASL_PASWORD: unknown setting; did you mean "
        "STREAM_APP_KAFKA_SASL_PASSWORD?"
    )


def test_a_worker_of_another_process_has_these_settings_whatever_it_inherits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handed = load_settings(web_port=7001).as_environment()
    for name, value in {"WEB_PORT": "1", "STREAM_APP_WEB_PORT": "2", **handed}.items():
        monkeypatch.setenv(name, value)
    assert load_settings().web_port == 7001


def test_a_command_shows_the_line_about_quotes_on_standard_error(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stream_app", "topics", "check"],
        env={
            "PATH": os.environ["PATH"],
            "TOPICS_FILE": '"absent.yaml"',
            "PYTHONPATH": str(Path(__file__).parents[2]),
        },
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2
    said = done.stderr.splitlines()
    assert said[0].startswith("TOPICS_FILE: its value has quotes around it")
    assert said[1].startswith("stream-app: topics file absent.yaml: ")
