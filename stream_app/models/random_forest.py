"""The random forest: trained by scikit-learn, served by a compiled loop."""

# The worker imports this module, so functions that train import their libraries themselves.

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.bars.features import FEATURES
from stream_app.models.base import Member, ModelSettings, TrainingData
from stream_app.models.catalog import RANDOM_FOREST
from stream_app.models.line import Line, learned_beyond
from stream_app.models.onnx_artifact import OPSET
from stream_app.models.training_rows import check_rows, leaf_rows
from stream_app.models.tree_graph import export_trees, load_trees, tree_spec

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestRegressor

TREES: Final = 100
DEPTH: Final = 12
FEATURE_SHARE: Final = 1 / 3
MOST_OF_ROWS: Final = 1 / 8
"""The largest share of few rows that a leaf must hold, one bar ahead (`leaf_rows`). A leaf's rows
are counted once however often the bootstrap drew them, and it draws two fifths of all."""
SAMPLE_SHARE: Final = 1 / 2
"""Size of each tree's bootstrap: half the training time at the same holdout error."""


class RandomForestForecaster:
    """Averages deep trees, each grown beyond the line from a bootstrap of the rows."""

    def __init__(self) -> None:
        self._fitted: tuple[RandomForestRegressor, float, Line, ModelSettings] | None = None

    def fit(self, data: TrainingData, settings: ModelSettings) -> None:
        """Grow the forest. Blocks for 1 s on a month of bars, 0.1 s with scikit-learn-intelex.

        Raises:
            TrainingError: there are too few rows, a value is not finite, or the price does not
                move.
        """
        check_rows(data)
        line, y, unit = learned_beyond(data, settings.horizon_bars)
        forest = forest_class()(
            n_estimators=TREES,
            max_depth=DEPTH,
            max_features=FEATURE_SHARE,
            min_samples_leaf=leaf_rows(len(y), settings.horizon_bars, MOST_OF_ROWS),
            max_samples=SAMPLE_SHARE,
            n_jobs=1,
            random_state=settings.seed,
        )
        forest.fit(data.features[data.rows], y)
        self._fitted = forest, unit, line, settings

    def predict(self, data: TrainingData, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Forecasts by scikit-learn itself: log returns, shape (len(rows),)."""
        forest, unit, line, _ = self._trained()
        seen = data.features[rows]
        return np.asarray(forest.predict(seen) * unit, dtype=np.float64) + line(seen)

    def export(self) -> bytes:
        """The forest as ONNX."""
        from skl2onnx import convert_sklearn
        from skl2onnx.common.data_types import FloatTensorType
        from sklearn.ensemble import RandomForestRegressor

        forest, unit, line, settings = self._trained()
        # The converter only knows scikit-learn's own class. The trees are the same in both.
        plain = RandomForestRegressor()
        plain.estimators_ = forest.estimators_
        plain.n_features_in_, plain.n_outputs_ = FEATURES, 1
        graph = convert_sklearn(
            plain,
            initial_types=[("x", FloatTensorType([None, FEATURES]))],
            target_opset={"": OPSET, "ai.onnx.ml": 3},
        )
        return export_trees(graph, unit, line, tree_spec(RANDOM_FOREST, settings))

    def _trained(self) -> tuple[RandomForestRegressor, float, Line, ModelSettings]:
        if self._fitted is None:
            raise RuntimeError("fit before predict and export")
        return self._fitted


def forest_class() -> type[RandomForestRegressor]:
    """scikit-learn-intelex's forest if it is installed, else scikit-learn's own."""
    try:
        from sklearnex import ensemble
    except ImportError:
        from sklearn import ensemble
    found: type[RandomForestRegressor] = ensemble.RandomForestRegressor
    return found


def load_random_forest(artifact: bytes, settings: ModelSettings) -> Member:
    """Load the Member.

    Raises:
        ArtifactError: the bytes are not this model's artifact, or one for other settings.
    """
    return load_trees(artifact, tree_spec(RANDOM_FOREST, settings))
