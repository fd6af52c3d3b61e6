"""The example of a fifth model runs, and becomes a member by what its own text tells to do."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stream_app.bars.features import FEATURES
from stream_app.errors import ArtifactError
from tests.contract.worlds import BAR_MS, SETTINGS, START_MS, mean_reverting, walk_data

pytestmark = pytest.mark.timeout(900)  # no test may depend on how fast the machine is

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "fifth_model.py"
LAYERS = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def run(
    arguments: Sequence[str], folder: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """In a folder, whose own `stream_app` comes first where it has one."""
    machine = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=machine | variables,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    """Bars of which each return takes back six tenths of the one before."""
    closes = np.exp(mean_reverting(1000).log_close)
    lines = [f"{START_MS + BAR_MS * number},{price}" for number, price in enumerate(closes)]
    path = tmp_path / "prices.csv"
    path.write_text("\n".join(["time,price", *lines]))
    return path


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the code to which the model is added as its docstring says."""
    folder = tmp_path / "checkout"
    for name in ("stream_app", "tests"):
        shutil.copytree(ROOT / name, folder / name)  # with the loops that are compiled already
    shutil.copy(ROOT / "pyproject.toml", folder)

    module, found, _ = EXAMPLE.read_text().partition("\ndef main(")
    assert found
    (folder / "stream_app/models/ridge.py").write_text(module)

    row = re.search(r"^    ModelSpec\(\n.*?^    \),\n", module, flags=re.M | re.S)
    assert row
    catalog = folder / "stream_app/models/catalog.py"
    rows, closing = catalog.read_text().split("    )\n}\n")
    assert rows.count("weight=0.35") == 1
    rows = rows.replace("weight=0.35", "weight=0.30")
    catalog.write_text(f"{rows}{row[0]}    )\n}}\n{closing}")
    return folder


def test_it_learns_and_says_how_much_beside_the_last_price(prices: Path, tmp_path: Path) -> None:
    done = run([str(EXAMPLE), str(prices)], tmp_path, BAR_SECONDS="60", HORIZON_BARS="1")
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert re.fullmatch(r"PRICES: \d+ of 99\d bars forecast; mean absolute error:", first)
    said = re.fullmatch(r"ridge ([\d.]+), last price ([\d.]+) \(([+-][\d.]+) % skill\)", second)
    assert said
    error, last, skill = map(float, said.groups())
    # A perfect forecaster of these returns reaches 0.8 of the last price's error.
    assert error < 0.93 * last
    assert skill == pytest.approx(100 * (1 - error / last), abs=0.01)


def test_it_runs_on_synthetic_prices_too(tmp_path: Path) -> None:
    done = run([str(EXAMPLE), "synthetic"], tmp_path)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 2), done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "fifth_model.py: error: the following arguments are required: source"),
        (["no.csv"], 1, "no.csv: no such file"),
    ],
)
def test_a_wrong_argument_is_named(
    tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    done = run([str(EXAMPLE), *arguments], tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.splitlines()[-1].startswith(said)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"model": "lasso"}, "of another model or other settings; retrain"),
        ({"facts": {}}, "of another model or other settings; retrain"),
        ({"weights": [0.1] * (FEATURES - 1)}, f"must hold {FEATURES} finite"),
        ({"weights": ["x"] * FEATURES}, "is not what it must be"),
        ({"weights": [1e999] * FEATURES}, "is not what it must be"),
        ({"scale": [0.0] * FEATURES}, f"must hold {FEATURES} finite"),
        ({"scale": [None] * FEATURES}, f"must hold {FEATURES} finite"),
    ],
)
def test_an_artifact_that_is_not_quite_its_own_is_refused(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, object], reason: str
) -> None:
    monkeypatch.syspath_prepend(EXAMPLE.parent)
    example = importlib.import_module("fifth_model")
    forecaster = example.RidgeForecaster()
    forecaster.fit(walk_data(), SETTINGS)
    artifact = json.loads(forecaster.export())
    example.load_ridge(json.dumps(artifact).encode(), SETTINGS)
    with pytest.raises(ArtifactError, match=reason):
        example.load_ridge(json.dumps(artifact | changed).encode(), SETTINGS)
    with pytest.raises(ArtifactError, match="retrain"):
        example.load_ridge(json.dumps(artifact).encode(), replace(SETTINGS, horizon_bars=2))


def test_as_one_module_and_one_row_it_passes_the_checks_of_every_member(checkout: Path) -> None:
    checks = [f"tests/contract/test_{name}.py" for name in ("forecasters", "members", "artifacts")]
    done = run(["-m", "pytest", *checks, "-k", "ridge", "-p", "no:cacheprovider", "-q"], checkout)
    assert done.returncode == 0, done.stdout
    passed = re.search(r"^(\d+) passed, \d+ deselected", done.stdout, flags=re.M)
    assert passed
    assert int(passed[1]) >= 25
    layers = run(["-c", LAYERS], checkout)
    assert layers.returncode == 0, layers.stdout
    assert "0 broken" in layers.stdout


def test_as_one_module_and_one_row_it_is_trained_and_blended_beside_the_four(
    checkout: Path, prices: Path
) -> None:
    small = {"BAR_SECONDS": "60", "HORIZON_BARS": "1", "LSTM_EPOCHS": "1", "LSTM_LAYERS": "[4]"}
    done = run(["-m", "stream_app", "train", str(prices), "--json"], checkout, **small)
    assert done.returncode == 0, done.stderr
    scores = json.loads(done.stdout)
    assert list(scores["models"]) == ["kalman", "random_forest", "lightgbm", "lstm", "ridge"]
    assert scores["models"]["ridge"]["mae"] < 0.93 * scores["last_price"]["mae"]
