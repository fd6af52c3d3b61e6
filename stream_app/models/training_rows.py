"""What every Forecaster checks in its training rows, and how it scales what it learns.

Over a horizon of h bars, neighbouring targets share h - 1 of their h steps. The mean of N such
targets varies as that of N / h independent ones (Hansen and Hodrick 1980). So N rows hold N / h
outcomes, and each Forecaster's settings, which were chosen at one bar, follow from that
(docs/models.md).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.errors import TrainingError
from stream_app.models.base import TrainingData
from stream_app.scoring.chance import mean_t, share_beyond_chance

MIN_ROWS: Final = 50
"""Fewer rows say nothing about a return."""
KNOWN_R2: Final = 0.003
"""How much of a return's variance is known at best one bar ahead, from prices alone
(docs/accuracy.md)."""


def check_rows(data: TrainingData) -> None:
    """Refuse rows that no model can learn from.

    Raises:
        TrainingError: there are too few rows, a value is not finite, or the price does not move.
    """
    rows = data.rows
    if len(rows) < MIN_ROWS:
        raise TrainingError(f"{len(rows)} training rows; at least {MIN_ROWS} are needed")
    if not np.isfinite(data.bars.log_close).all():
        raise TrainingError("the window holds a price that is not finite")
    if not np.isfinite(data.features[rows]).all():
        raise TrainingError("the training rows hold a feature that is not finite")
    target = data.target[rows]
    if not np.isfinite(target).all():
        raise TrainingError("the training rows hold a return that is not finite")
    if not target.any():
        raise TrainingError("the price does not move in the training window")


def leaf_rows(rows: int, horizon_bars: int, most: float) -> int:
    """How many rows a tree's leaf must hold.

    A leaf's mean of n outcomes has a variance of 1/n of theirs by chance alone. With 1 / KNOWN_R2
    outcomes that is what may be known, so a smaller leaf would say more chance than knowledge. It
    does not grow with the window: more rows give finer trees. At h bars, h rows count as one.

    >>> leaf_rows(8000, 1, 1 / 4), leaf_rows(8000, 3, 1 / 4), leaf_rows(400, 1, 1 / 4)
    (333, 1000, 100)

    Args:
        rows: to learn from.
        horizon_bars: the horizon.
        most: share of the rows that is asked for at most one bar ahead, where there are few.
    """
    return max(1, int(min(1 / KNOWN_R2, rows * most) * horizon_bars))


def scaled_target(data: TrainingData, horizon_bars: int) -> tuple[NDArray[np.float32], float]:
    """The target in units of its root mean square, and that unit as a log return.

    Returns are about 1e-3 and their squares 1e-6, near the constants at which the libraries stop
    splitting or stepping.

    The target is not centred one bar ahead, because zero must stay the last price. Further ahead
    its mean is a drift estimated from N / h outcomes, and forecasting it adds h / N of the
    outcomes' variance to the error: the length of the window alone says how well a drift is known
    (Merton 1980). So what of the mean may be chance is reduced to a single bar's.

    Returns:
        Shape (rows,), float32, and the unit.
    """
    target = data.target[data.rows].astype(np.float64)
    unit = float(np.sqrt(np.mean(np.square(target))))
    chance = 1 - share_beyond_chance(mean_t(target, 2 * horizon_bars))
    dropped = target.mean() * chance * (1 - 1 / horizon_bars)
    return ((target - dropped) / unit).astype(np.float32), unit
