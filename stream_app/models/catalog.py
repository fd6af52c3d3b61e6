"""The members of the ensemble: one table, which everything else reads.

To add a member, write a module with its `Forecaster` and its loader, and add a row here.

The settings read this table, so importing it must stay cheap: a row names its forecaster and its
loader as text, and Python imports them when they are first needed. Forecasters import their
trainers (torch, scikit-learn, LightGBM) later still, when they train.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from stream_app.models.base import Forecaster, Member, MemberLoader, ModelSettings

KALMAN: Final = "kalman"
"""Serves before the first training, and whenever no other member can."""
RANDOM_FOREST: Final = "random_forest"
LIGHTGBM: Final = "lightgbm"
LSTM: Final = "lstm"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """One member of the ensemble.

    >>> CATALOG["random_forest"].title
    'Random Forest'
    >>> CATALOG["random_forest"].file_name
    'random_forest.onnx'
    """

    name: str
    """In messages, settings, file names and metrics."""
    title: str
    """In log lines for people."""
    weight: float
    """In the ensemble, unless `ENSEMBLE_WEIGHTS` says otherwise. All rows sum to 1."""
    training_rank: int
    """The member with rank 0 takes longest to train, so its job starts first."""
    suffix: str
    """Ending of the artifact's file name."""
    forecaster: str
    """`module:class` of the `Forecaster`."""
    loader: str
    """`module:function` of the `MemberLoader`."""
    trainers: tuple[str, ...]
    """Modules that training imports. A pool process imports them before its first job."""
    libraries: tuple[str, ...]
    """Distributions whose versions decide what a training gives."""
    extras: tuple[str, ...] = ()
    """More of them, which train in another one's place where they are installed."""

    @property
    def file_name(self) -> str:
        """Name of the artifact's file in a version's folder."""
        return f"{self.name}.{self.suffix}"

    def new_forecaster(self) -> Forecaster:
        """A forecaster that has learned nothing yet. The first call imports its module."""
        made: Forecaster = pkgutil.resolve_name(self.forecaster)()
        return made

    def load(self, artifact: bytes, settings: ModelSettings) -> Member:
        """Load a member from its artifact, as `MemberLoader` says.

        Where the model could not be trained, the artifact is that of a `LastPriceMember`.

        Blocks for milliseconds; the first call imports the member's module (`import_loaders`).

        Raises:
            ArtifactError: the bytes are no such artifact, or one for other settings.
        """
        from stream_app.models.last_price import is_last_price, load_last_price

        if is_last_price(artifact):
            return load_last_price(self.name, artifact, settings)
        loader: MemberLoader = pkgutil.resolve_name(self.loader)
        return loader(artifact, settings)


CATALOG: Final[Mapping[str, ModelSpec]] = {
    spec.name: spec
    for spec in (
        ModelSpec(
            name=KALMAN,
            title="Kalman Filter",
            weight=0.10,
            training_rank=3,
            suffix="json",
            forecaster="stream_app.models.kalman:KalmanForecaster",
            loader="stream_app.models.kalman:load_kalman",
            trainers=("filterpy.kalman", "scipy.optimize"),
            libraries=("filterpy", "scipy"),
        ),
        ModelSpec(
            name=RANDOM_FOREST,
            title="Random Forest",
            weight=0.30,
            training_rank=1,
            suffix="onnx",
            forecaster="stream_app.models.random_forest:RandomForestForecaster",
            loader="stream_app.models.random_forest:load_random_forest",
            trainers=("skl2onnx",),
            libraries=("scikit-learn", "skl2onnx"),
            extras=("scikit-learn-intelex",),
        ),
        ModelSpec(
            name=LIGHTGBM,
            title="LightGBM",
            weight=0.35,
            training_rank=2,
            suffix="onnx",
            forecaster="stream_app.models.gradient_boosting:GradientBoostingForecaster",
            loader="stream_app.models.gradient_boosting:load_lightgbm",
            trainers=("lightgbm", "onnxmltools"),
            libraries=("lightgbm", "onnxmltools"),
        ),
        ModelSpec(
            name=LSTM,
            title="LSTM",
            weight=0.25,
            training_rank=0,
            suffix="onnx",
            forecaster="stream_app.models.lstm:LSTMForecaster",
            loader="stream_app.models.lstm:load_lstm",
            trainers=("torch.onnx",),
            libraries=("torch",),
        ),
    )
}
"""By name, in the order in which messages, tables and logs list the members."""


def import_loaders() -> None:
    """Import every member's module now, so that the first `load` does not wait for it.

    Blocks for a second, or for several where the compiled loops are not cached yet.
    """
    for spec in CATALOG.values():
        pkgutil.resolve_name(spec.loader)
