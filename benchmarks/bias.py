"""What the bias correction costs, or gains: what is published with it and without it.

By the product's own backtest, retrained daily; R2 beside the last price on the second half of each
month, at 1, 3, 12 and 48 bars. It shares the trainings of `weights.py`.
"""

from __future__ import annotations

from typing import Any

from accuracy import HORIZONS
from harness import console, options, save, second, show
from rich.table import Table
from weights import closes, owners, published

from stream_app.scoring.skill import skill
from stream_app.training.pool import TrainingPool


def main() -> None:
    chosen, given = options(__doc__, add=second)
    rows: list[dict[str, Any]] = []
    table = Table(title="Published R2 in percent", title_justify="left")
    for name in ("month", "bars ahead", "without", "with", "gain"):
        table.add_column(name)
    with TrainingPool(1) as pool:
        for file in (chosen.data, given.second):
            for horizon in HORIZONS[:1] if chosen.quick else HORIZONS:
                console.print(f"{file.name}, {horizon} bars")
                series = closes(file, horizon, pool)
                half = series.ts >= (series.ts[0] + series.ts[-1]) // 2
                said = series.published[half], published(series, owners, horizon)[half]
                corrected, without = (
                    skill(each, series.outcome[half], horizon_bars=horizon).mse_skill
                    for each in said
                )
                rows.append(
                    {
                        "month": file.name,
                        "horizon_bars": horizon,
                        "without": without,
                        "with": corrected,
                    }
                )
                table.add_row(
                    file.name,
                    str(horizon),
                    *(f"{100 * each:+.4f}" for each in (without, corrected, corrected - without)),
                )
                save(chosen, {"months": rows})
    show(table)


if __name__ == "__main__":
    main()
