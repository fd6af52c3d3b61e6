"""Whether freshly trained models may serve: broken ones are rejected. Pure.

One day of bars cannot show which of two nearly equal models is the better one, so the gate does not
try. It checks for results that no working training gives, on the models' training rows.

What is checked for what:

* Each member: finite answers, not constant, not worse than the last price, neither too good nor too
  large. A broken member among three good ones would hide in the ensemble.
* The ensemble: the same except the constant, plus the comparison with the champion; and it may
  never be larger than MOST_SIZE. A member that overfits a short window is, without being broken.
* The Kalman filter: only finite answers that are not constant. It is fitted to the likelihood of
  the bars and not to the outcomes: its figures are like those of any other rows, and do not show a
  fault. Its artifact is three variances, which have no sign or scale.

A member that could not be trained and predicts the last price passes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from stream_app.models.catalog import KALMAN
from stream_app.training.fit import Bounds, Comparison, Fit

Check = Literal[
    "not_finite",
    "constant",
    "worse_than_last_price",
    "too_good",
    "too_large",
    "stale",
    "worse_than_champion",
]
"""What a challenger can be refused for, in the order in which it is looked at."""
ENSEMBLE: Final = "ensemble"

MOST_SIZE: Final = 0.5
"""Root mean square of the ensemble's forecasts over that of the outcomes: half of the deviation."""
BEYOND_CHANCE: Final = 3.0
"""The t above which a loss against the last price is significant. Models are fitted to these rows,
so theirs is below 0; a model without any skill has one above 3 once in 700 times."""
BEYOND_CHAMPION: Final = 4.0
"""The same against the champion, on a day or less: few rows and fat tails need more room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the gate says of a challenger. Picklable."""

    check: Check | None
    """The first that it failed; None for a challenger that may serve."""
    reason: str
    """One line; empty for one that may serve."""
    figures: Mapping[str, float]
    """By what they are of, such as `lstm.r2`; without those that are not defined."""


def judge(
    fits: Mapping[str, Fit],
    most: Bounds,
    *,
    behind_s: float,
    champion: Comparison | None,
) -> Verdict:
    """Judge a challenger.

    Args:
        fits: by member, and of the ensemble; without members that answer the last price because
            they could not be trained.
        most: what these rows and this horizon allow.
        behind_s: by how much the newest tick learned from is older than the window's newest.
        champion: None where none serves, or it cannot be read.
    """
    figures = {
        f"{name}.{what}": value
        for name, fit in fits.items()
        for what, value in (
            ("r2", fit.r2), ("t", fit.t), ("size", fit.size), ("next_bar", fit.next_bar),
        )
    }  # fmt: skip
    figures |= {
        "bound.r2": most.r2,
        "bound.next_bar": most.next_bar,
        "bound.size": most.size,
        "data.behind_s": behind_s,
    }
    if champion is not None:
        figures |= {"champion.rows": champion.rows, "champion.t": champion.t}
    problem = next(_problems(fits, most, behind_s, champion), None)
    return Verdict(
        check=problem[0] if problem else None,
        reason=problem[1] if problem else "",
        figures={
            name: float(f"{value:.4g}") for name, value in figures.items() if math.isfinite(value)
        },
    )


def _problems(
    fits: Mapping[str, Fit],
    most: Bounds,
    behind_s: float,
    champion: Comparison | None,
) -> Iterator[tuple[Check, str]]:
    """What is wrong, the plainest first; a comparison with NaN finds nothing."""
    for name, fit in fits.items():
        if not fit.finite:
            yield "not_finite", f"{name}: not all answers are finite"
        if fit.constant and name != ENSEMBLE:
            yield "constant", f"{name} always gives the same answer"
    if behind_s > 0:
        yield "stale", f"learned from data {behind_s:g} s older than the window's newest"
    for name, fit in fits.items():
        if name == KALMAN:
            continue
        if fit.t > BEYOND_CHANCE:
            yield (
                "worse_than_last_price",
                f"{name}: R2 {fit.r2:.2%} on the rows learned from, t {fit.t:.1f} above "
                f"{BEYOND_CHANCE:g}",
            )
        for value, bound, what in (
            (fit.r2, most.r2, "what came"), (fit.next_bar, most.next_bar, "the next bar"),
        ):  # fmt: skip
            if value > bound:
                yield (
                    "too_good",
                    f"{name}: knows {value:.1%} of {what} on the rows learned from; above "
                    f"{bound:.1%} it must have seen the future",
                )
        largest = min(most.size, MOST_SIZE) if name == ENSEMBLE else most.size
        if fit.size > largest:
            yield (
                "too_large",
                f"{name}: forecasts of {fit.size:.2f} times the outcomes' deviation on the rows "
                f"learned from; above {largest:.2f} they are out of scale",
            )
    if champion is not None and champion.t > BEYOND_CHAMPION:
        yield (
            "worse_than_champion",
            f"t {champion.t:.1f} above {BEYOND_CHAMPION:g} on the newest {champion.rows} rows, "
            "which only the challenger has seen",
        )
