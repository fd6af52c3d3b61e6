"""Whether features and training rows that the product does not have would help.

Each candidate is trained with the same seeds as the product's own features, by the product's own
forecasters, once a day on all bars before, and forecasts the second half of each month. The raw
ensembles are compared, before any shrinkage: R2 against the last price, and the Diebold-Mariano t
of the difference. The rules, which were fixed before anything was measured, are in
docs/accuracy.md.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from unittest import mock

import numpy as np
import torch
from accuracy import BARS, KNOWN_R2, bars_file
from harness import console, options, progress, save, second, show
from moments import LAST, Columns, FloatArray, Month, default_settings, month
from numpy.typing import NDArray
from rich.table import Table
from scipy.special import ndtr

from stream_app.bars.features import LOOKBACK
from stream_app.models import gradient_boosting, lstm_network, training_rows
from stream_app.models.base import ModelSettings, Rows, TrainingData
from stream_app.models.catalog import CATALOG, KALMAN
from stream_app.offline.inside import PARTS
from stream_app.offline.training_cache import code_digest
from stream_app.prediction.volatility import VolatilityForecast
from stream_app.scoring.diebold_mariano import diebold_mariano
from stream_app.scoring.skill import skill
from stream_app.settings import Settings
from stream_app.training.settings import model_settings

KEPT: Final = Path(tempfile.gettempdir()) / "stream-app-candidates"
ENSEMBLE: Final = "ensemble"
VOLUME_HORIZONS: Final = (1, 3, 12)
LEADER_SPANS: Final = (1, 2, 3, 6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What is learned from."""

    name: str
    columns: Columns | None = None
    """Features beside the product's."""
    moments: tuple[int, ...] = (LAST,)
    """The moments of a bar whose rows are learned from."""
    by_volatility: bool = False
    """Returns are learned as multiples of the volatility forecast; only at closes."""


# Features


def elapsed(given: Month) -> NDArray[np.float32]:
    """The share of the bar that has passed."""
    return ((given.ts - given.bars.ts_open) / given.bar_ms)[..., np.newaxis].astype(np.float32)


def volumes(given: Month) -> NDArray[np.float32]:
    """Volume beside the usual, and that which moved the price up less that which moved it down.

    The latter by bulk classification (Easley, Lopez de Prado, O'Hara 2012); the product with the
    return by Campbell, Grossman, Wang (1993).
    """
    closed = given.volume[LAST]
    step = np.diff(given.bars.log_close, prepend=np.nan)
    out = np.full((*given.ts.shape, 5), np.nan, dtype=np.float32)
    for k in range(PARTS):
        for i in range(LOOKBACK, len(given)):
            volume = closed[i - LOOKBACK + 1 : i + 1].copy()
            moved = step[i - LOOKBACK + 1 : i + 1].copy()
            volume[-1] = given.volume[k, i]
            moved[-1] = given.log_price[k, i] - given.bars.log_close[i - 1]
            flow = volume * (2.0 * ndtr(moved / (np.nanstd(moved) or 1.0)) - 1.0)
            ratio = np.log(volume[-1] / volume.mean())
            out[k, i] = (
                ratio,
                np.log(volume[-12:].mean() / volume.mean()),
                flow[-6:].sum() / volume[-6:].sum(),
                flow[-24:].sum() / volume[-24:].sum(),
                moved[-1] * ratio,
            )
    return out


def leader(log_close: FloatArray) -> Columns:
    """The returns of another symbol's closes, bar by bar; only at closes."""

    def columns(given: Month) -> NDArray[np.float32]:
        known = np.resize(log_close, len(given))
        out = np.full((*given.ts.shape, len(LEADER_SPANS)), np.nan, dtype=np.float32)
        for at, span in enumerate(LEADER_SPANS):
            out[LAST, span:, at] = known[span:] - known[:-span]
            out[LAST, len(log_close) : len(log_close) + span, at] = 0.0  # where it begins again
        return out

    return columns


# Training and forecasts


def units(given: Month, candidate: Candidate, horizon_bars: int) -> FloatArray:
    """What one unit of the targets is as a log return, shape (PARTS, N); NaN where not known."""
    if not candidate.by_volatility:
        return np.ones(given.ts.shape)
    found = np.full(given.ts.shape, np.nan)
    forecast = VolatilityForecast(bar_ms=given.bar_ms, horizon_bars=horizon_bars, start=1e-3)
    bars = zip(
        given.bars.ts_open.tolist(),
        given.bars.log_high.tolist(),
        given.bars.log_low.tolist(),
        given.bars.log_close.tolist(),
        strict=True,
    )
    for at, (ts_open, high, low, close) in enumerate(bars):
        found[LAST, at] = forecast.at(ts_open + given.bar_ms - 1, high, low, np.inf)
        forecast.close(ts_open, high, low, close)
    return found


def wide(given: Month, candidate: Candidate) -> NDArray[np.float32]:
    """All features, shape (PARTS, N, F)."""
    if candidate.columns is None:
        return given.features
    return np.concatenate([given.features, candidate.columns(given)], axis=-1)


@contextlib.contextmanager
def by_moments(
    count: int, rows: NDArray[np.int64], moments: Sequence[int] = (LAST,)
) -> Iterator[None]:
    """The LSTM and LightGBM where row k N + i is moment k of bar i.

    A sequence is the closes of the bars before, and the moment. With several moments a bar, an
    epoch of the LSTM takes one of each, and so many rows count as one in a tree's leaves and for
    LightGBM's prior: the rule of longer horizons (docs/models.md), for their outcomes overlap.
    """
    plain = lstm_network.rows_of_epoch
    k, i = rows // count, rows % count

    def sequences(features: torch.Tensor, rows: torch.Tensor, length: int) -> torch.Tensor:
        before = LAST * count + rows % count + torch.arange(1 - length, 0)[:, None]
        return features[torch.cat([before, rows[None]])]

    def rows_of_epoch(rows: int, epoch: int, settings: ModelSettings) -> torch.Tensor:
        if len(moments) == 1:
            return plain(rows, epoch, settings)
        return torch.from_numpy(np.flatnonzero((i + epoch) % PARTS == k))

    prior = gradient_boosting.PRIOR_ROWS * len(moments)
    known = training_rows.KNOWN_R2 / len(moments)
    with (
        mock.patch.object(lstm_network, "sequences", sequences),
        mock.patch.object(lstm_network, "rows_of_epoch", rows_of_epoch),
        mock.patch.object(gradient_boosting, "PRIOR_ROWS", prior),
        mock.patch.object(training_rows, "KNOWN_R2", known),
    ):
        yield


def training_data(
    given: Month, features: NDArray[np.float32], span: slice, moments: Sequence[int],
    models: ModelSettings,
) -> TrainingData:  # fmt: skip
    """What is known of a window when it is learned from; row k N + i is moment k of its bar i."""
    bars = given.bars.slice(span.start, span.stop)
    count = len(bars)
    horizon_ms = models.horizon_bars * models.bar_ms
    target = given.outcomes(models.horizon_bars)[:, span]
    target[given.ts[:, span] + horizon_ms > bars.ts_last[-1]] = np.nan
    target[LAST] = given.closes(models.horizon_bars)[span]
    target[LAST, bars.ts_open + horizon_ms > bars.ts_open[-1]] = np.nan
    seen = features[:, span]
    usable = np.isfinite(target) & np.isfinite(seen).all(axis=-1)
    usable[:, : LOOKBACK + models.sequence_length - 1] = False
    usable[[k for k in range(PARTS) if k not in moments]] = False
    return TrainingData(
        bars=bars,
        log_price=bars.log_close,
        features=np.nan_to_num(seen.reshape(PARTS * count, -1)),
        target=target.ravel().astype(np.float32),
        rows=np.flatnonzero(usable),
    )


def forecasts(given: Month, candidate: Candidate, models: ModelSettings) -> dict[str, FloatArray]:
    """By member and for the ensemble, at each moment of the second half, shape (PARTS, N)."""
    features = wide(given, candidate)
    everywhere = TrainingData(
        bars=given.bars,
        log_price=given.bars.log_close,
        features=np.nan_to_num(features.reshape(given.ts.size, -1)),
        target=np.zeros(0, dtype=np.float32),
        rows=np.zeros(0, dtype=np.int64),
    )
    unit = units(given, candidate, models.horizon_bars)
    there = np.isfinite(features).all(axis=-1) & np.isfinite(unit)
    found = {name: np.full(given.ts.shape, np.nan) for name in (*CATALOG, ENSEMBLE)}
    with progress() as shown:
        what = f"{given.name} {models.horizon_bars} {candidate.name} {models.seed}"
        for retrain, start, end in shown.track(given.served(), description=what):
            served = there & (given.ts >= start) & (given.ts < end)
            if not served.any():
                continue
            span = slice(retrain.first, retrain.end)
            data = training_data(given, features, span, candidate.moments, models)
            scaled = (data.target / unit[:, span].ravel()).astype(np.float32)
            data = replace(data, target=scaled)
            asked = replace(everywhere, rows=np.flatnonzero(served))
            for name in CATALOG:
                if name != KALMAN:
                    said = learned(name, data, asked, candidate.moments, models)
                    found[name][served] = said * unit[served]
            found[KALMAN][served] = retrain.kalman.predict(
                Rows(
                    log_price=given.log_price[served],
                    kalman_level=given.level[served],
                    kalman_velocity=given.velocity[served],
                    features=None,
                    histories=(),
                    history_index=np.zeros(len(asked.rows), dtype=np.int64),
                )
            )
    price = sum(spec.weight * np.exp(found[name]) for name, spec in CATALOG.items())
    found[ENSEMBLE] = np.log(price)
    return found


def learned(
    name: str, data: TrainingData, asked: TrainingData, moments: Sequence[int],
    models: ModelSettings,
) -> FloatArray:  # fmt: skip
    """What a member says at the rows asked, after it has learned from the data; kept on disk."""
    digest = hashlib.sha256(
        f"{name} {models} {moments} {code_digest(('bars', 'models', 'scoring'))}".encode()
    )
    for part in (data.features, data.target, data.rows, asked.features[asked.rows], asked.rows):
        digest.update(np.ascontiguousarray(part).tobytes())
    place = KEPT / f"{digest.hexdigest()}.npy"
    if place.is_file():
        known: FloatArray = np.load(place)
        return known
    forecaster = CATALOG[name].new_forecaster()
    with by_moments(len(data.bars), data.rows, moments):
        forecaster.fit(data, models)
    with by_moments(len(asked.bars), asked.rows):
        said = forecaster.predict(asked, asked.rows)
    KEPT.mkdir(exist_ok=True)
    np.save(place, said)
    return said


# Scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Of one candidate on one month; what several seeds gave."""

    candidate: str
    month: str
    horizon_bars: int
    r2: dict[str, list[float]]
    """By member and for the ensemble, a figure a seed; at closes."""
    losses: dict[str, FloatArray]
    """Squared errors at closes, the mean over the seeds."""
    inside: list[list[float]]
    """R2 of the ensemble at each moment, a list a seed."""
    inside_losses: FloatArray
    """Its squared error a bar, the mean over moments and seeds; NaN where one is unknown."""

    def inside_t(self, base: Scored) -> float:
        """Diebold-Mariano t beside another at the five moments together; 2 bars overlap."""
        known = np.isfinite(self.inside_losses) & np.isfinite(base.inside_losses)
        lost, other = self.inside_losses[known], base.inside_losses[known]
        return diebold_mariano(np.sqrt(lost), np.sqrt(other), horizon_bars=self.horizon_bars + 1).t

    def beside(self, base: Scored) -> dict[str, dict[str, float]]:
        """By name, the gain in R2 over another, and its Diebold-Mariano t."""
        return {
            name: {
                "r2": float(np.mean(self.r2[name])),
                "gain": float(np.mean(self.r2[name]) - np.mean(base.r2[name])),
                "t": diebold_mariano(
                    np.sqrt(self.losses[name]),
                    np.sqrt(base.losses[name]),
                    horizon_bars=self.horizon_bars,
                ).t,
            }
            for name in self.r2
        }


def scored(given: Month, candidate: Candidate, settings: Settings, seeds: Sequence[int]) -> Scored:
    """Train and score a candidate."""
    models = model_settings(settings)
    outcome, inside = given.closes(models.horizon_bars), given.outcomes(models.horizon_bars)
    r2: dict[str, list[float]] = {}
    losses: dict[str, list[FloatArray]] = {}
    minutes, lost = [], []
    for seed in seeds:
        found = forecasts(given, candidate, replace(models, seed=seed))
        for name, said in found.items():
            known = np.isfinite(said[LAST]) & np.isfinite(outcome)
            worth = skill(said[LAST, known], outcome[known], horizon_bars=models.horizon_bars)
            r2.setdefault(name, []).append(worth.mse_skill)
            losses.setdefault(name, []).append(np.square(outcome[known] - said[LAST, known]))
        said = found[ENSEMBLE]
        lost.append(np.square(inside - said).mean(axis=0))
        known = np.isfinite(said) & np.isfinite(inside)
        minutes.append(
            [
                skill(said[k, known[k]], inside[k, known[k]]).mse_skill
                if known[k].any()
                else np.nan
                for k in range(PARTS)
            ]
        )
    return Scored(
        candidate=candidate.name,
        month=given.name,
        horizon_bars=models.horizon_bars,
        r2=r2,
        losses={name: np.mean(each, axis=0) for name, each in losses.items()},
        inside=minutes,
        inside_losses=np.mean(lost, axis=0),
    )


def gains(what: str, base: Scored, other: Scored) -> dict[str, Any]:
    """A row of the results."""
    console.print(f"{what}, {other.month}, {other.horizon_bars} bars: {other.candidate}")
    return {
        "month": other.month,
        "horizon_bars": other.horizon_bars,
        "candidate": other.candidate,
        "base_r2": {name: float(np.mean(each)) for name, each in base.r2.items()},
        "seeds": {"base": base.r2[ENSEMBLE], other.candidate: other.r2[ENSEMBLE]},
        "gains": other.beside(base),
    }


def gains_table(title: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    """The ensemble, and each member's gain."""
    shown = Table(title=f"{title}: R2 in percent, at closes", title_justify="left")
    for name in ("month", "bars ahead", "candidate", "without", "with", "gain", "t"):
        shown.add_column(name)
    members = [name for name in CATALOG if name != KALMAN]
    for name in members:
        shown.add_column(f"{name}: gain")
    for row in rows:
        one = row["gains"][ENSEMBLE]
        shown.add_row(
            row["month"],
            str(row["horizon_bars"]),
            row["candidate"],
            f"{100 * row['base_r2'][ENSEMBLE]:+.3f}",
            f"{100 * one['r2']:+.3f}",
            f"{100 * one['gain']:+.3f}",
            f"{one['t']:+.1f}",
            *(f"{100 * row['gains'][name]['gain']:+.3f}" for name in members),
        )
    return shown


def minutes_table(rows: Sequence[tuple[Scored, Scored]]) -> Table:
    """The ensemble's R2 by the fifth of the bar, beside what is learned from closes."""
    shown = Table(title="Inside bars: the ensemble's R2 in percent", title_justify="left")
    for name in ("month", "learned from", *(f"{k + 1}/{PARTS}" for k in range(PARTS))):
        shown.add_column(name)
    shown.add_column("mean")
    shown.add_column("deviation")
    shown.add_column("t")
    for row, base in rows:
        r2 = np.mean(row.inside, axis=0)
        cells = [f"{100 * each:+.3f}" for each in (*r2, r2.mean(), r2.std())]
        t = "" if row.candidate == base.candidate else f"{row.inside_t(base):+.1f}"
        shown.add_row(row.month, row.candidate, *cells, t)
    return shown


# What is measured

BASE: Final = Candidate(name="as it is")
EVERY: Final = tuple(range(PARTS))
MOMENTS: Final = Candidate(name="five moments", moments=EVERY)
ELAPSED: Final = Candidate(name="five moments, share passed", moments=EVERY, columns=elapsed)
VOLUME: Final = Candidate(name="volume", columns=volumes)
BY_VOLATILITY: Final = Candidate(name="over volatility", by_volatility=True)


def made_pair(folder: Path) -> tuple[Path, FloatArray]:
    """A month whose returns follow another symbol's by one bar, and the other's log closes."""
    rng = np.random.default_rng(7)
    lead, own = rng.normal(0, 1e-3, (2, BARS))
    said = np.concatenate([[0.0], lead[:-1]])
    returns = np.sqrt(KNOWN_R2) * said + np.sqrt(1 - KNOWN_R2) * own
    return bars_file(folder, "follower", iter(returns), rng), np.cumsum(lead)


def add(parser: argparse.ArgumentParser) -> None:
    """A second month, and which seeds."""
    second(parser)
    parser.add_argument("--seeds", type=int, nargs="*", default=[7], help="MODEL_SEED of each run")


def main() -> None:
    chosen, given = options(__doc__, add=add)
    seeds = given.seeds
    settings = default_settings()
    months = [month(file, settings=settings) for file in (chosen.data, given.second)]
    result: dict[str, Any] = {"seeds": seeds}
    bases = [scored(each, BASE, settings, seeds) for each in months]

    divided = [
        gains("volatility", base, scored(each, BY_VOLATILITY, settings, seeds))
        for each, base in zip(months, bases, strict=True)
    ]
    show(gains_table("Returns over the volatility forecast", divided))
    save(chosen, result := result | {"by_volatility": divided})

    inside = [
        (scored(each, candidate, settings, seeds), base)
        for each, base in zip(months, bases, strict=True)
        for candidate in (BASE, MOMENTS, ELAPSED)
    ]
    show(minutes_table(inside))
    found = [
        {
            "month": each.month,
            "learned_from": each.candidate,
            "r2": each.inside,
            "t": each.inside_t(base),
        }
        for each, base in inside
    ]
    save(chosen, result := result | {"inside": found})

    leaders = []
    for each, base, other in zip(months, bases, reversed(months), strict=True):
        foreign = Candidate(name="a foreign leader", columns=leader(other.bars.log_close))
        leaders.append(gains("leader", base, scored(each, foreign, settings, seeds)))
    with tempfile.TemporaryDirectory() as folder:
        file, log_close = made_pair(Path(folder))
        follower = month(file, settings=settings)
    base = scored(follower, BASE, settings, seeds)
    known = Candidate(name="its leader", columns=leader(log_close))
    leaders.append(gains("leader", base, scored(follower, known, settings, seeds)))
    show(gains_table("Leaders", leaders))
    save(chosen, result := result | {"leaders": leaders})

    volume = []
    for horizon in VOLUME_HORIZONS[:1] if chosen.quick else VOLUME_HORIZONS:
        ahead = default_settings(horizon_bars=horizon)
        base = bases[0] if horizon == 1 else scored(months[0], BASE, ahead, seeds)
        volume.append(gains("volume", base, scored(months[0], VOLUME, ahead, seeds)))
    show(gains_table("Volume", volume))
    save(chosen, result | {"volume": volume})


if __name__ == "__main__":
    main()
