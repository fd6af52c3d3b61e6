"""The weighted ensemble: who answers, and with which weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import Member, Rows
from stream_app.models.kalman import KalmanMember
from stream_app.models.kalman_filter import KalmanNoise

UNTRAINED: Final = "untrained"
"""The version before the first training."""

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModelSet:
    """The models that serve one symbol together; replaced whole, by one assignment."""

    version: str
    trained_to_ts: int
    """Event time of the last tick that the models learned from, epoch ms."""
    members: Mapping[str, Member]
    noise: KalmanNoise

    @property
    def is_trained(self) -> bool:
        """Whether this set comes from a training."""
        return self.trained_to_ts >= 0


def untrained(horizon_bars: int) -> ModelSet:
    """The set before the first training: the Kalman filter with its default noise, alone."""
    noise = KalmanNoise()
    return ModelSet(
        version=UNTRAINED,
        trained_to_ts=-1,
        members={"kalman": KalmanMember(noise=noise, horizon_bars=horizon_bars)},
        noise=noise,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Blend:
    """The ensemble's answers to B ticks, before the bias correction."""

    names: tuple[str, ...]
    prices: FloatArray
    """Shape (len(names), B): each member's price forecast; NaN where it gave none."""
    weights: FloatArray
    """Shape (len(names), B): in force, renormalised; 0 for a member left out."""
    price: FloatArray
    """Shape (B,)."""
    degraded: tuple[tuple[str, ...], ...]
    """Reasons, one tuple a tick."""


class Ensemble:
    """Blends the members' answers by weight."""

    def __init__(self, *, weights: Mapping[str, float], max_age_ms: float) -> None:
        self._weights = dict(weights)
        self._column = np.array([[weight] for weight in self._weights.values()])
        self._max_age_ms = max_age_ms

    def blend(
        self, models: ModelSet, rows: Rows, ts: NDArray[np.int64], last_price: FloatArray
    ) -> Blend:
        """The weighted mean of the members' prices, for B ticks of one symbol.

        A member is left out, and the others' weights are renormalised, when it is not in the
        set, when it needs features that the window cannot give yet, when its answer is not
        finite, or when the set is older at the tick than the maximal age. The Kalman filter
        learns from every tick, so age does not exclude it: every valid tick has an answer. Each
        price lies between the lowest and the highest price of the members that answered.
        """
        names = tuple(self._weights)
        returns = np.full((len(names), len(ts)), np.nan)
        reasons: list[str] = []
        too_old = ts - models.trained_to_ts > self._max_age_ms
        any_too_old = bool(too_old.any())
        for row, name in enumerate(names):
            member = models.members.get(name)
            if member is None:
                reasons.append(f"{name}: not trained yet")
            elif member.needs_features and rows.features is None:
                reasons.append(f"{name}: the window has too few bars")
            else:
                returns[row] = member.predict(rows)
                if any_too_old and member.needs_features:
                    returns[row, too_old] = np.nan
        with np.errstate(over="ignore"):
            prices = last_price * np.exp(returns)
        answered = np.isfinite(prices)
        all_answered = bool(answered.all())
        weights = np.where(answered, self._column, 0.0)
        total = weights.sum(axis=0)
        # Only members of weight 0 answered: the Kalman filter speaks for the ensemble.
        alone = total <= 0.0
        if alone.any():
            weights[names.index("kalman"), alone] = 1.0
            total[alone] = 1.0
        weights /= total
        weighed = weights > 0.0
        low = prices.min(axis=0, where=weighed, initial=np.inf)
        high = prices.max(axis=0, where=weighed, initial=-np.inf)
        parts = weights * (prices if all_answered else np.where(answered, prices, 0.0))
        price = np.minimum(np.maximum(parts.sum(axis=0), low), high)
        return Blend(
            names=names,
            prices=prices,
            weights=weights,
            price=price,
            degraded=((),) * len(ts)
            if all_answered
            else self._degraded(models, reasons, names, answered, too_old),
        )

    @staticmethod
    def _degraded(
        models: ModelSet,
        reasons: list[str],
        names: tuple[str, ...],
        answered: NDArray[np.bool_],
        too_old: NDArray[np.bool_],
    ) -> tuple[tuple[str, ...], ...]:
        common = tuple(reasons)
        if len(reasons) + answered.all(axis=1).sum() == len(names):
            return (common,) * len(too_old)
        excused = {reason.split(":")[0] for reason in reasons}
        out = []
        for column in range(len(too_old)):
            more = [
                f"{name}: " + ("too old" if too_old[column] else "its answer was not finite")
                for row, name in enumerate(names)
                if name in models.members and name not in excused and not answered[row, column]
            ]
            out.append((*common, *more))
        return tuple(out)
