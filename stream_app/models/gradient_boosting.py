"""Gradient boosted trees: trained by LightGBM, served by a compiled loop."""

# The worker imports this module, so functions that train import their libraries themselves.

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.bars.features import FEATURES
from stream_app.models.base import Member, ModelSettings, TrainingData
from stream_app.models.catalog import LIGHTGBM
from stream_app.models.line import Line, learned_beyond
from stream_app.models.onnx_artifact import OPSET
from stream_app.models.training_rows import check_rows, leaf_rows
from stream_app.models.tree_graph import export_trees, load_trees, tree_spec

if TYPE_CHECKING:
    import lightgbm

ROUNDS: Final = 50
PARAMETERS: Final[dict[str, Any]] = {
    # Returns have heavy tails, and least squares would overfit the few largest.
    "objective": "huber",
    "alpha": 1.0,
    "learning_rate": 0.04,
    # The fewest with which one feature can say when another one counts. Each tree more of freedom
    # is learned from noise: what is known is 0 to 0.3% of the variance.
    "num_leaves": 3,
    "feature_fraction": 0.33,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
PRIOR_ROWS: Final = 50.0
"""How many rows that say 0 are added to each leaf (LightGBM's `lambda_l2`), one bar ahead."""
MOST_OF_ROWS: Final = 1 / 4
"""The largest share of few rows that a leaf must hold, one bar ahead (`leaf_rows`)."""


class GradientBoostingForecaster:
    """Adds up shallow trees, each fitted to the error of the line and of those before it."""

    def __init__(self) -> None:
        self._fitted: tuple[lightgbm.Booster, float, Line, ModelSettings] | None = None

    def fit(self, data: TrainingData, settings: ModelSettings) -> None:
        """Boost the trees. Blocks for 0.1 s on a month of five-minute bars.

        Raises:
            TrainingError: there are too few rows, a value is not finite, or the price does not
                move.
        """
        import lightgbm

        check_rows(data)
        line, y, unit = learned_beyond(data, settings.horizon_bars)
        parameters = {
            **PARAMETERS,
            "seed": settings.seed,
            **outcomes_per_leaf(len(y), settings.horizon_bars),
        }
        booster = lightgbm.train(
            parameters, lightgbm.Dataset(data.features[data.rows], y), num_boost_round=ROUNDS
        )
        self._fitted = booster, unit, line, settings

    def predict(self, data: TrainingData, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Forecasts by LightGBM itself: log returns, shape (len(rows),)."""
        booster, unit, line, _ = self._trained()
        seen = data.features[rows]
        return np.asarray(booster.predict(seen), dtype=np.float64) * unit + line(seen)

    def export(self) -> bytes:
        """The booster as ONNX."""
        import lightgbm
        from onnxmltools import convert_lightgbm
        from onnxmltools.convert.common.data_types import FloatTensorType

        booster, unit, line, settings = self._trained()
        graph = convert_lightgbm(
            lightgbm.Booster(model_str=float32_thresholds(booster.model_to_string())),
            initial_types=[("x", FloatTensorType([None, FEATURES]))],
            target_opset=OPSET,
        )
        return export_trees(graph, unit, line, tree_spec(LIGHTGBM, settings))

    def _trained(self) -> tuple[lightgbm.Booster, float, Line, ModelSettings]:
        if self._fitted is None:
            raise RuntimeError("fit before predict and export")
        return self._fitted


def outcomes_per_leaf(rows: int, horizon_bars: int) -> dict[str, float]:
    """LightGBM's parameters that count rows. At h bars, h rows count as one.

    >>> outcomes_per_leaf(8000, 1)
    {'lambda_l2': 50.0, 'min_data_in_leaf': 333}
    >>> outcomes_per_leaf(8000, 12)
    {'lambda_l2': 600.0, 'min_data_in_leaf': 4000}
    """
    return {
        "lambda_l2": PRIOR_ROWS * horizon_bars,
        "min_data_in_leaf": leaf_rows(rows, horizon_bars, MOST_OF_ROWS),
    }


def float32_thresholds(model: str) -> str:
    """LightGBM's model text with every threshold rounded down to a float32.

    LightGBM compares in float64, ONNX in float32. The converter rounds to the nearest float32,
    which can move a threshold up onto the next feature value and send it left instead of right.
    Rounding down keeps x <= threshold the same for every float32 x.

    >>> float32_thresholds("threshold=0.1 0.25")
    'threshold=0.09999999403953552 0.25'
    """

    def rounded(line: re.Match[str]) -> str:
        exact = np.array(line[1].split(), dtype=np.float64)
        nearest = exact.astype(np.float32)
        down = np.where(nearest > exact, np.nextafter(nearest, np.float32(-np.inf)), nearest)
        return "threshold=" + " ".join(repr(value) for value in down.astype(float).tolist())

    # The trees' lengths in bytes are no longer right. Without them LightGBM reads tree by tree.
    unsized = re.sub(r"(?m)^tree_sizes=.*\n", "", model)
    return re.sub(r"(?m)^threshold=(.*)$", rounded, unsized)


def load_lightgbm(artifact: bytes, settings: ModelSettings) -> Member:
    """Load the Member.

    Raises:
        ArtifactError: the bytes are not this model's artifact, or one for other settings.
    """
    return load_trees(artifact, tree_spec(LIGHTGBM, settings))
