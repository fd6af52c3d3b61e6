"""The weighted ensemble: who answers, and with which weight."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from stream_app.compiled import DOUBLES, compiled, types
from stream_app.models.asking import ask
from stream_app.models.catalog import KALMAN
from stream_app.prediction.observation import Asked, Part
from stream_app.prediction.settings import PredictionSettings

FloatArray = NDArray[np.float64]


@dataclass(slots=True, eq=False, kw_only=True)
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
    """Why the answer is less than that of all members, one tuple a tick."""
    is_full: bool
    """Whether all members answered all ticks and nothing is to be said of it: the weights are then
    the same."""


_Table: Final = types.float64[:, ::1]


@compiled(types.boolean(_Table, DOUBLES, DOUBLES, DOUBLES, types.int64, _Table, _Table, DOUBLES))
def _mixed(  # noqa: PLR0917 - a compiled loop takes no keywords
    returns: FloatArray,
    last_price: FloatArray,
    far: FloatArray,
    shares: FloatArray,
    spare: int,
    prices: FloatArray,
    weights: FloatArray,
    price: FloatArray,
) -> bool:
    """The arithmetic of `Ensemble.blend`, for B ticks.

    Args:
        returns: shape (members, B); not finite where a member is left out.
        last_price: shape (B,).
        far: the largest log return that is believed, shape (B,); a member beyond it is left out.
        shares: each member's weight when all answer, shape (members,).
        spare: the member that speaks for the ensemble when no other with a weight does; what it
            says is then cut to what is believed.
        prices: filled in, of the members, shape (members, B).
        weights: the same of their weights.
        price: filled in, the weighted one, shape (B,).

    Returns:
        Whether all members answered and are believed.
    """
    complete = True
    for b in range(len(last_price)):
        total = price[b] = 0.0
        for m in range(len(shares)):
            believed = abs(returns[m, b]) <= far[b]
            prices[m, b] = last_price[b] * math.exp(returns[m, b]) if believed else math.nan
            if math.isfinite(prices[m, b]):
                weights[m, b] = shares[m]
                total += shares[m]
            else:
                weights[m, b] = 0.0
                complete = False
        if total <= 0.0:
            weights[spare, b] = total = 1.0
            cut = min(max(returns[spare, b], -far[b]), far[b])
            prices[spare, b] = last_price[b] * math.exp(cut)
        low, high = math.inf, -math.inf
        for m in range(len(shares)):
            weights[m, b] /= total
            if weights[m, b] > 0.0:
                price[b] += weights[m, b] * prices[m, b]
                low, high = min(low, prices[m, b]), max(high, prices[m, b])
        price[b] = min(max(price[b], low), high)  # the sum's rounding may lie outside
    return complete


class Ensemble:
    """Blends the members' answers by weight."""

    def __init__(self, *, weights: Mapping[str, float], max_age_ms: float) -> None:
        self._weights = dict(weights)
        self._names = tuple(self._weights)
        self._shares = np.array([*self._weights.values()])
        self._spare = [*self._weights].index(KALMAN)
        self._max_age_ms = max_age_ms

    @classmethod
    def of(cls, settings: PredictionSettings) -> Self:
        """The ensemble of these settings."""
        return cls(weights=settings.weights, max_age_ms=settings.model_max_age_ms)

    def blend(
        self,
        asked: Asked,
        ts: NDArray[np.int64],
        last_price: FloatArray,
        far: FloatArray,
    ) -> Blend:
        """The weighted mean of the members' prices, for B ticks.

        A member is left out, and the others' weights are renormalised, when it is not in the
        set, when it needs features that the window cannot give yet, when its answer is not
        finite or too far from the last price, or when the set is older at the tick than the
        maximal age. The Kalman filter learns from every tick, so age does not exclude it; where
        nobody else answers it does, cut to what is believed. So every valid tick has one. Each
        price lies between the lowest and the highest price of the members that answered.

        A member that answers the last price, because its model could not be trained, has its
        weight; `degraded` says why.

        Args:
            asked: which models answer which ticks; together B ticks.
            ts: the event times, shape (B,).
            last_price: shape (B,).
            far: the largest log return of a member that is believed, shape (B,).
        """
        names, parts = self._names, asked.parts
        returns = np.empty((len(names), len(ts)))
        ask(asked.table, asked.moments, asked.features, returns)
        odd = [part for part in parts if part.question.is_odd]
        for part in odd:
            for row, member in part.question.roster.others:
                returns[row, part.start : part.stop] = member.predict(asked.rows(part))
        too_old = self._too_old(parts, ts)
        if too_old is not None:
            for row, name in enumerate(names):
                returns[row, too_old & _needing(name, parts, len(ts))] = np.nan
        prices, weights = np.empty_like(returns), np.empty_like(returns)
        price = np.empty(len(ts))
        complete = _mixed(
            returns, last_price, far, self._shares, self._spare, prices, weights, price
        )
        degraded: tuple[tuple[str, ...], ...] = ((),) * len(ts)
        is_full = complete and not any(part.question.roster.reasons for part in odd)
        if not is_full:
            answered = np.isfinite(prices) & (np.abs(returns) <= far)
            with np.errstate(over="ignore"):
                finite = np.isfinite(np.exp(returns))
            if too_old is None:
                too_old = np.zeros(len(ts), dtype=np.bool_)
            degraded = tuple(self._degraded(parts, answered, finite, too_old))
        return Blend(
            names=names,
            prices=prices,
            weights=weights,
            price=price,
            degraded=degraded,
            is_full=is_full,
        )

    def _too_old(self, parts: Sequence[Part], ts: NDArray[np.int64]) -> NDArray[np.bool_] | None:
        """At which ticks the models are older than the maximal age, shape (B,); None for none."""
        oldest = min([question.trained_to_ts for question, *_ in parts])
        if max(ts.tolist()) - oldest <= self._max_age_ms:
            return None
        trained_to = [
            question.trained_to_ts for question, start, stop in parts for _ in range(start, stop)
        ]
        ages: NDArray[np.int64] = ts - np.array(trained_to)
        return ages > self._max_age_ms

    def _degraded(
        self,
        parts: Sequence[Part],
        answered: NDArray[np.bool_],
        finite: NDArray[np.bool_],
        too_old: NDArray[np.bool_],
    ) -> Iterator[tuple[str, ...]]:
        """Why members did not answer, or not as a trained model, a tuple for each tick.

        Args:
            parts: the ticks, in the order of the columns.
            answered: shape (members, B).
            finite: whether the answer is a price at all, shape (members, B).
            too_old: shape (B,).
        """
        for part in parts:
            reasons = part.question.roster.reasons
            common = tuple(f"{name}: {reason}" for name, reason in reasons.items())
            asked = [(row, name) for row, name in enumerate(self._weights) if name not in reasons]
            for column in range(part.start, part.stop):
                failed = [(row, name) for row, name in asked if not answered[row, column]]
                yield (
                    *common,
                    *(
                        f"{name}: {_reason(finite[row, column], too_old[column])}"
                        for row, name in failed
                    ),
                )


def _needing(name: str, parts: Iterable[Part], count: int) -> NDArray[np.bool_]:
    """At which ticks a member answers from features, shape (count,)."""
    found = np.zeros(count, dtype=np.bool_)
    for part in parts:
        member = part.question.models.members.get(name)
        found[part.start : part.stop] = member is not None and member.needs_features
    return found


def _reason(finite: np.bool_, too_old: np.bool_) -> str:
    if too_old:
        return "too old"
    return "its answer was too far from the last price" if finite else "its answer was not finite"
