"""What importing the models costs a worker, and that a pool process starts without Kafka."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import stream_app.models
from stream_app.models.catalog import CATALOG


def imported_by(*modules: str) -> set[str]:
    """Top-level packages in a fresh interpreter after importing these."""
    code = (
        "import importlib, sys\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=240
    )
    return set(done.stdout.split())


def test_models_and_training_import_no_stream() -> None:
    models = [
        f"stream_app.models.{module.name}"
        for module in pkgutil.iter_modules(stream_app.models.__path__)
    ]
    assert "stream_app.models.lstm_network" in models
    loaded = imported_by(
        *models,
        "stream_app.training.job",
        "stream_app.training.process",
        "stream_app.training.holdout",
    )
    assert "torch" in loaded
    assert not loaded & {"faust", "aiokafka", "mode"}


def test_loading_artifacts_imports_no_trainer() -> None:
    loaders = [spec.loader.partition(":")[0] for spec in CATALOG.values()]
    loaded = imported_by(*loaders, "stream_app.training.job")
    assert "numba" in loaded
    assert not loaded & {
        "torch",
        "sklearn",
        "lightgbm",
        "skl2onnx",
        "onnxmltools",
        "filterpy",
        "pandas",
        "onnxruntime",
    }


def test_settings_and_catalog_import_no_model() -> None:
    loaded = imported_by("stream_app.settings", "stream_app.models.catalog")
    assert "pydantic" in loaded
    assert not loaded & {"numpy", "numba", "onnx", "torch", "sklearn", "lightgbm", "scipy"}
