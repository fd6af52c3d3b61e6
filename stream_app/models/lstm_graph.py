"""What the LSTM's artifact must have: name, inputs, outputs, and the settings it is valid for."""

from __future__ import annotations

from stream_app.bars.features import FEATURES
from stream_app.models.base import ModelSettings
from stream_app.models.catalog import LSTM
from stream_app.models.onnx_artifact import GraphSpec, facts_of


def lstm_spec(settings: ModelSettings) -> GraphSpec:
    """The graph: x [T, B, FEATURES] and states [1, B, units] to y [B, 1] and the new states."""
    states = {
        f"{part}{i}": (1, None, units)
        for i, units in enumerate(settings.lstm_layers)
        for part in ("h", "c")
    }
    return GraphSpec(
        model=LSTM,
        inputs={"x": (None, None, FEATURES), **states},
        outputs={"y": (None, 1), **{f"{name}_next": shape for name, shape in states.items()}},
        facts={**facts_of(settings), "sequence_length": str(settings.sequence_length)},
    )
