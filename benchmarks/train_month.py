"""Trains all four models on one month: in the worker's pool, and with the plain libraries, one by
one.

The time is for the whole month. Errors are mean absolute errors of the price on the last fifth of
the month after learning from the rest, with another seed in each round. The plain side fits no
Kalman noise, so it trains one model less.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
from harness import options, progress, ratios, save, show, spread, spread_table, timed
from numpy.typing import NDArray
from plain import PLAIN
from prices import jobs_for, month_bars, plain_settings, warm_pool
from rich.table import Table

from stream_app.models.base import TrainingData
from stream_app.training.holdout import evaluate, score
from stream_app.training.job import prepare
from stream_app.training.settings import model_settings

TARGET_S = 5.0


def plain_errors(
    data: TrainingData, test: NDArray[np.int64], horizon: int, seed: int
) -> dict[str, float]:
    """Each plain model's error on `test` after learning from what was known before it."""
    rows = data.rows[data.rows < test[0] - horizon]
    errors, answers = {}, {}
    for name, fit in PLAIN.items():
        answers[name] = fit(data, rows, seed)(test)
        errors[name] = score(data, test, answers[name]).mae
    return errors


def main() -> None:
    chosen, _ = options(__doc__)
    settings = plain_settings()
    bars = month_bars(chosen.data, settings)
    models = model_settings(settings)
    data = prepare(bars, models)
    test = data.rows[int(len(data.rows) * 0.8) :]

    def plainly(seed: int) -> dict[str, float]:
        return {
            name: timed(lambda fit=fit: fit(data, data.rows, seed))  # type: ignore[misc]
            for name, fit in PLAIN.items()
        }

    times: dict[str, list[float]] = {"ours, in the pool": [], "the plain way": []}
    single: dict[str, list[float]] = {}
    errors: dict[str, dict[str, list[float]]] = {}
    with warm_pool() as pool, progress() as shown:
        task = shown.add_task("", total=4 * chosen.rounds)
        plainly(0) if not chosen.quick else None

        def ours(seed: int) -> None:
            seeded = settings.model_copy(update={"model_seed": seed})
            started = time.perf_counter()
            trained = list(pool.run_all(jobs_for(bars, seeded)))
            times["ours, in the pool"].append(time.perf_counter() - started)
            for model in trained:
                single.setdefault(f"ours: {model.name}", []).append(model.seconds)

        def theirs(seed: int) -> None:
            seconds = plainly(seed)
            times["the plain way"].append(sum(seconds.values()))
            for name, value in seconds.items():
                single.setdefault(f"plain: {name}", []).append(value)

        for number in range(chosen.rounds):
            seed = number + 1
            for name, side in [("ours", ours), ("plain", theirs)][:: 1 if number % 2 else -1]:
                shown.update(task, description=f"time, {name}")
                side(seed)
                shown.advance(task)
            shown.update(task, description="errors, ours")
            found = evaluate(
                bars,
                replace(models, seed=seed),
                weights=settings.ensemble_weights,
                train_all=pool.run_all,
            )
            scores = {name: each.mae for name, each in found.models.items()}
            scores |= {"ensemble": found.ensemble.mae, "last price": found.last_price.mae}
            shown.advance(task)
            shown.update(task, description="errors, plain")
            plain = plain_errors(data, test, settings.horizon_bars, seed)
            shown.advance(task)
            for name, value in scores.items():
                errors.setdefault(name, {}).setdefault("ours", []).append(value)
            for name, value in plain.items():
                errors[name].setdefault("plain", []).append(value)

    ratio = ratios(times["ours, in the pool"], times["the plain way"])
    spreads = {name: spread(values) for name, values in times.items()}
    singles = {name: spread(values) for name, values in sorted(single.items())}
    show(
        spread_table("All models on one month", "s", spreads),
        spread_table("One model (in the pool two run at once)", "s", singles),
        f"ours / plain: {ratio.median:.2f} ({ratio.minimum:.2f} to {ratio.maximum:.2f}); "
        f"targets: at most {TARGET_S:g} s and at most 0.33",
        error_table(errors),
    )
    save(
        chosen,
        {
            "bars": len(bars),
            "rows": len(data.rows),
            "seconds": spreads,
            "model_seconds": singles,
            "ratio": ratio,
            "holdout_mae": {
                name: {side: spread(values) for side, values in sides.items()}
                for name, sides in errors.items()
            },
            "paired_error_ratio": {
                name: ratios(sides["ours"], sides["plain"])
                for name, sides in errors.items()
                if "plain" in sides
            },
        },
    )


def error_table(errors: dict[str, dict[str, list[float]]]) -> Table:
    """Medians over the seeds, and the paired ratios."""
    table = Table(title="Holdout mean absolute error of the price", title_justify="left")
    for name in ("", "ours", "plain", "ours / plain, paired"):
        table.add_column(name, justify="right")
    for name, sides in errors.items():
        row: list[Any] = [name, f"{spread(sides['ours']).median:.3f}"]
        if "plain" in sides:
            paired = ratios(sides["ours"], sides["plain"])
            row.append(f"{spread(sides['plain']).median:.3f}")
            row.append(f"{paired.median:.4f} ({paired.minimum:.4f} to {paired.maximum:.4f})")
        table.add_row(*row)
    return table


if __name__ == "__main__":
    main()
