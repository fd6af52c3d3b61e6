"""Running figures equal those of the same outcomes scored at once."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stream_app.clock import DAY_MS, HOUR_MS
from stream_app.messages.schemas import BarForecasts
from stream_app.prediction.outcomes import Outcome
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.running import RunningScores
from stream_app.prediction.settings import PredictionSettings
from stream_app.scoring.skill import skill
from tests.builders import records, settings, walk

BAR = 300_000
START = 1_640_995_200_000
MONTH = 8640


def outcomes(count: int, seed: int = 0) -> list[Outcome]:
    # What a float32 holds, so that the figures of both ways are equal.
    drawn = np.random.default_rng(seed).normal(0, 1e-3, (3, count)).astype(np.float32)
    return [
        Outcome(
            ts_open=START + number * BAR,
            ts_target=START + (number + 1) * BAR,
            log_close=0.0,
            forecasts=BarForecasts(
                members={"lstm": member} if number % 3 else {},
                unshrunk=ensemble,
                mean=0.0,
                ensemble=0.0,
                published=0.5 * ensemble,
                intervals=((0.5, -7e-4, 7e-4),),
            ),
            log_return=log_return,
        )
        for number, (log_return, member, ensemble) in enumerate(drawn.T.tolist())
    ]


def scores(window_bars: int = MONTH) -> RunningScores:
    return RunningScores(
        ("kalman", "lstm"), levels=(0.5, 0.9), horizon_bars=1, bar_ms=BAR, window_bars=window_bars
    )


def test_a_day_ends_at_the_last_full_hour_and_a_week_at_the_last_full_day() -> None:
    made, given = scores(), outcomes(MONTH)
    for outcome in given:
        made.take(outcome)
    found = made.figures()
    newest = given[-1].ts_open
    for name, length, step in (("day", 1, HOUR_MS), ("week", 7, DAY_MS), ("month", 28, DAY_MS)):
        until = newest - newest % step
        rows = [each for each in given if until - length * DAY_MS <= each.ts_open < until]
        assert len(rows) == length * 288
        came = np.array([each.log_return for each in rows])
        forecast = np.array([each.forecasts.published for each in rows], dtype=np.float64)
        expected = skill(forecast, came)
        figures = found[name].skill["published"]
        assert (figures.n, figures.mae, figures.cw_t) == (expected.n, expected.mae, expected.cw_t)
        assert figures.mse_skill == expected.mse_skill
        assert found[name].skill["lstm"].n == sum("lstm" in each.forecasts.members for each in rows)
        assert "kalman" not in found[name].skill
        assert found[name].skill["last_price"].mse_skill == 0.0
        assert found[name].skill["last_price"].hit_rate is None
        share = float(np.mean(np.abs(came) <= 7e-4))
        assert found[name].coverage == {"0.5": pytest.approx(share)}


@pytest.mark.parametrize("window_bars", [400, 3000, MONTH])
def test_a_restart_that_has_only_the_windows_bars_gives_the_same(window_bars: int) -> None:
    given = outcomes(MONTH + 1000)
    live, restarted = scores(window_bars), scores(window_bars)
    for outcome in given:
        live.take(outcome)
    for outcome in given[-window_bars + 1 :]:
        restarted.take(outcome)
    assert restarted.figures() == live.figures()
    assert live.figures()["day"].skill["published"].n >= min(288, window_bars - 20)


def test_in_the_first_hour_there_is_nothing_to_say() -> None:
    made = scores()
    for outcome in outcomes(12):
        assert made.figures() == {}
        made.take(outcome)
    made.take(outcomes(13)[-1])
    assert made.figures()["day"].skill["published"].n == 12
    assert "week" not in made.figures()


def test_what_is_remembered_is_bounded() -> None:
    made = scores()
    for outcome in outcomes(4 * MONTH):
        made.take(outcome)
    assert made._rows.shape[1] < 1.2 * MONTH


def test_forecasts_of_a_version_that_did_not_say_what_it_published_are_left_out() -> None:
    made = scores()
    for outcome in outcomes(30):
        old = BarForecasts(ensemble=0.1)
        made.take(Outcome(**{name: getattr(outcome, name) for name in (
            "ts_open", "ts_target", "log_close", "log_return")}, forecasts=old))  # fmt: skip
    assert made.figures() == {}


def test_a_score_says_what_was_published_at_its_bar() -> None:
    chosen = settings()
    partition = PartitionPipeline(PredictionSettings.of(chosen))
    answer = partition.process(records(walk(60 * 4, step_ms=15_000)))
    said = {each.ts: each.prediction for each in answer.predictions}
    bar_ms = 60_000
    for score in answer.scores:
        last_tick_ms = score.ts_open + bar_ms - 15_000
        assert score.prediction == pytest.approx(said[last_tick_ms], rel=1e-12)
        assert score.prediction is not None
        error = math.log(score.outcome / score.prediction)
        assert error == pytest.approx(score.errors["published"], abs=1e-12)
    assert len(answer.scores) > 50
