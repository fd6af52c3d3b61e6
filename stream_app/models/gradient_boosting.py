"""Gradient boosted trees: trained by LightGBM, served by a compiled walk."""

# The worker imports this module: what only training needs is imported where it trains.

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.bars.features import FEATURES
from stream_app.models.base import Member, ModelSettings, TrainingData
from stream_app.models.catalog import LIGHTGBM
from stream_app.models.onnx_artifact import OPSET
from stream_app.models.training_rows import check_rows, scaled_target
from stream_app.models.tree_graph import export_trees, load_trees, tree_spec

if TYPE_CHECKING:
    import lightgbm

ROUNDS: Final = 50
PARAMETERS: Final[dict[str, Any]] = {
    # Huber: a return's tails are heavy, and least squares learns the few largest by heart.
    "objective": "huber",
    "alpha": 1.0,
    # A return is nearly unpredictable. With least squares, 200 rounds at a rate of 0.05, 20 a
    # leaf and no penalty the holdout error on a month of prices was 2% above the last price's; so
    # it is 0.1 to 0.3% below. 200 rounds at 0.01 gave no less, for four times the trees.
    "learning_rate": 0.04,
    "num_leaves": 31,
    "lambda_l2": 50.0,
    "feature_fraction": 0.33,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
ROWS_PER_LEAF: Final = 1 / 40
"""The least share of the rows that a leaf may hold."""


class GradientBoostingForecaster:
    """Adds up shallow trees, each fitted to what the ones before it left."""

    def __init__(self) -> None:
        self._fitted: tuple[lightgbm.Booster, float, ModelSettings] | None = None

    def fit(self, data: TrainingData, settings: ModelSettings) -> None:
        """Boost; 0.1 s for a month of five-minute bars.

        Raises:
            TrainingError: too few rows, values that are not finite, or prices that do not move.
        """
        import lightgbm

        check_rows(data)
        y, unit = scaled_target(data)
        parameters = {
            **PARAMETERS,
            "seed": settings.seed,
            "min_data_in_leaf": max(1, int(len(y) * ROWS_PER_LEAF)),
        }
        booster = lightgbm.train(
            parameters, lightgbm.Dataset(data.features[data.rows], y), num_boost_round=ROUNDS
        )
        self._fitted = booster, unit, settings

    def predict(self, data: TrainingData, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """LightGBM's own answers, log returns, shape (len(rows),)."""
        booster, unit, _ = self._trained()
        return np.asarray(booster.predict(data.features[rows]), dtype=np.float64) * unit

    def export(self) -> bytes:
        """The booster as ONNX."""
        import lightgbm
        from onnxmltools import convert_lightgbm
        from onnxmltools.convert.common.data_types import FloatTensorType

        booster, unit, settings = self._trained()
        graph = convert_lightgbm(
            lightgbm.Booster(model_str=float32_thresholds(booster.model_to_string())),
            initial_types=[("x", FloatTensorType([None, FEATURES]))],
            target_opset=OPSET,
        )
        return export_trees(graph, unit, tree_spec(LIGHTGBM, settings))

    def _trained(self) -> tuple[lightgbm.Booster, float, ModelSettings]:
        if self._fitted is None:
            raise RuntimeError("fit before predict and export")
        return self._fitted


def float32_thresholds(model: str) -> str:
    """LightGBM's model text with every threshold rounded down to a float32.

    LightGBM compares in float64, ONNX in float32. Rounded to the nearest float32, as the
    converter does, a threshold may move up onto the next feature value and send it left instead
    of right. Rounded down, x <= threshold stays the same for every float32 x.
    """

    def rounded(line: re.Match[str]) -> str:
        exact = np.array(line[1].split(), dtype=np.float64)
        nearest = exact.astype(np.float32)
        down = np.where(nearest > exact, np.nextafter(nearest, np.float32(-np.inf)), nearest)
        return "threshold=" + " ".join(repr(value) for value in down.astype(float).tolist())

    # Each tree's length in bytes no longer holds; without the line LightGBM reads one by one.
    unsized = re.sub(r"(?m)^tree_sizes=.*\n", "", model)
    return re.sub(r"(?m)^threshold=(.*)$", rounded, unsized)


def load_lightgbm(artifact: bytes, settings: ModelSettings) -> Member:
    """Make the Member.

    Raises:
        ArtifactError: not this model's artifact, or one for other settings.
    """
    return load_trees(artifact, tree_spec(LIGHTGBM, settings))
