"""The parts of what is shown as values fit for JSON, made of the read model. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final, Literal, get_args

from stream_app.overview.health import Bounds, checks, overall
from stream_app.overview.inputs import Answer
from stream_app.overview.read_model import ReadModel
from stream_app.overview.symbol_table import symbol_state

View = Literal["live", "day"]
VIEWS: Final[tuple[View, ...]] = get_args(View)


def health(model: ReadModel, bounds: Bounds) -> dict[str, Any]:
    """Is it well: the checks, and one sentence over all of them."""
    found = checks(model, bounds)
    level, sentence = overall(found)
    reading = model.reading
    return {
        "now_ms": model.now_ms,
        "level": level,
        "sentence": sentence,
        "checks": [asdict(item) for item in found],
        "broker": reading.broker,
        "problems": reading.topic_problems,
        "newest_read": reading.newest_read,
        "history_read": reading.history_read,
        "symbols": len(model.symbols),
        "refused": reading.refused,
        "refused_last": reading.refused_last,
        "left_out": model.left_out,
        "inputs": {role: model.has(role) for role in ("scores", "champions", "drift")},
    }


def retrains(model: ReadModel, bounds: Bounds) -> dict[str, Any]:
    """Retrain durations by model over time, and the cycles that run."""
    return {
        "target_s": bounds.retrain_target_s,
        "cycles": model.retrains.table(),
        "running": [
            {"worker": event.worker, "since": event.timestamp, "symbols": len(event.symbols)}
            for event in model.retrains.under_way(model.now_ms, bounds.longest_cycle_s)
        ],
    }


def retrains_stamp(model: ReadModel, bounds: Bounds) -> object:
    """Changes whenever `retrains` may have."""
    running = model.retrains.under_way(model.now_ms, bounds.longest_cycle_s)
    return model.retrains.noted, len(running)


def letters(model: ReadModel) -> dict[str, Any]:
    """Dead letters by reason, and the newest ones."""
    return {
        "counts": dict(model.letters.counts.most_common()),
        "last_minute": model.letters.last_minute,
        "flood": model.letters.is_flood,
        "newest": model.letters.table(),
    }


def group(model: ReadModel) -> dict[str, Any]:
    """Partitions, workers and lag."""
    return {**model.group.table(), "per_second": model.answers_per_second}


def history(model: ReadModel, symbol: str, view: View) -> dict[str, Any]:
    """What a chart of a symbol's price begins with."""
    record = model.symbols.get(symbol)
    shown: dict[str, Any] = {"symbol": symbol, "view": view, "known": record is not None}
    if record is not None:
        shown["columns"] = record.live_columns() if view == "live" else record.bars.columns()
    return shown


def answer(model: ReadModel, symbol: str) -> dict[str, Any] | None:
    """A symbol's newest answer; None before the first."""
    record = model.symbols.get(symbol)
    if record is None or record.answer is None:
        return None
    level, state = symbol_state(model, record)
    return {**_answer(record.answer), "level": level, "state": state, "at": record.answered_ms}


def answer_stamp(model: ReadModel, symbol: str) -> object:
    """Changes whenever `answer` may have."""
    record = model.symbols.get(symbol)
    return None if record is None else (record.answer, record.score, model.retrains.noted)


def _answer(given: Answer) -> dict[str, Any]:
    intervals = sorted(given.intervals, key=lambda item: item.level)
    return {
        "symbol": given.symbol,
        "ts": given.ts,
        "target_ts": given.target_ts,
        "horizon_s": given.horizon_s,
        "last_price": given.last_price,
        "prediction": given.prediction,
        "bias_correction": given.bias_correction,
        "shrinkage": given.shrinkage,
        "intervals": [[item.level, item.low, item.high] for item in intervals],
        "degraded": given.degraded,
        "members": {
            name: {
                "prediction": item.prediction,
                "weight": item.weight,
                "shrinkage": item.shrinkage,
                "version": item.version,
                "age_s": item.age_s,
            }
            for name, item in given.members.items()
        },
    }


def about(model: ReadModel, symbol: str) -> dict[str, Any]:
    """What changes with each bar or retrain of a symbol: versions, skill, calibration."""
    record = model.symbols.get(symbol)
    score = record.score if record is not None else None
    standing = model.retrains.standings.get(symbol)
    return {
        "symbol": symbol,
        "versions": model.versions.table(symbol),
        "standing": None
        if standing is None
        else {"state": standing.state, "reason": standing.reason, "since": standing.since},
        "scored_ts": None if score is None else score.ts_target,
        "coverage": {} if score is None else score.coverage,
        "running": {} if score is None else score.running,
        "harm": None if score is None else score.harm,
        "drift": []
        if record is None or score is None
        else record.alarms.table(score.ts_target, score.ts_target - score.ts_open),
    }


def about_stamp(model: ReadModel, symbol: str) -> object:
    """Changes whenever `about` may have."""
    record = model.symbols.get(symbol)
    score = None if record is None or record.score is None else record.score.ts_target
    return score, model.versions.noted, model.retrains.noted, model.alarms_taken


def history_stamp(model: ReadModel, symbol: str) -> object:
    """Changes whenever the history of bars may have."""
    record = model.symbols.get(symbol)
    return None if record is None else record.bars.taken
