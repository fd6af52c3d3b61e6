"""A fifth model: ridge regression, in one file that follows the contract of the ensemble's members.

What it shows
    `stream_app/models/base.py` is the contract. A forecaster learns in a process of the pool and
    exports bytes. The worker loads a member from these bytes, and the member predicts. Both give
    log returns over the horizon; 0 means the last price. Artifacts are data: JSON or ONNX, checked
    before use, never a pickle.
How to run it
    python examples/fifth_model.py prices.csv.gz
    python examples/fifth_model.py synthetic
    It learns from the first 80 % of the window and prints its error on the rest, next to the
    last price's. Synthetic prices are a random walk, so there is nothing to learn from them.
What to change
    `fit`, and what `answers` does with what it learned.
    To let it serve, copy all above `main` to `stream_app/models/ridge.py`, and add this row to
    `CATALOG` in `stream_app/models/catalog.py`. All weights sum to 1, so take its from other rows:

    ModelSpec(
        name="ridge",
        title="Ridge Regression",
        weight=0.05,
        training_rank=4,
        suffix="json",
        forecaster="stream_app.models.ridge:RidgeForecaster",
        loader="stream_app.models.ridge:load_ridge",
        trainers=("numpy",),
        libraries=("numpy",),
    ),

    `python -m pytest tests/contract` then runs the same checks on it as on the others.
"""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from stream_app.bars.features import FEATURES
from stream_app.errors import ArtifactError
from stream_app.models.base import Member, ModelSettings, Rows, TrainingData
from stream_app.models.onnx_artifact import facts_of
from stream_app.models.training_rows import check_rows

PENALTY: Final = 0.1
"""On the squares of the weights of scaled features, for each row learned from."""
LARGEST: Final = 5.0
"""A feature counts as at most this many times its usual size: a line has no bounds of its own."""


class RidgeMember:
    """A weighted sum of the features."""

    needs_features: ClassVar[bool] = True

    def __init__(self, scale: NDArray[np.float64], weights: NDArray[np.float64]) -> None:
        self.scale, self.weights = scale, weights

    def answers(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Log returns over the horizon, shape (B,), of features of shape (B, FEATURES)."""
        return scaled(features, self.scale) @ self.weights

    def predict(self, rows: Rows) -> NDArray[np.float64]:
        """As `Member` says."""
        if rows.features is None:
            raise ValueError("ridge needs features")
        return self.answers(rows.features)


class RidgeForecaster:
    """Finds the weights; milliseconds for a month of five-minute bars."""

    def fit(self, data: TrainingData, settings: ModelSettings) -> None:
        """As `Forecaster` says. Without a constant: no movement foretells no movement."""
        check_rows(data)
        features, target = data.features[data.rows], data.target[data.rows].astype(np.float64)
        scale = np.sqrt(np.mean(features.astype(np.float64) ** 2, axis=0)) + 1e-12
        X = scaled(features, scale)
        penalty = PENALTY * len(X) * np.eye(FEATURES)
        self.facts = facts_of(settings)
        weights = np.linalg.solve(X.T @ X + penalty, X.T @ target)
        self.member = RidgeMember(scale, weights.astype(np.float64))

    def predict(self, data: TrainingData, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """As `Forecaster` says."""
        return self.member.answers(data.features[rows])

    def export(self) -> bytes:
        """What was learned, and the settings that give it its meaning, as JSON."""
        learned = {"scale": self.member.scale.tolist(), "weights": self.member.weights.tolist()}
        return orjson.dumps({"model": "ridge", "facts": self.facts, **learned})


def scaled(features: NDArray[np.float32], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """The features in units of their usual size."""
    return np.clip(features / scale, -LARGEST, LARGEST)


def load_ridge(artifact: bytes, settings: ModelSettings) -> Member:
    """As `MemberLoader` says: refuse what `export` would not have written for these settings."""
    try:
        read = orjson.loads(artifact)
        known = read["model"] == "ridge" and read["facts"] == facts_of(settings)
        scale, weights = (np.array(read[name], dtype=np.float64) for name in ("scale", "weights"))
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"the ridge artifact is not what it must be: {error!r}") from None
    if not known:
        raise ArtifactError("the ridge artifact is of another model or other settings; retrain")
    usable = np.isfinite(scale).all() and np.isfinite(weights).all() and (scale > 0).all()
    if not (scale.shape == weights.shape == (FEATURES,) and usable):
        raise ArtifactError(f"the ridge artifact must hold {FEATURES} finite scales and weights")
    return RidgeMember(scale, weights)


def main(source: str) -> None:
    """Train on the first bars of a file, or of synthetic prices, and forecast the last ones."""
    import itertools
    from pathlib import Path

    from rich.console import Console

    from stream_app.feed.files import read_ticks
    from stream_app.feed.synthetic import synthetic_ticks
    from stream_app.offline.window import counting, window_after
    from stream_app.settings import load_settings
    from stream_app.training.holdout import hold_out, score
    from stream_app.training.job import prepare, serve
    from stream_app.training.settings import model_settings

    settings = load_settings()
    models = model_settings(settings)
    if source == "synthetic":
        made = synthetic_ticks(
            symbols=["X"], seed=7, start_ms=1_640_995_200_000, interval_ms=models.bar_ms / 4
        )
        ticks, symbol = list(itertools.islice(made, 8_000)), "X"
    else:
        read = read_ticks(Path(source))
        ticks, symbol = list(read.ticks), read.symbols[0]
    with counting(Console(stderr=True)) as progress:
        bars = window_after(ticks, len(ticks), symbol, settings, progress)
    cut = hold_out(bars, models)
    forecaster = RidgeForecaster()
    forecaster.fit(prepare(cut.seen, models), models)
    member = load_ridge(forecaster.export(), models)

    error = score(cut.data, cut.rows, serve(member, cut.data, cut.rows, models)).mae
    last = score(cut.data, cut.rows, np.zeros(len(cut.rows))).mae
    print(f"{symbol}: {len(cut.rows)} of {len(bars)} bars forecast; mean absolute error:")
    print(f"ridge {error:.6g}, last price {last:.6g} ({100 * (1 - error / last):+.2f} % skill)")


if __name__ == "__main__":
    import argparse
    import sys

    from stream_app.errors import StreamAppError

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", help="a file of prices, or `synthetic`")
    try:
        main(parser.parse_args().source)
    except StreamAppError as problem:
        sys.exit(str(problem))
