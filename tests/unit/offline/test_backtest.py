"""The worker's own pipeline over recorded ticks: no look-ahead, nothing trained twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import orjson
import pytest

from stream_app.errors import TrainingError
from stream_app.messages.codec import encode_prediction
from stream_app.messages.schemas import Prediction, Tick
from stream_app.offline.backtest import Backtest, BacktestSettings, run_backtest
from stream_app.offline.training_cache import TrainingCache, job_key
from stream_app.prediction.pipeline import Answer
from stream_app.prediction.settings import PredictionSettings
from stream_app.training.job import TrainedModel, TrainingJob, run_job
from stream_app.training.settings import model_settings
from tests.builders import settings, walk
from tests.contract.worlds import SETTINGS, bars_of

CHOSEN = settings(lstm_epochs=1)
HOUR_MS = 3_600_000
TICKS = list(walk(2400))
"""Ten hours at four ticks a one-minute bar."""


class Trainer:
    """Trains in this process, and counts."""

    def __init__(self) -> None:
        self.jobs = 0

    def __call__(self, jobs: Sequence[TrainingJob]) -> Iterator[tuple[int, TrainedModel]]:
        for number, job in enumerate(jobs):
            self.jobs += 1
            yield number, run_job(job)


def backtest(
    ticks: list[Tick], folder: Path, train: Trainer, **changes: int
) -> tuple[Backtest, list[Prediction]]:
    answers: list[Answer] = []
    found = run_backtest(
        lambda: iter(ticks),
        BacktestSettings(
            prediction=PredictionSettings.of(CHOSEN),
            models=model_settings(CHOSEN),
            **{"retrain_every_ms": 3 * HOUR_MS, "latency_ms": 7000, "min_bars": 200} | changes,
        ),
        kept=TrainingCache(folder),
        train=train,
        on_answer=answers.append,
    )
    return found, [item for answer in answers for item in answer.predictions]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Backtest, list[Prediction], Path]:
    folder = tmp_path_factory.mktemp("trained")
    return *backtest(TICKS, folder, Trainer()), folder


def test_models_serve_from_the_retrain_and_its_latency_on(
    whole: tuple[Backtest, list[Prediction], Path],
) -> None:
    found, predictions, _ = whole
    assert found.retrains == 2  # at six and at nine hours; at three the window is too short
    begins = [since for since, _ in found.versions["BTC"]]
    assert [since % HOUR_MS for since in begins] == [7000, 7000]
    for prediction in predictions:
        served = "lstm" in prediction.members
        assert served == (prediction.ts >= begins[0])


def test_every_bar_with_all_models_is_scored_once(
    whole: tuple[Backtest, list[Prediction], Path],
) -> None:
    series = whole[0].series["BTC"]
    # Four hours after six o'clock, less the last bar, which is open, and the one before it.
    assert 235 <= len(series.outcome) <= 240
    assert (np.diff(series.ts_open) == 60_000).all()
    scores = series.scores(1)
    assert scores["last_price"].mse_skill == 0.0
    assert set(scores) == {
        *("last_price", "published", "ensemble"),
        *("kalman", "random_forest", "lightgbm", "lstm"),
    }
    assert abs(scores["published"].mae_skill) < 0.2


def test_the_same_again_trains_nothing_and_says_the_same(
    whole: tuple[Backtest, list[Prediction], Path],
) -> None:
    again = Trainer()
    _, predictions = backtest(TICKS, whole[2], again)
    assert again.jobs == 0
    assert list(map(encode_prediction, predictions)) == list(map(encode_prediction, whole[1]))


@pytest.mark.parametrize("cut", [1700, 2300])
def test_what_comes_later_changes_no_earlier_answer(
    whole: tuple[Backtest, list[Prediction], Path], cut: int
) -> None:
    _, predictions = backtest(TICKS[:cut], whole[2], Trainer())
    assert list(map(encode_prediction, predictions)) == list(map(encode_prediction, whole[1][:cut]))


def test_a_file_too_short_to_train_on_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no symbol has the 200 bars of MIN_TRAINING_BARS"):
        backtest(TICKS[:700], tmp_path, Trainer())


def test_a_kept_training_that_was_altered_is_trained_again(tmp_path: Path) -> None:
    job = TrainingJob(
        symbol="A", model="kalman", bars=bars_of(np.full(300, 1e-4)), settings=SETTINGS
    )
    kept, model = (
        TrainingCache(tmp_path),
        TrainedModel(
            name="kalman", artifact=orjson.dumps({"q": 1}), seconds=1.5, rows=7, last_price=None
        ),
    )
    assert kept.find(job) is None
    kept.keep(job, model)
    assert kept.find(job) == model
    (tmp_path / f"{job_key(job)}.artifact").write_bytes(b"altered")
    assert kept.find(job) is None
