"""The baseline: scikit-learn, LightGBM and torch with their usual settings, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from stream_app.models.base import TrainingData

Fitted = Callable[[NDArray[np.int64]], NDArray[np.float64]]
"""Answers, as log returns, at these bars."""

LAYERS: Final = (32, 16)
STEPS: Final = 30
BATCH: Final = 64
EPOCHS: Final = 10


class PlainLSTM(nn.Module):
    """Batch-first LSTM layers under a linear head."""

    def __init__(self, features: int, layers: tuple[int, ...]) -> None:
        super().__init__()
        sizes = (features, *layers)
        self.layers = nn.ModuleList(
            nn.LSTM(below, units, batch_first=True)
            for below, units in zip(sizes, layers, strict=False)
        )
        self.head = nn.Linear(layers[-1], 1)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x, _ = layer(x)
        out: Tensor = self.head(x[:, -1])
        return out


def forest(
    data: TrainingData, rows: NDArray[np.int64], seed: int, *, kind: type[Any] | None = None
) -> Fitted:
    """100 trees of any depth, all features at each split; by scikit-learn or a `kind` like its."""
    from sklearn.ensemble import RandomForestRegressor

    model = (kind or RandomForestRegressor)(n_estimators=100, random_state=seed)
    model.fit(data.features[rows], data.target[rows])
    return lambda wanted: np.asarray(model.predict(data.features[wanted]), dtype=np.float64)


def boosting(data: TrainingData, rows: NDArray[np.int64], seed: int) -> Fitted:
    """200 rounds of 31 leaves at a rate of 0.1."""
    from lightgbm import LGBMRegressor

    model = LGBMRegressor(n_estimators=200, random_state=seed, verbosity=-1)
    model.fit(data.features[rows], data.target[rows])
    booster: Any = model.booster_
    return lambda wanted: np.asarray(booster.predict(data.features[wanted]), dtype=np.float64)


def lstm(
    data: TrainingData,
    rows: NDArray[np.int64],
    seed: int,
    *,
    layers: tuple[int, ...] = LAYERS,
    steps: int = STEPS,
    batch: int = BATCH,
    epochs: int = EPOCHS,
) -> Fitted:
    """Batch first, Adam, mean squared error, a DataLoader, standardised inputs and target."""
    torch.manual_seed(seed)
    mean = data.features[rows].mean(axis=0)
    deviation = data.features[rows].std(axis=0) + 1e-8
    unit = float(data.target[rows].std())
    features = torch.from_numpy((data.features - mean) / deviation)

    def sequences(wanted: NDArray[np.int64]) -> Tensor:
        index = wanted[:, None] + np.arange(1 - steps, 1)[None, :]
        return features[torch.from_numpy(index)]

    usable = rows[rows >= rows[0] + steps]
    loader = DataLoader(
        TensorDataset(sequences(usable), torch.from_numpy(data.target[usable] / unit)),
        batch_size=batch,
        shuffle=True,
    )
    network = PlainLSTM(features.shape[1], layers)
    optimiser = torch.optim.Adam(network.parameters())
    loss_of = nn.MSELoss()
    for _ in range(epochs):
        for x, y in loader:
            optimiser.zero_grad()
            loss_of(network(x)[:, 0], y).backward()
            optimiser.step()

    def answer(wanted: NDArray[np.int64]) -> NDArray[np.float64]:
        with torch.no_grad():
            answers: NDArray[np.float64] = network(sequences(wanted))[:, 0].double().numpy() * unit
            return answers

    return answer


PLAIN: Final[dict[str, Callable[[TrainingData, NDArray[np.int64], int], Fitted]]] = {
    "random_forest": forest,
    "lightgbm": boosting,
    "lstm": lstm,
}
