from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stream_app.cli import COMMANDS

CLI = [sys.executable, "-m", "stream_app"]


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CLI, *arguments], capture_output=True, text=True, cwd=cwd, check=False, timeout=280
    )


def test_help_lists_every_command_with_an_example() -> None:
    shown = run("--help")
    assert shown.returncode == 0
    for name in COMMANDS:
        assert name in shown.stdout
    assert "Examples:" in shown.stdout


@pytest.mark.parametrize(
    "command",
    [
        *([name] for name in COMMANDS),
        ["bench", "lstm"],
        ["topics", "apply"],
        ["topics", "check"],
        ["topics", "export"],
        ["contracts", "check"],
        ["contracts", "register"],
        ["contracts", "export"],
    ],
)
def test_every_command_has_help_with_examples(command: list[str]) -> None:
    shown = run(*command, "--help")
    assert shown.returncode == 0, shown.stderr
    assert "Example" in shown.stdout


MISTAKES = [
    (["nonsense"], "No such command"),
    ([], "Usage"),
    (["feed"], "SOURCE"),
    (["feed", "absent.csv"], "absent.csv"),
    (["train", "absent.csv"], "absent.csv"),
    (["bench", "lstm", "--data", "absent.csv"], "absent.csv"),
    (["history", "--last", "0"], "--last"),
    (["worker", "--config", "absent.toml"], "absent.toml"),
    (["demo", "--for", "soon"], "--for"),
    (["demo", "--history", "absent.csv", "--for", "5"], "absent.csv"),
    (["topics", "check", "--nonsense"], "--nonsense"),
    (["topics", "export", "--cluster", "a"], "--strimzi"),
    (["contracts", "check", "--against", "absent"], "absent"),
]


@pytest.mark.parametrize(("arguments", "word"), MISTAKES, ids=[" ".join(a) for a, _ in MISTAKES])
def test_a_mistake_is_one_line_with_the_remedy_and_exit_code_two(
    arguments: list[str], word: str, tmp_path: Path
) -> None:
    ended = run(*arguments, cwd=tmp_path)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    if arguments:
        assert len(ended.stderr.strip().splitlines()) == 1, ended.stderr
        assert ended.stderr.startswith("stream-app: ")
    assert word in ended.stderr + ended.stdout


@pytest.mark.parametrize("command", ["worker", "verify", "history"])
def test_without_a_broker_the_line_says_where_it_looked_and_what_to_do(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    ended = run(command)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    last = ended.stderr.strip().splitlines()[-1]
    assert "127.0.0.1:1" in last
    assert "KAFKA_BOOTSTRAP_SERVERS" in last


def test_a_worker_refuses_a_data_dir_that_it_cannot_write_before_anything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "file" / "data"))
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    ended = run("worker")
    assert ended.returncode == 2
    (line,) = ended.stderr.strip().splitlines()
    assert line.startswith(f"stream-app: DATA_DIR={tmp_path}/file/data: cannot write in ")


def test_train_prints_times_and_errors_as_json(tmp_path: Path) -> None:
    import itertools

    import orjson

    from stream_app.feed.synthetic import synthetic_ticks

    ticks = itertools.islice(
        synthetic_ticks(symbols=["A"], seed=1, start_ms=1_640_995_200_000, interval_ms=75_000), 1600
    )
    path = tmp_path / "ticks.csv"
    path.write_text("time,price\n" + "".join(f"{tick.ts},{tick.price}\n" for tick in ticks))
    (tmp_path / "app.toml").write_text("lstm_epochs = 1\n")
    ended = run("train", str(path), "--config", str(tmp_path / "app.toml"), "--json")
    assert ended.returncode == 0, ended.stderr
    told = orjson.loads(ended.stdout.splitlines()[-1])
    assert {
        "rows", "bars", "features", "models", "ensemble", "last_price",
        "total_seconds", "target_seconds", "exceeded",
    } <= set(told)  # fmt: skip
    assert set(told["models"]) == {"kalman", "random_forest", "lightgbm", "lstm"}
    for score in told["models"].values():
        assert set(score) == {"seconds", "mae", "mape", "last_price"}
        assert score["mae"] > 0
    assert told["bars"] == 399
