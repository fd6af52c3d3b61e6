"""Training on prices that do not move, hardly move or jump: four models, or a clear reason."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from stream_app.bars.features import BarColumns
from stream_app.commands.train import _lines
from stream_app.errors import TrainingError
from stream_app.models.catalog import CATALOG
from stream_app.training.holdout import evaluate
from stream_app.training.job import TrainingJob, prepare, run_job
from tests.contract.worlds import SETTINGS, bars_of

STEPS = np.random.default_rng(4).normal(0, 1e-3, 400)
FLAT = np.zeros(400)


def step_at(number: int, size: float) -> BarColumns:
    returns = FLAT.copy()
    returns[number] = size
    return bars_of(returns)


ODD = {
    "flat at the end": bars_of(np.where(np.arange(400) < 250, STEPS, 0.0)),
    "flat at the start": bars_of(np.where(np.arange(400) < 250, 0.0, STEPS)),
    "two prices by turns": bars_of(np.where(np.arange(400) % 2, 1e-4, -1e-4)),
    "one step": step_at(200, 0.01),
}
ODD["one tick a bar"] = replace(
    bars_of(STEPS), log_high=bars_of(STEPS).log_close, log_low=bars_of(STEPS).log_close
)


@pytest.mark.parametrize("bars", ODD.values(), ids=ODD)
@pytest.mark.parametrize("name", CATALOG)
def test_every_model_learns_from_odd_prices_and_stays_close_to_the_last(
    bars: BarColumns, name: str
) -> None:
    data = prepare(bars, SETTINGS)
    assert run_job(TrainingJob(symbol="A", model=name, bars=bars, settings=SETTINGS)).rows > 300
    forecaster = CATALOG[name].new_forecaster()
    forecaster.fit(data, SETTINGS)
    assert np.abs(forecaster.predict(data, data.rows)).max() < 0.02


@pytest.mark.parametrize("name", CATALOG)
def test_a_price_that_does_not_move_is_the_reason_not_to_train(name: str) -> None:
    job = TrainingJob(symbol="A", model=name, bars=bars_of(FLAT), settings=SETTINGS)
    with pytest.raises(TrainingError, match="price does not move"):
        run_job(job)


def test_where_the_last_price_has_no_error_nothing_is_divided_by_it() -> None:
    weights = dict.fromkeys(CATALOG, 0.25)
    found = evaluate(ODD["flat at the end"], SETTINGS, weights=weights)
    assert found.last_price.mae == 0.0
    console = Console(width=160)
    with console.capture() as told:
        console.print(*_lines(found, {"target_seconds": 60.0}), sep="\n")
    assert "the price does not move in the bars forecast" in told.get()
    assert "nan" not in told.get()
    assert "inf" not in told.get()


@pytest.mark.parametrize("horizon", [1, 3])
def test_no_target_reaches_over_a_jump_and_prices_are_quoted_as_they_were(horizon: int) -> None:
    bars = bars_of(STEPS)
    jump = np.zeros(400)
    jump[200] = np.log(100)
    moved = replace(
        bars,
        log_close=bars.log_close + np.cumsum(jump),
        log_high=bars.log_high + np.cumsum(jump),
        log_low=bars.log_low + np.cumsum(jump),
        log_jump=jump,
    )
    settings = replace(SETTINGS, horizon_bars=horizon)
    plain, found = prepare(bars, settings), prepare(moved, settings)
    across = np.arange(200 - horizon, 200)
    assert np.isnan(found.target[across]).all()
    rest = np.delete(np.arange(400), across)
    np.testing.assert_allclose(found.target[rest], plain.target[rest], atol=1e-7)
    assert not set(across.tolist()) & set(found.rows.tolist())
    assert found.log_price.tolist() == moved.log_close.tolist()
    weights = dict.fromkeys(CATALOG, 0.25)
    scores = [evaluate(each, settings, weights=weights) for each in (bars, moved)]
    assert [each.jumps for each in scores] == [0, 1]
    assert scores[1].ensemble.mape == pytest.approx(scores[0].ensemble.mape, rel=0.03)
    # The last fifth of the rows begins a bar earlier where rows are left out.
    assert scores[1].last_price.mape == pytest.approx(scores[0].last_price.mape, rel=0.02)
