"""A password is in no repr, dump, error message, log or command line."""

from __future__ import annotations

import copy
import importlib
import logging
import pickle
import socket
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from stream_app.cli import COMMANDS, cli, main
from stream_app.errors import BrokerError, ConfigError
from stream_app.kafka.connection import client_settings, faust_credentials, wait_until_reachable
from stream_app.settings import Settings, load_settings

SECRETS = ["hunter2-hunter2", "with space", "quote'\"\\", "new\nline", "pässwörd-ключ", "%41%42"]
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as kept:
        kept.bind(("127.0.0.1", 0))  # bound and not listening: nobody else can take it
        yield kept.getsockname()[1]


def secured(secret: str, **overrides: Any) -> Settings:
    given: dict[str, Any] = {
        "kafka_security_protocol": "SASL_SSL",
        "kafka_sasl_username": "me",
        "kafka_sasl_password": secret,
    }
    return load_settings(**(given | overrides))


def assert_hidden(secret: str, *places: str) -> None:
    for place in places:
        assert secret not in place
        assert repr(secret)[1:-1] not in place


@pytest.mark.parametrize("secret", SECRETS)
def test_the_settings_show_it_in_no_form(secret: str) -> None:
    settings = secured(secret)
    for shown in (settings, copy.copy(settings), settings.model_copy()):
        assert_hidden(
            secret,
            repr(shown),
            str(shown),
            f"{shown}",
            str(shown.model_dump()),
            str(shown.model_dump(mode="json")),
            shown.model_dump_json(),
            str(vars(shown)),
            str(list(shown)),
        )
    with pytest.raises(Exception, match="rozen") as refused:
        settings.kafka_sasl_password = None
    assert_hidden(secret, str(refused.value))


@pytest.mark.parametrize("secret", SECRETS)
def test_what_faust_is_given_does_not_show_it(secret: str) -> None:
    credentials = faust_credentials(secured(secret))
    assert credentials is not None
    assert_hidden(secret, repr(credentials), str(credentials))


@pytest.mark.parametrize(
    "content",
    [
        'kafka_sasl_password = 12345678901\nlstm_epochs = "x"\n',
        "kafka_sasl_password = [12345678901]\n",
        'kafka_sasl_password = "12345678901"\nkafka_security_protocol = "SASL_SSL"\n',
        'kafka_sasl_password = "12345678901"\nlstm_epochs = 0\n',
        'kafka_sasl_password = "12345678901\n',
    ],
)
def test_settings_that_are_refused_do_not_show_it(tmp_path: Path, content: str) -> None:
    (tmp_path / "app.toml").write_text(content)
    with pytest.raises(ConfigError) as refused:
        load_settings(tmp_path / "app.toml")
    assert_hidden("12345678901", "".join(traceback.format_exception(refused.value)))


@pytest.mark.parametrize("key", ["kafka_sasl_pasword", "sasl_password", "kafka_password"])
def test_a_misspelt_key_of_a_password_does_not_show_it(tmp_path: Path, key: str) -> None:
    for name in ("app.toml", ".env"):
        (tmp_path / name).write_text(f'{key} = "12345678901"\n')
        with pytest.raises(ConfigError, match=f"{key.upper()}=.*unknown setting") as refused:
            load_settings(tmp_path / name if name != ".env" else None)
        assert_hidden("12345678901", str(refused.value))
        (tmp_path / name).unlink()


@pytest.mark.parametrize(
    "url",
    [
        "s3://AKIA:12345678901@bucket/x",
        "s3://12345678901@bucket",
        "az://container/x?sig=12345678901",
        "12345678901",
    ],
)
def test_credentials_in_the_url_of_the_registry_are_refused_and_not_shown(
    url: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="REGISTRY_URL") as refused:
        load_settings(registry_url=url)
    assert_hidden("12345678901", "".join(traceback.format_exception(refused.value)))
    (tmp_path / "app.toml").write_text(f'registry_ulr = "{url}"\n')
    with pytest.raises(ConfigError, match="did you mean REGISTRY_URL") as refused:
        load_settings(tmp_path / "app.toml")
    assert_hidden("12345678901", str(refused.value))


def test_a_refused_command_does_not_show_it(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", "12345678901")
    for arguments in (["worker"], ["history"], ["topics", "check"], ["feed", "synthetic"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
    said = capfd.readouterr()
    assert "KAFKA_SASL_USERNAME" in said.err
    assert_hidden("12345678901", said.out, said.err)


async def test_a_broker_that_is_not_there_does_not_bring_it_out(
    closed_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    settings = secured(
        SECRETS[0],
        kafka_security_protocol="SASL_PLAINTEXT",
        kafka_bootstrap_servers=f"127.0.0.1:{closed_port}",
    )
    with pytest.raises(BrokerError) as refused:
        await wait_until_reachable(settings, 0.5)
    assert_hidden(SECRETS[0], caplog.text, "".join(traceback.format_exception(refused.value)))
    # This is the one place where it is in the clear, for the client's constructor.
    assert client_settings(settings)["sasl_plain_password"] == SECRETS[0]


def parameters(command: click.Command) -> Iterator[click.Parameter]:
    yield from command.params
    for inner in getattr(command, "commands", {}).values():
        yield from parameters(inner)


def test_no_command_takes_it_as_an_argument_which_any_user_could_list() -> None:
    found = [*parameters(cli)]
    for name in COMMANDS:
        found += parameters(getattr(importlib.import_module(f"stream_app.commands.{name}"), name))
    names = {str(item.name) for item in found}
    assert {"config", "as_json"} <= names
    assert not [name for name in names if any(word in name for word in ("pass", "secret", "sasl"))]


def test_a_training_process_and_the_retrain_cycle_are_not_told_it() -> None:
    from stream_app.training.settings import RetrainSettings, model_settings

    for part in (model_settings(secured(SECRETS[0])), RetrainSettings.of(secured(SECRETS[0]))):
        assert SECRETS[0].encode() not in pickle.dumps(part)


def test_no_file_that_is_deployed_holds_one() -> None:
    for name in ("docker-compose.yml", "Dockerfile", "topics.yaml", "pyproject.toml"):
        content = (REPOSITORY / name).read_text().upper()
        for line in content.splitlines():
            assert "PASSWORD" not in line or line.rstrip().endswith(("}", "PASSWORD", ":")), line
