"""A bar of a file does not tell its future: on random walks no model has more than chance."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from stream_app.bars.features import BarColumns
from stream_app.clock import HOUR_MS
from stream_app.feed.bars import TICKS_PER_BAR
from stream_app.feed.files import TickFile, read_ticks
from stream_app.messages.arrivals import arrived
from stream_app.messages.schemas import Tick
from stream_app.models.catalog import CATALOG
from stream_app.models.kalman import KalmanMember, filtered
from stream_app.models.model_set import ModelSet
from stream_app.offline.lstm_bench import Variant, measure
from stream_app.offline.window import counting, window_after
from stream_app.prediction.answering import answer_ticks
from stream_app.prediction.ensemble import Ensemble
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.settings import Settings
from stream_app.training.holdout import evaluate
from stream_app.training.job import TrainingJob, run_job
from stream_app.training.settings import model_settings
from tests.builders import START_MS, settings

CASES = Path(os.environ.get("STREAM_APP_CASES", Path(__file__).parents[3].parent / "shared/cases"))
CHANCE = 0.01
"""How much better than the last price a model may be on a walk, relative."""


def walk_prices(count: int, seed: int = 0) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    return 100 * np.exp(np.cumsum(rng.normal(0, 2e-4, count)))


def bars_csv(
    path: Path, prices: NDArray[np.float64], *, bar_s: int, each: int, start: int = START_MS
) -> Path:
    """Bars of `each` consecutive prices, as an exchange makes them of its trades."""
    count = len(prices) // each
    blocks = prices[: count * each].reshape(count, each)
    rows = (
        f"{start + nth * bar_s * 1000},{block[0]:.8f},{block.max():.8f},{block.min():.8f},"
        f"{block[-1]:.8f}"
        for nth, block in enumerate(blocks)
    )
    path.write_text("\n".join(["time,open,high,low,close", *rows]))
    return path


def small(bar_seconds: int, **overrides: Any) -> Settings:
    return settings(
        bar_seconds=bar_seconds,
        training_window_days=3000 * bar_seconds / 86_400,
        lstm_epochs=1,
        lstm_layers=(8,),
        **overrides,
    )


def window_of(file: TickFile, chosen: Settings) -> BarColumns:
    with counting(Console(quiet=True)) as progress:
        return window_after(file.ticks, file.count, file.symbols[0], chosen, progress)


def assert_no_more_than_chance(bars: BarColumns, chosen: Settings) -> None:
    found = evaluate(bars, model_settings(chosen), weights=chosen.ensemble_weights)
    ratios = {name: score.mae / found.last_price.mae for name, score in found.models.items()}
    ratios["ensemble"] = found.ensemble.mae / found.last_price.mae
    assert found.rows > 1000
    assert min(ratios.values()) > 1 - CHANCE, ratios


@pytest.mark.parametrize(
    ("bar_s", "offset_ms", "bar_seconds"),
    [
        (60, 0, 60),
        (120, 0, 300),  # every second of ours ends inside one of the file's
        (420, 0, 600),
        (600, 0, 900),
        (900, 400_000, 1200),
        (3600, HOUR_MS // 2, 3600),  # US stocks
        (86_400, 22 * HOUR_MS, 86_400),  # days that open at 22:00
        (61, 1, 300),  # no grid, and ends in the first milliseconds of a second
    ],
)
def test_training_finds_nothing_in_the_bars_of_a_walk(
    tmp_path: Path, bar_s: int, offset_ms: int, bar_seconds: int
) -> None:
    each = 30
    prices = walk_prices(each * 2000 * max(1, bar_seconds // bar_s))
    path = bars_csv(
        tmp_path / "walk.csv", prices, bar_s=bar_s, each=each, start=START_MS + offset_ms
    )
    chosen = small(bar_seconds)

    assert_no_more_than_chance(window_of(read_ticks(path), chosen), chosen)


def test_the_filter_answers_the_last_price_on_the_bars_of_a_walk(tmp_path: Path) -> None:
    """The ticks of a bar's last moment are no measurements of their own."""
    prices = walk_prices(30 * 1500)
    path = bars_csv(tmp_path / "walk.csv", prices, bar_s=60, each=30)
    chosen = small(60)
    history = read_ticks(path, symbol="BTC")
    bars = window_of(read_ticks(path, symbol="BTC"), chosen)
    models = model_settings(chosen)
    artifact = run_job(
        TrainingJob(symbol="BTC", model="kalman", bars=bars, settings=models)
    ).artifact
    kalman = CATALOG["kalman"].load(artifact, models)
    assert isinstance(kalman, KalmanMember)
    pipeline = SymbolPipeline("BTC", PredictionSettings.of(chosen))
    pipeline.models = ModelSet(
        version="v1",
        trained_to_ts=int(bars.ts_last[-1]),
        members={"kalman": kalman},
        noise=kalman.noise,
    )
    prediction = PredictionSettings.of(chosen)
    ensemble = Ensemble.of(prediction)
    level, velocity = [], []
    for number, tick in enumerate(history.ticks, 1):
        answer_ticks([(pipeline, [arrived(tick, 0)])], ensemble, prediction)
        if number % TICKS_PER_BAR == 0:
            level.append(pipeline.kalman.level)
            velocity.append(pipeline.kalman.velocity)

    assert len(level) == 1500
    closes = np.log(prices[29::30])
    forecast = np.array(level) + np.array(velocity) - closes
    assert forecast.std() < 0.1 * np.diff(closes).std()
    # The second bar's time has to be confirmed first.
    alone = filtered(bars, kalman.noise, models.bar_ms)
    np.testing.assert_allclose(level[2:1000], alone[0][2:1000], rtol=0, atol=1e-12)
    np.testing.assert_allclose(velocity[2:1000], alone[1][2:1000], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("name", "bar_seconds"), [("2m", 120), ("10m", 900), ("15m", 1200)])
def test_training_finds_nothing_in_the_given_walks(name: str, bar_seconds: int) -> None:
    path = CASES / f"random-walk-{name}.csv.gz"
    if not path.exists():
        pytest.skip(f"no {path.name} beside the checkout")
    chosen = small(bar_seconds)

    assert_no_more_than_chance(window_of(read_ticks(path), chosen), chosen)


def test_the_bench_finds_nothing_either(tmp_path: Path) -> None:
    path = bars_csv(tmp_path / "walk.csv", walk_prices(60_000), bar_s=600, each=20)
    chosen = small(900)
    settings_ = model_settings(chosen)

    found = measure(
        window_of(read_ticks(path), chosen), (Variant(name="as set", settings=settings_),)
    )

    ratio = found.rows[0].ratio
    assert ratio is not None
    assert ratio > 1 - CHANCE


def test_a_worker_that_learned_from_bars_is_no_worse_on_the_true_ticks(tmp_path: Path) -> None:
    """Ten-minute bars as history for windows of fifteen, then the ticks themselves."""
    prices = walk_prices(90_000)
    learned = 70_000
    step_ms = 30_000
    path = bars_csv(tmp_path / "walk.csv", prices[:learned], bar_s=600, each=20)
    chosen = small(900)
    history = read_ticks(path, symbol="BTC")
    prediction = PredictionSettings.of(chosen)
    pipeline, ensemble = SymbolPipeline("BTC", prediction), Ensemble.of(prediction)
    learning = [arrived(tick, 0) for tick in history.ticks]
    answer_ticks([(pipeline, learning)], ensemble, prediction)
    pipeline.models = trained(pipeline.window.columns(), chosen)
    live = [
        Tick(symbol="BTC", price=float(price), ts=START_MS + (learned + nth) * step_ms)
        for nth, price in enumerate(prices[learned:])
    ]

    arrivals = [arrived(tick, 0) for tick in live]
    answers = answer_ticks([(pipeline, arrivals)], ensemble, prediction)

    horizon = chosen.horizon_s * 1000 // step_ms
    known = answers.predictions[:-horizon]
    realised = prices[learned + horizon :]
    base = np.abs(realised - prices[learned:-horizon]).mean()
    for name in (*CATALOG, None):
        forecast = np.array(
            [item.prediction if name is None else item.members[name].prediction for item in known]
        )
        ratio = np.abs(forecast - realised).mean() / base
        assert 1 - CHANCE < ratio < 1.05, (name, ratio)


def trained(bars: BarColumns, chosen: Settings) -> ModelSet:
    models = model_settings(chosen)
    jobs = {
        name: TrainingJob(symbol="BTC", model=name, bars=bars, settings=models) for name in CATALOG
    }
    members = {
        name: spec.load(run_job(jobs[name]).artifact, models) for name, spec in CATALOG.items()
    }
    kalman = members["kalman"]
    assert isinstance(kalman, KalmanMember)
    return ModelSet(
        version="v1", trained_to_ts=int(bars.ts_last[-1]), members=members, noise=kalman.noise
    )
