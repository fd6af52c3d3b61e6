"""The worker's own pipeline over recorded ticks: no look-ahead, nothing trained twice."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from stream_app.clock import HOUR_MS
from stream_app.errors import TrainingError
from stream_app.messages.schemas import Prediction, Score, Tick
from stream_app.models.catalog import CATALOG
from stream_app.offline.backtest import Backtest, run_backtest
from stream_app.offline.backtest_settings import BacktestSettings
from stream_app.offline.forecasts import ForecastLog
from stream_app.offline.gating import Gate, JudgeAll, VerdictCache
from stream_app.offline.training_cache import TrainingCache, job_key
from stream_app.offline.watch import Unwatched, Watch
from stream_app.prediction.pipeline import Answer
from stream_app.prediction.settings import PredictionSettings
from stream_app.training.gate import Verdict
from stream_app.training.gate_job import GateJob, run_gate
from stream_app.training.job import TrainedModel, TrainingJob, run_job
from stream_app.training.settings import model_settings
from tests.builders import START_MS, recording, settings, walk
from tests.contract.worlds import SETTINGS, bars_of

CHOSEN = settings(lstm_epochs=1)
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


def judged(jobs: Sequence[GateJob]) -> Iterator[tuple[int, Verdict]]:
    """By the gate, in this process."""
    return enumerate(map(run_gate, jobs))


def backtest(
    ticks: list[Tick],
    folder: Path,
    train: Trainer,
    *,
    on_answer: Callable[[Answer], None] = lambda _: None,
    judge: JudgeAll | None = None,
    watch: Watch | None = None,
    **changes: int | None,
) -> tuple[Backtest, list[Prediction]]:
    answers: list[Answer] = []
    asked: dict[str, Any] = {"retrain_every_ms": 3 * HOUR_MS, "latency_ms": 7000, "min_bars": 200}
    found = run_backtest(
        recording(ticks),
        BacktestSettings(
            prediction=PredictionSettings.of(CHOSEN),
            models=model_settings(CHOSEN),
            processes=2,
            **asked | changes,
        ),
        kept=TrainingCache(folder),
        train=train,
        gate=Gate(kept=VerdictCache(folder), judge=judge or judged),
        watch=watch or Unwatched(),
        on_answer=answers.append,
    )
    for answer in answers:
        on_answer(answer)
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
    series = whole[0].forecasts["BTC"].closes
    # Four hours after six o'clock, less the last bar, which is open, and the one before it.
    assert 235 <= len(series) <= 240
    assert (np.diff(series.ts_open) == 60_000).all()
    scores = series.scores(1)
    assert scores["last_price"].mse_skill == 0.0
    assert set(scores) == {
        *("last_price", "published", "ensemble"),
        *("kalman", "random_forest", "lightgbm", "lstm"),
    }
    assert abs(scores["published"].mae_skill) < 0.2


def test_only_what_is_asked_for_is_scored_and_the_models_stay_the_same(
    whole: tuple[Backtest, list[Prediction], Path],
) -> None:
    everything = whole[0].forecasts["BTC"].closes
    begin, end = START_MS + 7 * HOUR_MS, START_MS + 8 * HOUR_MS
    again = Trainer()
    found, _ = backtest(TICKS, whole[2], again, score_from=begin, score_to=end)
    assert again.jobs == 0
    asked = everything.where((everything.ts >= begin) & (everything.ts < end))
    scored = found.forecasts["BTC"].closes
    assert len(scored) == 60
    assert scored.ts.tolist() == asked.ts.tolist()
    assert scored.published.tolist() == asked.published.tolist()
    assert found.retrains == 1  # the one at nine is after the end


def test_inside_bars_the_outcome_is_the_price_at_exactly_the_horizon(
    whole: tuple[Backtest, list[Prediction], Path],
) -> None:
    inside = whole[0].forecasts["BTC"].inside
    price = {tick.ts: tick.price for tick in TICKS}
    assert len(inside) > 900
    assert sorted(set((inside.ts - inside.ts_open).tolist())) == [0, 15_000, 30_000, 45_000]
    for at in range(0, len(inside), 37):
        ts = int(inside.ts[at])
        came = math.log(price[ts + 60_000] / price[ts])
        assert inside.outcome[at] == pytest.approx(came, abs=1e-15)


def test_forecasts_inside_a_bar_of_the_file_are_not_scored(
    whole: tuple[Backtest, list[Prediction], Path],
) -> None:
    """Of each four ticks only the last one may be: the others tell how their bar ends."""
    given = recording(TICKS)
    settled = np.arange(len(given)) % 4 == 3
    log = ForecastLog(PredictionSettings.of(CHOSEN), names=tuple(CATALOG), is_settled=settled)
    log.take(whole[1], [])
    inside = log.forecasts()["BTC"].inside
    assert len(inside) > 230
    assert set((inside.ts - inside.ts_open).tolist()) == {45_000}


def test_the_latency_is_measured_where_none_is_given(
    whole: tuple[Backtest, list[Prediction], Path],
) -> None:
    again = Trainer()
    found, _ = backtest(TICKS, whole[2], again, latency_ms=None)
    assert found.latency_ms > 0
    assert found.latency_ms % 10_000 == 0
    assert [since % HOUR_MS for since, _ in found.versions["BTC"]] == [found.latency_ms] * 2
    first = again.jobs
    assert first > 0
    same, _ = backtest(TICKS, whole[2], again, latency_ms=None)
    assert (same.latency_ms, again.jobs) == (found.latency_ms, first)


def test_symbols_are_answered_as_if_each_were_alone(
    whole: tuple[Backtest, list[Prediction], Path],
) -> None:
    other = list(walk(2400, symbol="ETH", seed=2))
    both = sorted([*TICKS, *other], key=lambda tick: tick.ts)
    found, _ = backtest(both, whole[2], Trainer())
    assert set(found.forecasts) == {"BTC", "ETH"}
    alone, together = whole[0].forecasts["BTC"].closes, found.forecasts["BTC"].closes
    # The filter's noise begins at a batch, the models at a tick: both are the symbol's own.
    assert together.published.tolist() == alone.published.tolist()
    assert together.outcome.tolist() == alone.outcome.tolist()


def test_live_scores_and_a_backtest_say_the_same(
    whole: tuple[Backtest, list[Prediction], Path],
) -> None:
    live: list[Score] = []
    found, _ = backtest(
        TICKS, whole[2], Trainer(), on_answer=lambda answer: live.extend(answer.scores)
    )
    closes = found.forecasts["BTC"].closes
    complete = [score for score in live if "lstm" in score.errors]
    assert [score.ts_open for score in complete] == closes.ts_open.tolist()
    for name, errors in closes.errors.items():
        assert [score.errors[name] for score in complete] == errors.tolist()


def test_a_weekend_between_retrains_is_no_retrain_no_verdict_and_no_adoption(
    tmp_path: Path,
) -> None:
    quiet = [*TICKS[:1700], *(replace(tick, ts=tick.ts + 48 * HOUR_MS) for tick in TICKS[1700:])]
    trainer = Trainer()
    asked: list[GateJob] = []

    def judge(jobs: Sequence[GateJob]) -> Iterator[tuple[int, Verdict]]:
        asked.extend(jobs)
        return judged(jobs)

    found, predictions = backtest(quiet, tmp_path, trainer, judge=judge)
    # At six hours; once in the quiet time, for the bars since; and after it.
    assert found.retrains == len(found.versions["BTC"]) == 3
    assert len(asked) == 3
    assert trainer.jobs <= 4 * 4
    served = [item.members["lstm"].version for item in predictions if "lstm" in item.members]
    assert list(dict.fromkeys(served)) == [version for _, version in found.versions["BTC"]]


def test_symbols_ten_years_apart_are_retrained_as_often_as_each_alone(
    whole: tuple[Backtest, list[Prediction], Path],
) -> None:
    """The one that ended is not learned again until the other begins, and ends."""
    early = [
        replace(tick, ts=tick.ts - 87_600 * HOUR_MS, symbol="ETH")
        for tick in walk(2000, symbol="ETH", seed=2)
    ]
    steps: list[tuple[str, dict[str, int]]] = []

    class Steps(Unwatched):
        def begin(self, step: str, units: Mapping[str, int]) -> None:
            steps.append((step, dict(units)))

    found, _ = backtest([*early, *TICKS], whole[2], Trainer(), watch=Steps())
    assert {name: len(versions) for name, versions in found.versions.items()} == {
        "ETH": 2,  # at six hours, and once for the bars since
        "BTC": 2,
    }
    assert found.retrains == 4
    assert found.versions["BTC"] == whole[0].versions["BTC"]
    alone, together = whole[0].forecasts["BTC"].closes, found.forecasts["BTC"].closes
    assert together.published.tolist() == alone.published.tolist()
    ahead = {step: sum(units.values()) for step, units in steps}
    assert ahead["gate"] == 2  # those of ETH: of BTC they are kept


def test_the_same_again_trains_nothing_and_says_the_same(
    whole: tuple[Backtest, list[Prediction], Path],
) -> None:
    again = Trainer()
    _, predictions = backtest(TICKS, whole[2], again)
    assert again.jobs == 0
    assert predictions == whole[1]


@pytest.mark.parametrize("cut", [1700, 2300])
def test_what_comes_later_changes_no_earlier_answer(
    whole: tuple[Backtest, list[Prediction], Path], cut: int
) -> None:
    _, predictions = backtest(TICKS[:cut], whole[2], Trainer())
    assert predictions == whole[1][:cut]


def test_a_file_too_short_to_train_on_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no symbol has the 200 bars of MIN_TRAINING_BARS, and"):
        backtest(TICKS[:700], tmp_path, Trainer())


def test_a_kept_training_that_was_altered_is_trained_again(tmp_path: Path) -> None:
    job = TrainingJob(
        symbol="A", model="kalman", bars=bars_of(np.full(300, 1e-4)), settings=SETTINGS
    )
    kept, model = (
        TrainingCache(tmp_path),
        TrainedModel(
            name="kalman",
            artifact=orjson.dumps({"q": 1}),
            seconds=1.5,
            rows=7,
            data_to=8,
            last_price=None,
        ),
    )
    key = job_key(job)
    assert kept.find(job, key) is None
    kept.keep(key, model)
    assert kept.find(job, key) == model
    (tmp_path / f"{key}.artifact").write_bytes(b"altered")
    assert kept.find(job, key) is None


def test_a_forest_is_not_taken_for_one_that_another_library_grew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """scikit-learn-intelex draws other random numbers; the Kalman filter's training is the same."""
    bars = bars_of(np.full(300, 1e-4))

    def keys() -> dict[str, str]:
        return {
            name: job_key(TrainingJob(symbol="A", model=name, bars=bars, settings=SETTINGS))
            for name in ("kalman", "random_forest")
        }

    def installed(version: str | None) -> Callable[[str], str]:
        def found(name: str) -> str:
            if name != "scikit-learn-intelex":
                return real(name)
            if version is None:
                raise metadata.PackageNotFoundError(name)
            return version

        return found

    real = metadata.version
    seen = []
    for version in (None, "2026.1", "2026.2"):
        monkeypatch.setattr(metadata, "version", installed(version))
        seen.append(keys())
    assert len({each["kalman"] for each in seen}) == 1
    assert len({each["random_forest"] for each in seen}) == 3


def test_a_window_that_nothing_can_be_learned_from_keeps_the_old_models(tmp_path: Path) -> None:
    """After six hours every second bar is empty, so hardly a row has its outcome."""
    sparse = [tick for tick in TICKS if tick.ts < START_MS + 6 * HOUR_MS or tick.ts // 60_000 % 2]
    found, _ = backtest(sparse, tmp_path, Trainer(), min_bars=100)
    assert found.retrains == 3
    still = [replace(tick, price=40_000.0) for tick in TICKS]
    with pytest.raises(TrainingError, match="the price of no symbol ever moves"):
        backtest(still, tmp_path, Trainer())


def test_a_version_that_the_gate_refuses_does_not_serve(tmp_path: Path) -> None:
    """The next one is judged beside the one that serves on, and learns from its filter's bars."""
    asked: list[tuple[int, int | None]] = []

    def refusing(jobs: Sequence[GateJob]) -> Iterator[tuple[int, Verdict]]:
        for number, job in enumerate(jobs):
            champion = None if job.champion is None else job.champion.trained_to_ts // HOUR_MS
            hour = job.data_to // HOUR_MS
            asked.append((hour - START_MS // HOUR_MS, champion and champion - START_MS // HOUR_MS))
            refused = hour == START_MS // HOUR_MS + 5
            yield (
                number,
                Verdict(
                    check="constant" if refused else None,
                    reason="lstm always gives the same answer" if refused else "",
                    figures={},
                ),
            )

    found, predictions = backtest(
        TICKS, tmp_path, Trainer(), judge=refusing, retrain_every_ms=2 * HOUR_MS
    )
    assert found.retrains == 3  # at four, six and eight hours
    six = START_MS + 6 * HOUR_MS
    assert found.refused == {("BTC", six): "lstm always gives the same answer"}
    begins = [since for since, _ in found.versions["BTC"]]
    assert begins == [START_MS + 4 * HOUR_MS + 7000, START_MS + 8 * HOUR_MS + 7000]
    assert (7, 5) in asked  # side by side with the others, before the refusal was known
    assert (7, 3) in asked
    served = {each.members["lstm"].version for each in predictions if "lstm" in each.members}
    assert served == {version for _, version in found.versions["BTC"]}
