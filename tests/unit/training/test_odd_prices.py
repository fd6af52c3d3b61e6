"""Prices that hardly move, or move as no market does: four models, or a reason."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stream_app.bars.features import BarColumns
from stream_app.errors import TrainingError
from stream_app.messages.schemas import Tick
from stream_app.models.catalog import CATALOG
from stream_app.models.last_price import LastPriceMember
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.registry.store import Registry
from stream_app.training.holdout import evaluate
from stream_app.training.job import TrainingJob, prepare, price_moves, run_job, serve
from stream_app.training.settings import model_settings
from tests.builders import START_MS, record, records, settings
from tests.unit.training.conftest import SETTINGS, Bench, symbols

MODELS = model_settings(SETTINGS)
COUNT = 500
AT = np.arange(COUNT)
WALK = 100 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 4e-4, COUNT)))
LEARNABLE = {
    "two prices by turns": np.where(AT % 2, 100.0, 100.01),
    "flat at the end": np.where(AT < COUNT // 2, WALK, WALK[COUNT // 2]),
    "one step": np.where(AT < COUNT // 2, 100.0, 101.0),
    "one blip": np.where(AT == COUNT // 2, 100.0001, 100.0),
    "always up": 100 * np.exp(1e-4 * AT),
    "one price a hundred times too high": np.where(AT == COUNT // 2, 100 * WALK, WALK),
}
NOT_BY_KALMAN = {
    "hardly any move": 100
    * (1 + 1e-10 * np.random.default_rng(2).integers(0, 2, COUNT).astype(np.float64)),
    "hardly any move at another price": 1e-3
    * (1 + 1e-10 * np.random.default_rng(3).integers(0, 2, COUNT).astype(np.float64)),
}
FLAT = {
    "flat": np.full(COUNT, 100.0),
    "moved before the first row only": np.where(AT < 30, 100.0, 101.0),
}

Prices = NDArray[np.float64]


def fed(prices: Prices, symbol: str = "A") -> SymbolPipeline:
    """A symbol after one tick a bar at these prices."""
    partition = PartitionPipeline(PredictionSettings.of(SETTINGS))
    partition.process(
        records(
            Tick(symbol=symbol, price=float(price), ts=START_MS + 60_000 * at)
            for at, price in enumerate(prices)
        )
    )
    return partition.symbols[symbol]


def bars(prices: Prices) -> BarColumns:
    return fed(prices).window.columns()


def job(model: str, prices: Prices) -> TrainingJob:
    return TrainingJob(symbol="A", model=model, bars=bars(prices), settings=MODELS)


@pytest.mark.parametrize("model", list(CATALOG))
@pytest.mark.parametrize("prices", LEARNABLE.values(), ids=list(LEARNABLE))
def test_every_model_learns_from_a_price_that_moves_at_all(model: str, prices: Prices) -> None:
    given = job(model, prices)
    trained = run_job(given)
    assert trained.last_price is None
    data = prepare(given.bars, MODELS)
    answers = serve(CATALOG[model].load(trained.artifact, MODELS), data, data.rows, MODELS)
    assert np.isfinite(answers).all()


@pytest.mark.parametrize("model", list(CATALOG))
def test_prices_that_jump_at_every_bar_leave_nothing_to_learn_and_say_so(model: str) -> None:
    prices = np.exp(np.random.default_rng(3).normal(0, 5, COUNT))
    with pytest.raises(TrainingError, match=r"training rows; at least 50 are needed"):
        run_job(job(model, prices))


@pytest.mark.parametrize("prices", NOT_BY_KALMAN.values(), ids=list(NOT_BY_KALMAN))
def test_one_model_that_cannot_learn_answers_the_last_price_and_the_others_learn(
    prices: Prices,
) -> None:
    trained = {model: run_job(job(model, prices)) for model in CATALOG}
    reasons = {name: model.last_price for name, model in trained.items()}
    assert "which no market's prices have" in str(reasons.pop("kalman"))
    assert set(reasons.values()) == {None}
    member = CATALOG["kalman"].load(trained["kalman"].artifact, MODELS)
    assert isinstance(member, LastPriceMember)
    assert member.reason == trained["kalman"].last_price
    assert trained["kalman"].rows == trained["lstm"].rows


@pytest.mark.parametrize("prices", FLAT.values(), ids=list(FLAT))
def test_no_model_learns_from_a_price_that_does_not_move(prices: Prices) -> None:
    assert not price_moves(bars(prices), MODELS)
    with pytest.raises(TrainingError, match="does not move"):
        run_job(job("kalman", prices))


def test_a_window_without_rows_is_not_called_flat() -> None:
    assert price_moves(bars(FLAT["flat"]).head(40), MODELS)


@pytest.mark.parametrize("prices", [*LEARNABLE.values(), *NOT_BY_KALMAN.values()])
def test_a_price_that_moves_is_not_called_flat(prices: Prices) -> None:
    assert price_moves(bars(prices), MODELS)


async def test_a_symbol_that_does_not_move_is_skipped_and_fails_nothing(
    bench: Callable[..., Bench], caplog: pytest.LogCaptureFixture
) -> None:
    given = {"FLAT": fed(FLAT["flat"], "FLAT"), **symbols("A")}
    made: Bench = bench(given)
    before = given["FLAT"].models
    made.retrainer.tick()
    await made.finish()
    ended = made.events[-1]
    assert (ended.state, ended.reasons, ended.lstm_included) == ("succeeded", (), True)
    assert ended.skipped == {"FLAT": "the price does not move in the training window"}
    assert set(ended.symbols) == {"FLAT", "A"}
    assert list(ended.versions) == ["A"]
    assert {item.symbol for item in made.jobs} == {"A"}
    assert given["FLAT"].models is before
    assert "FLAT is not retrained: the price does not move in the training window" in (
        caplog.messages
    )
    made.retrainer.tick()  # it had its turn: no loop
    await made.finish()
    assert len(made.events) == 2


async def test_the_new_models_serve_and_say_which_answers_the_last_price(
    bench: Callable[..., Bench], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    prices = NOT_BY_KALMAN["hardly any move"]
    partition = PartitionPipeline(PredictionSettings.of(SETTINGS))
    ticks = [
        Tick(symbol="A", price=float(price), ts=START_MS + 60_000 * at)
        for at, price in enumerate(prices)
    ]
    partition.process(records(ticks))
    made: Bench = bench(partition.symbols, answer=run_job)
    made.retrainer.tick()
    await made.finish()
    ended = made.events[-1]
    assert (ended.state, ended.reasons) == ("succeeded", ())
    assert list(ended.versions) == ["A"]
    assert ended.last_price["A"].startswith("kalman: the mean squared return is ")
    assert any(
        line.startswith("A: could not be trained, answers the last price: kalman: ")
        for line in caplog.messages
    )
    tick = Tick(symbol="A", price=100.0, ts=ticks[-1].ts + 60_000)
    (prediction,) = partition.process([record(COUNT, tick)]).predictions
    (said,) = prediction.degraded
    assert said.startswith("kalman: answers the last price: the mean squared return is ")
    assert prediction.members["kalman"].prediction == 100.0
    assert {name: item.weight for name, item in prediction.members.items()} == pytest.approx(
        settings().ensemble_weights
    )
    assert prediction.prediction == pytest.approx(100.0, rel=1e-6)


async def test_a_version_with_such_a_model_is_loaded_again(
    bench: Callable[..., Bench], tmp_path: Path
) -> None:
    given = {"A": fed(NOT_BY_KALMAN["hardly any move"])}
    made: Bench = bench(given, answer=run_job)
    made.retrainer.tick()
    await made.finish()
    loaded = Registry(tmp_path, MODELS).champion("A")
    assert loaded is not None
    assert loaded.version == made.events[-1].versions["A"]
    assert isinstance(loaded.members["kalman"], LastPriceMember)
    assert set(loaded.members) == set(CATALOG)


async def test_a_warm_start_from_an_lstm_that_answers_the_last_price_is_from_scratch(
    bench: Callable[..., Bench], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    given = symbols("A")
    made: Bench = bench(given, lstm_warm_start=True)
    made.retrainer.tick()
    await made.finish()
    before = given["A"].models
    given["A"].models = replace(
        before, members={**before.members, "lstm": LastPriceMember("nothing to learn")}
    )
    made.clock.seconds += 3600
    caplog.clear()
    made.retrainer.tick()
    await made.finish()
    assert "A: no LSTM serves yet; it is trained from scratch" in caplog.messages
    assert all(item.start is None for item in made.jobs)


def test_an_evaluation_says_which_model_answers_the_last_price() -> None:
    found = evaluate(
        bars(NOT_BY_KALMAN["hardly any move"]), MODELS, weights=settings().ensemble_weights
    )
    kalman = found.models["kalman"]
    assert "which no market's prices have" in str(kalman.last_price)
    assert kalman.mae == found.last_price.mae
    assert found.models["lstm"].last_price is None
