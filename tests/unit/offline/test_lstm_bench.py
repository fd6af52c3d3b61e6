"""The table of the LSTM's settings, on a window so small that it says nothing about them."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import orjson
import pytest
from click.testing import CliRunner

from stream_app.bars.features import FEATURES
from stream_app.commands.bench import bench
from stream_app.errors import SourceError, TrainingError
from stream_app.models.base import ModelSettings
from stream_app.offline import lstm_bench
from stream_app.offline.lstm_bench import Variant, measure, variants
from stream_app.training.holdout import hold_out, score
from stream_app.training.job import TrainingJob, run_job
from stream_app.training.settings import model_settings
from tests.builders import settings, walk
from tests.contract.worlds import BAR_MS, SETTINGS, random_walk

NAMES = ("before", "after", "5 epochs", "20 steps", "one layer of 32", "batch 128", "warm start")
TINY = (
    Variant(name="short", settings=SETTINGS),
    Variant(name="long", settings=dataclasses.replace(SETTINGS, sequence_length=12)),
    Variant(name="one layer", settings=dataclasses.replace(SETTINGS, lstm_layers=(3,))),
    Variant(name="warm", settings=SETTINGS, warm_start=True),
)


def test_the_rows_are_the_defaults_and_one_change_each() -> None:
    rows = variants(dataclasses.replace(SETTINGS, horizon_bars=3))  # another LSTM's settings
    assert tuple(row.name for row in rows) == NAMES
    told = {
        row.name: (
            row.settings.lstm_layers,
            row.settings.sequence_length,
            row.settings.lstm_batch_size,
            row.settings.lstm_epochs,
        )
        for row in rows
    }
    assert told == {
        "before": ((64, 32, 16), 60, 32, 100),
        "after": ((32, 16), 30, 64, 10),
        "5 epochs": ((32, 16), 30, 64, 5),
        "20 steps": ((32, 16), 20, 64, 10),
        "one layer of 32": ((32,), 30, 64, 10),
        "batch 128": ((32, 16), 30, 128, 10),
        "warm start": ((32, 16), 30, 64, 10),
    }
    assert [row.name for row in rows if row.warm_start] == ["warm start"]
    for row in rows:
        kept = (row.settings.bar_ms, row.settings.horizon_bars, row.settings.seed)
        assert kept == (BAR_MS, 3, SETTINGS.seed)


def test_every_row_is_measured_on_the_same_bars_that_none_has_seen() -> None:
    bars = random_walk(400)
    started: list[str] = []
    measured = measure(bars, TINY, on_start=lambda variant: started.append(variant.name))
    cut = hold_out(bars, TINY[1].settings)  # the longest sequence leaves the fewest rows
    assert started == [row.name for row in measured.rows] == [each.name for each in TINY]
    assert (measured.bars, measured.learned_bars) == (400, len(cut.seen))
    assert measured.test_rows == len(cut.rows)
    assert measured.last_price == score(cut.data, cut.rows, np.zeros(len(cut.rows)))
    for row in measured.rows:
        assert row.seconds > 0
        assert row.ratio == row.error.mae / measured.last_price.mae
    assert [row.epochs for row in measured.rows[:3]] == [2, 2, 2]
    assert 1 <= measured.rows[3].epochs <= 2
    short, long, *_ = measured.rows
    assert (short.steps, long.steps, short.batch) == (8, 12, 32)


def test_parameters_are_those_of_a_hand_count() -> None:
    one_layer = measure(random_walk(200), TINY[2:3]).rows[0]
    assert one_layer.layers == (3,)
    assert one_layer.parameters == 4 * 3 * (FEATURES + 3) + 2 * 4 * 3 + 3 + 1


def test_a_row_without_a_warm_start_is_what_a_job_gives() -> None:
    bars = random_walk(300)
    cut = hold_out(bars, SETTINGS)
    job = TrainingJob(symbol="X", model="lstm", bars=cut.seen, settings=SETTINGS)
    from stream_app.models.lstm import load_lstm
    from stream_app.training.job import serve

    member = load_lstm(run_job(job).artifact, SETTINGS)
    wanted = score(cut.data, cut.rows, serve(member, cut.data, cut.rows, SETTINGS))
    assert measure(bars, TINY[:1]).rows[0].error == wanted


def test_a_warm_start_begins_with_the_model_of_an_hour_earlier() -> None:
    bars = random_walk(300)
    earlier = lstm_bench._an_hour_earlier(bars)
    assert len(earlier) == 300 - 60
    assert earlier.ts_open[-1] == bars.ts_open[-1] - 3_600_000


def test_bars_too_few_for_one_row_are_refused() -> None:
    with pytest.raises(TrainingError, match="leave no row"):
        measure(random_walk(50), TINY)


def test_the_command_prints_the_table_and_says_on_which_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tiny(given: ModelSettings) -> tuple[Variant, ...]:
        assert given == model_settings(settings(lstm_epochs=1))
        return (
            Variant(name="as set", settings=given),
            Variant(name="warm start", settings=given, warm_start=True),
        )

    monkeypatch.setattr(lstm_bench, "variants", tiny)
    monkeypatch.chdir(tmp_path)
    Path("app.toml").write_text(
        "bar_seconds = 60\ntraining_window_days = 1\nmin_training_bars = 200\n"
        "lstm_sequence_length = 8\nlstm_layers = [8, 4]\nlstm_epochs = 1\n"
    )
    ticks = itertools.islice(walk(1200), 1200)
    rows = "".join(f"{tick.ts},{tick.price}\n" for tick in ticks)
    Path("btc.csv").write_text("time,price\n" + rows)
    command = ["lstm", "--data", "btc.csv", "--config", "app.toml"]

    shown = CliRunner().invoke(bench, command, catch_exceptions=False)
    assert shown.exit_code == 0
    for words in (
        "BTC from btc.csv: 299 bars", "settings", "layers", "steps", "batch", "epochs",
        "parameters", "trained in", "mean absolute error", "ratio to the last price's",
        "as set", "warm start", "8,4", "1,317",
    ):  # fmt: skip
        assert words in shown.stdout, words
    assert shown.stdout.isascii()
    assert not [line for line in shown.stdout.splitlines() if line != line.rstrip()]

    told = CliRunner().invoke(bench, [*command, "--json"], catch_exceptions=False)
    found = orjson.loads(told.stdout.splitlines()[-1])
    assert found["data"] == "BTC from btc.csv"
    assert [row["name"] for row in found["rows"]] == ["as set", "warm start"]
    assert found["rows"][0]["parameters"] == 1317
    assert found["last_price"]["mae"] > 0


def test_a_file_of_several_symbols_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "two.csv"
    path.write_text("time,symbol,price\n1640995200000,A,1.5\n1640995201000,B,2.5\n")
    with pytest.raises(SourceError, match="2 symbols; give a file of one"):
        CliRunner().invoke(bench, ["lstm", "--data", str(path)], catch_exceptions=False)
