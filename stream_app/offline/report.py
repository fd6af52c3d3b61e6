"""What a backtest says: figures for people and programs, from its series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from stream_app.offline.backtest import Backtest
from stream_app.offline.forecasts import Forecasts
from stream_app.offline.inside import PARTS
from stream_app.offline.series import Series
from stream_app.prediction.running import LAST_PRICE, PUBLISHED, UNSHRUNK
from stream_app.scoring.diebold_mariano import Comparison, diebold_mariano
from stream_app.scoring.intervals import IntervalScore
from stream_app.scoring.skill import Skill

_SKILL_FIELDS: Final = ("mae", "mse", "mae_skill", "mse_skill", "bias", "hit_rate", "cw_t")


def summary(
    found: Mapping[int, Backtest], *, train_seconds: float, predict_seconds: float
) -> dict[str, Any]:
    """The object of `--json`. Errors are log returns, skills fractions: 0.002 is 0.2 %.

    Args:
        found: by horizon in bars.
        train_seconds: wall time of this run's trainings.
        predict_seconds: wall time of its passes over the ticks.
    """
    symbols: dict[str, Any] = {}
    for horizon, one in found.items():
        for name, forecasts in one.forecasts.items():
            if len(forecasts.closes):
                said = symbols.setdefault(name, {"horizons": {}})
                said["horizons"][str(horizon)] = _horizon(forecasts, horizon)
    retrains = sum(one.retrains for one in found.values())
    rejected = sum(len(one.refused) for one in found.values())
    return {
        "symbols": symbols,
        "retrains": retrains,
        "promoted": retrains - rejected,
        "rejected": rejected,
        "seconds": {"train": round(train_seconds, 3), "predict": round(predict_seconds, 3)},
    }


def _horizon(forecasts: Forecasts, horizon: int) -> dict[str, Any]:
    scores = forecasts.closes.scores(horizon)
    last_price = scores.pop(LAST_PRICE)
    return {
        "n": last_price.n,
        "last_price": {"mae": last_price.mae, "mse": last_price.mse},
        "published": _skill(scores.pop(PUBLISHED)),
        "ensemble": _skill(scores.pop(UNSHRUNK)),
        "members": {
            name: _skill(score) for name, score in forecasts.closes.shrunk(horizon).items()
        },
        "members_unshrunk": {name: _skill(score) for name, score in scores.items()},
        "intervals": [_interval(score) for score in forecasts.closes.interval_scores()],
    }


def _interval(score: IntervalScore) -> dict[str, float]:
    said = asdict(score)
    del said["n"]
    return said


def _skill(score: Skill) -> dict[str, float]:
    said = asdict(score)
    return {name: said[name] for name in _SKILL_FIELDS}


def compared(series: Series, horizon: int) -> dict[tuple[str, str], Comparison]:
    """Diebold-Mariano of each forecast against each, on squared errors; the last price is one."""
    errors = series.errors
    return {
        (row, column): diebold_mariano(errors[row], errors[column], horizon_bars=horizon)
        for row in errors
        for column in errors
    }


def parts(series: Series, bar_ms: int) -> list[tuple[str, dict[str, Skill]]]:
    """The skill in each fifth of the bar that has forecasts, and in all of them.

    Args:
        series: of forecasts inside bars.
        bar_ms: length of a bar.
    """
    part = (series.ts - series.ts_open) * PARTS // bar_ms
    found = []
    for number in range(PARTS):
        at = part == number
        if at.any():
            found.append((_span(number, bar_ms), _shown(series.where(at))))
    return [*found, ("all", _shown(series))] if len(found) > 1 else found


def _shown(series: Series) -> dict[str, Skill]:
    scores = series.scores(1)
    return {name: scores[name] for name in series.forecasts}


def _span(number: int, bar_ms: int) -> str:
    begin, end = number * bar_ms / PARTS / 1000, (number + 1) * bar_ms / PARTS / 1000
    return f"{begin:g} to {end:g} s"
