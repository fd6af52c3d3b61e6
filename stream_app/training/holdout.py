"""How good the models are on bars that they have not seen: `stream-app train FILE`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_app.bars.features import FEATURES, BarColumns
from stream_app.errors import TrainingError
from stream_app.models.base import ModelSettings, TrainingData
from stream_app.models.catalog import CATALOG, LSTM
from stream_app.scoring.point import Score, price_score
from stream_app.training.job import TrainedModel, TrainingJob, prepare, run_job, serve

TrainAll = Callable[[Sequence[TrainingJob]], Iterable[TrainedModel]]
"""Runs all jobs, one after the other or in a pool, and yields each model when it is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelScore(Score):
    """One model's errors, and what it cost."""

    seconds: float
    last_price: str | None
    """Why the model could not be trained, so that it answers the last price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The four models, their ensemble and the last price on the same held-out bars."""

    models: dict[str, ModelScore]
    ensemble: Score
    last_price: Score
    bars: int
    rows: int
    """How many rows were learned from."""
    test_rows: int
    jumps: int
    """Steps in price that are not believed: nothing is learned from them, nor measured on them."""
    features: int
    total_seconds: float
    """Wall time of the four trainings together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdout:
    """Bars, split into those that a model may see and the rows that it is measured on."""

    data: TrainingData
    """Of all bars."""
    seen: BarColumns
    rows: NDArray[np.int64]
    """The held out rows of `data`."""


def hold_out(bars: BarColumns, settings: ModelSettings, share: float = 0.2) -> Holdout:
    """Hold out the last rows.

    It is the bars that are cut. So no training target reaches past the cut: the last rows before
    it, as many as the horizon has bars, are left out of the training.

    Args:
        bars: oldest first.
        settings: for all models.
        share: of the rows, how many to hold out.

    Raises:
        TrainingError: the bars are too few or not usable.
    """
    data = prepare(bars, settings)
    if not len(data.rows):
        raise TrainingError(f"{len(bars)} bars leave no row to learn from; give a longer file")
    rows = data.rows[int(len(data.rows) * (1 - share)) :]
    return Holdout(data=data, seen=bars.head(int(rows[0])), rows=rows)


def one_by_one(jobs: Sequence[TrainingJob]) -> Iterable[TrainedModel]:
    """Train in this process, one after the other."""
    return map(run_job, jobs)


def evaluate(
    bars: BarColumns,
    settings: ModelSettings,
    *,
    weights: Mapping[str, float],
    train_all: TrainAll = one_by_one,
    holdout: float = 0.2,
    on_progress: Callable[[TrainedModel], None] = lambda _: None,
) -> Evaluation:
    """Train on the first bars, forecast the last ones. Blocks for the training.

    As in the worker, members that are loaded from the artifacts make the forecasts.

    Args:
        bars: oldest first.
        settings: for all models.
        weights: of the ensemble, by model, summing to 1.
        train_all: how the jobs are run.
        holdout: the share of the rows held out at the end.
        on_progress: called after each model.

    Raises:
        TrainingError: the bars are too few or not usable.
    """
    cut = hold_out(bars, settings, holdout)
    data, test = cut.data, cut.rows
    jobs = [
        TrainingJob(symbol="", model=name, bars=cut.seen, settings=settings) for name in CATALOG
    ]
    started = time.perf_counter()
    trained: dict[str, TrainedModel] = {}
    for model in train_all(jobs):
        trained[model.name] = model
        on_progress(model)
    total_seconds = time.perf_counter() - started

    answers = {
        name: serve(spec.load(trained[name].artifact, settings), data, test, settings)
        for name, spec in CATALOG.items()
    }
    together = np.sum([weights[name] * answer for name, answer in answers.items()], axis=0)
    return Evaluation(
        models={
            name: ModelScore(
                mae=errors.mae,
                mape=errors.mape,
                seconds=trained[name].seconds,
                last_price=trained[name].last_price,
            )
            for name, answer in answers.items()
            for errors in [score(data, test, answer)]
        },
        ensemble=score(data, test, together),
        last_price=score(data, test, np.zeros(len(test))),
        bars=len(bars),
        rows=trained[LSTM].rows,
        test_rows=len(test),
        jumps=int(np.count_nonzero(bars.log_jump)),
        features=FEATURES,
        total_seconds=total_seconds,
    )


def score(data: TrainingData, rows: NDArray[np.int64], answers: NDArray[np.float64]) -> Score:
    """Compare the prices that these log returns predict with the realised ones."""
    price = np.exp(data.log_price[rows])
    return price_score(
        price * np.exp(answers), price * np.exp(data.target[rows].astype(np.float64))
    )
