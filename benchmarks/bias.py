"""The cost or gain of the bias correction: the published price with and without it.

By the product's own backtest, retrained daily; R2 beside the last price on the second half of each
month, at 1, 3, 12 and 48 bars. It shares the trainings of `weights.py`.
"""

from __future__ import annotations

from typing import Any

from harness import options, save, second, show
from rich.table import Table
from weights import all_closes, owners, published, second_half

from stream_app.scoring.skill import skill


def main() -> None:
    chosen, given = options(__doc__, add=second)
    rows: list[dict[str, Any]] = []
    table = Table(title="Published R2 in percent", title_justify="left")
    for name in ("month", "bars ahead", "without", "with", "gain"):
        table.add_column(name)
    files = (chosen.data, given.second)
    for file, horizon, series in all_closes(files, quick=chosen.quick):
        half = second_half(series)
        said = series.published[half], published(series, owners, horizon)[half]
        corrected, without = (
            skill(each, series.outcome[half], horizon_bars=horizon).mse_skill for each in said
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
