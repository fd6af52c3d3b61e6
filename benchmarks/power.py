"""How likely half a month, and more, detects a skill: the Clark-West t of a planted skill.

The outcomes are those of real five-minute bars, second half of each month, in their order, with
redrawn signs: they are unpredictable, but keep their heavy tails and clusters. A predictable part
is added, R2 of the variance. Its size is constant, or proportional to the product's volatility
forecast. One forecast is just that part, another one has as much noise on top. Longer periods
repeat the same bars, with other signs.

By the formula the t is sqrt(n R2 s) on average with a deviation of 1, where s is the signal's share
of the forecast's variance (1, or a half); so it assumes normal outcomes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from harness import options, progress, save, second, show
from intervals import Bars, ours
from moments import FloatArray
from prices import month_pipeline, plain_settings
from rich.table import Table
from scipy.stats import norm

from stream_app.scoring.skill import skill

SKILLS: Final = (0.0, 0.0005, 0.001, 0.003)
MONTHS: Final = (0.5, 1.0, 3.0)
NOISES: Final = (0.0, 1.0)
"""Variance of what is forecast beyond the signal, in units of the signal's."""
WANTED: Final = 2.0


def drawn(
    moves: FloatArray, size: FloatArray, r2: float, noise: float, rng: np.random.Generator
) -> float:
    """The Clark-West t of one draw.

    Args:
        moves: returns, shape (N,), of which the sizes count.
        size: shape (N,), that of the signal in proportion.
        r2: the signal's share of the variance of the outcomes.
        noise: variance of what is forecast beyond it, in units of the signal's.
        rng: the source of all chance.
    """
    count = len(moves)
    unit = size * np.sqrt(np.mean(moves**2) / np.mean(size**2))
    signal = np.sqrt(r2) * unit * rng.standard_normal(count)
    rest = np.sqrt(1 - r2) * moves * rng.choice((-1.0, 1.0), count)
    # Without a signal the forecast is noise alone; its scale does not change the t.
    beyond = np.sqrt(noise * r2 if r2 else 1.0) * unit * rng.standard_normal(count)
    return skill(signal + beyond, signal + rest).cw_t


def of_month(file: Path, draws: int) -> list[dict[str, Any]]:
    """A row for each size of the signal, skill, noise and length."""
    settings = plain_settings()
    bars = Bars.of(month_pipeline(file, settings).window.columns(), settings.bar_ms)
    outcome, volatility = bars.outcomes(1), ours(bars, 1).volatility
    half = np.isfinite(outcome) & (np.arange(len(bars)) >= len(bars) // 2)
    moves, rng = outcome[half], np.random.default_rng(1)
    sizes = {"even": np.ones(len(moves)), "volatile": volatility[half]}
    cases = [
        (name, r2, noise, months)
        for name in sizes
        for r2 in SKILLS
        for noise in (NOISES if r2 else NOISES[:1])
        for months in MONTHS
    ]
    rows = []
    with progress() as shown:
        for name, r2, noise, months in shown.track(cases, description=file.name):
            repeated = round(2 * months)
            t = [
                drawn(np.tile(moves, repeated), np.tile(sizes[name], repeated), r2, noise, rng)
                for _ in range(draws)
            ]
            count = repeated * len(moves)
            formula = float(np.sqrt(count * r2 / (1 + noise)))
            rows.append(
                {
                    "size": name,
                    "r2": r2,
                    "noise": noise,
                    "n": count,
                    "t": float(np.mean(t)),
                    "deviation": float(np.std(t)),
                    "above": float(np.mean(np.array(t) > WANTED)),
                    "t by the formula": formula,
                    "above by the formula": float(norm.sf(WANTED - formula)),
                }
            )
    return rows


def table(name: str, rows: list[dict[str, Any]]) -> Table:
    """All rows."""
    shown = Table(title=f"{name}: Clark-West t, and how often above {WANTED:g}")
    for column in ("signal", "R2, %", "noise", "n", "t", "deviation", "above", "by the formula"):
        shown.add_column(column, justify="right")
    for row in rows:
        shown.add_row(
            row["size"],
            f"{100 * row['r2']:.2f}",
            f"{row['noise']:g}",
            f"{row['n']:,}",
            f"{row['t']:.2f}",
            f"{row['deviation']:.2f}",
            f"{row['above']:.2f}",
            f"{row['t by the formula']:.2f}, {row['above by the formula']:.2f}",
        )
    return shown


def main() -> None:
    chosen, given = options(__doc__, add=second)
    draws = 200 if chosen.quick else 1000
    results: dict[str, Any] = {"draws": draws}
    for file in (chosen.data, given.second):
        results[file.name] = of_month(file, draws)
        show(table(file.name, results[file.name]))
    save(chosen, results)


if __name__ == "__main__":
    main()
