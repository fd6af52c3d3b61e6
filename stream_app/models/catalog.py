"""The members of the ensemble by name, in the order of `settings.MODEL_NAMES`.

The worker imports this for its loaders, so nothing here may import a trainer (torch,
scikit-learn, LightGBM): the forecasters do, when they train.
"""

from __future__ import annotations

from typing import Final

from stream_app.models.base import Forecaster, MemberLoader
from stream_app.models.gradient_boosting import GradientBoostingForecaster, load_lightgbm
from stream_app.models.kalman import KalmanForecaster, load_kalman
from stream_app.models.last_price import or_last_price
from stream_app.models.lstm import LSTMForecaster, load_lstm
from stream_app.models.random_forest import RandomForestForecaster, load_random_forest

FORECASTERS: Final[dict[str, type[Forecaster]]] = {
    forecaster.name: forecaster
    for forecaster in (
        KalmanForecaster,
        RandomForestForecaster,
        GradientBoostingForecaster,
        LSTMForecaster,
    )
}

LOADERS: Final[dict[str, MemberLoader]] = {
    name: or_last_price(name, load)
    for name, load in (
        (KalmanForecaster.name, load_kalman),
        (RandomForestForecaster.name, load_random_forest),
        (GradientBoostingForecaster.name, load_lightgbm),
        (LSTMForecaster.name, load_lstm),
    )
}
