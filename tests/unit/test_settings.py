from __future__ import annotations

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
    ({"HORIZON_BY": "ticks"}, ["HORIZON_BY=ticks", "'time' or 'bars'"]),
    ({"LSTM_LAYERS": "[32,0]"}, ["LSTM_LAYERS", "[32, 0]", "1 to 1024"]),
    ({"LSTM_LAYERS": "thirty"}, ["LSTM_LAYERS=thirty", "[32, 16]"]),
    ({"RETRAIN_INTERVAL_HOURS": "0"}, ["RETRAIN_INTERVAL_HOURS=0", "greater than 0"]),
    ({"RETRAIN_INTERVAL_HOURS": "nan"}, ["RETRAIN_INTERVAL_HOURS=nan", "finite"]),
    ({"RETRAIN_DEADLINE_SECONDS": "10"}, ["RETRAIN_DEADLINE_SECONDS=10", "TARGET_SECONDS=45"]),
    ({"WEB_PORT": "70000"}, ["WEB_PORT=70000", "65535"]),
    ({"KAFKA_SECURITY_PROTOCOL": "TLS"}, ["KAFKA_SECURITY_PROTOCOL=TLS", "SASL_SSL"]),
    ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, ["KAFKA_SASL_USERNAME"]),
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


def test_a_password_is_in_no_repr_and_no_dump(monkeypatch: pytest.MonkeyPatch) -> None:
    secret: dict[str, Any] = {"kafka_sasl_username": "me", "kafka_sasl_password": "hunter2"}
    settings = load_settings(kafka_security_protocol="SASL_SSL", **secret)
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings.model_dump())
    assert "hunter2" not in settings.model_dump_json()
