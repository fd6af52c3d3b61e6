"""`stream-app backtest`: the object that it prints, the same bytes again, and its mistakes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from plotly.offline import get_plotlyjs

from tests.builders import walk

SETTINGS = {
    "BAR_SECONDS": "60",
    "TRAINING_WINDOW_DAYS": "1",
    "MIN_TRAINING_BARS": "200",
    "LSTM_SEQUENCE_LENGTH": "8",
    "LSTM_LAYERS": "[8,4]",
    "LSTM_EPOCHS": "1",
}
SCORES = {"mae", "mse", "mae_skill", "mse_skill", "bias", "hit_rate", "cw_t"}


def backtest(folder: Path, *arguments: str, data: str = "data") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stream_app", "backtest", *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, **SETTINGS, "DATA_DIR": str(folder / data)},
        check=False,
        timeout=900,
    )


def said(ended: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = orjson.loads(ended.stdout.splitlines()[-1])
    return found


def write(path: Path, symbol: str, seed: int) -> None:
    rows = [
        f"{tick.ts},{tick.price!r},{tick.size}" for tick in walk(1800, symbol=symbol, seed=seed)
    ]
    path.write_text("timestamp,price,size\n" + "\n".join(rows) + "\n")


ARGUMENTS = ("a.csv", "b.csv", "--retrain-every", "4h", "--json")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("backtest")
    write(made / "a.csv", "A", 1)
    write(made / "b.csv", "B", 2)
    return made


@pytest.fixture(scope="module")
def first(folder: Path) -> dict[str, Any]:
    return said(backtest(folder, *ARGUMENTS, "--horizon", "1", "--horizon", "3"))


@pytest.mark.timeout(900)
def test_the_object_has_the_shape_that_its_page_says(first: dict[str, Any]) -> None:
    assert set(first) == {"symbols", "retrains", "promoted", "rejected", "seconds"}
    assert set(first["seconds"]) == {"train", "predict"}
    assert first["promoted"] + first["rejected"] == first["retrains"] == 4
    assert set(first["symbols"]) == {"A", "B"}
    for symbol in first["symbols"].values():
        assert set(symbol) == {"horizons"}
        assert set(symbol["horizons"]) == {"1", "3"}
        for horizon in symbol["horizons"].values():
            assert set(horizon) == {
                *("n", "last_price", "published", "ensemble"),
                *("members", "members_unshrunk", "intervals"),
            }
            assert horizon["n"] > 200
            assert set(horizon["last_price"]) == {"mae", "mse"}
            members = horizon["members"]
            assert set(members) == {"kalman", "random_forest", "lightgbm", "lstm"}
            unshrunk = horizon["members_unshrunk"]
            assert set(unshrunk) == set(members)
            for scores in (
                *(horizon["published"], horizon["ensemble"]),
                *members.values(),
                *unshrunk.values(),
            ):
                assert set(scores) == SCORES
                skill = 1 - scores["mse"] / horizon["last_price"]["mse"]
                assert scores["mse_skill"] == pytest.approx(skill)
            assert [each["level"] for each in horizon["intervals"]] == [0.5, 0.9]
            for each in horizon["intervals"]:
                assert set(each) == {
                    *("level", "coverage", "coverage_worst_288", "coverage_volatile"),
                    *("width", "winkler"),
                }
                assert 0.2 < each["coverage"] <= 1.0
                assert each["winkler"] >= each["width"] > 0.0


@pytest.mark.timeout(900)
def test_the_same_again_trains_nothing_and_prints_the_same(
    folder: Path, first: dict[str, Any]
) -> None:
    ended = backtest(folder, *ARGUMENTS, "--horizon", "1", "--horizon", "3", "--html", "page.html")
    again = said(ended)
    assert again.pop("seconds")["train"] < first["seconds"]["train"]
    assert orjson.dumps(again) == orjson.dumps({k: v for k, v in first.items() if k != "seconds"})
    page = (folder / "page.html").read_text()
    for word in ("prefers-color-scheme: dark", "<table>", "saved error", "shrinkage"):
        assert word in page
    own = page.replace(get_plotlyjs(), "")
    assert len(own) < len(page) / 2
    assert "http" not in own  # complete in itself


@pytest.mark.timeout(900)
def test_what_is_trained_anew_with_the_same_seed_prints_the_same(folder: Path) -> None:
    def once(data: str) -> dict[str, Any]:
        asked = ("a.csv", "--retrain-every", "4h", "--latency", "10", "--json")
        found = said(backtest(folder, *asked, data=data))
        assert found.pop("seconds")["train"] > 1.0
        return found

    assert orjson.dumps(once("fresh")) == orjson.dumps(once("fresher"))


@pytest.mark.timeout(900)
def test_people_are_told_all_figures_and_the_check_passes(
    folder: Path, first: dict[str, Any]
) -> None:
    assert first
    ended = backtest(folder, "a.csv", "--symbol", "A", "--retrain-every", "4h", "--check")
    assert ended.returncode == 0, ended.stderr
    for word in (
        *("MAE", "RMSE", "bias", "hit", "Clark-", "Diebold-Mariano", "inside bars", "Winkler"),
        *("last_price", "published", "ensemble", "kalman", "random_forest", "lightgbm", "lstm"),
    ):
        assert word in ended.stdout
    assert "cut at 20 random ticks: 0 of" in ended.stderr
    assert "their models serve after" in ended.stderr
    assert "step 2 of 8" in ended.stderr


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--from", "2022-01-02", "--to", "2022-01-01"], "--from is not before --to"),
        (["--from", "tomorrow"], "is no ISO 8601 time"),
        (["--retrain-every", "soon"], "is no duration"),
        (["--from", "2022-01-01T23:00Z"], "nothing to score"),
        (["--retrain-every", "10d"], "200 bars of MIN_TRAINING_BARS"),
        (["absent.csv"], "absent.csv"),
    ],
)
def test_a_mistake_is_one_line(
    folder: Path, first: dict[str, Any], arguments: list[str], words: str
) -> None:
    assert first
    given = arguments if "--retrain-every" in arguments else ["--retrain-every", "4h", *arguments]
    ended = backtest(folder, "a.csv", *given)
    assert ended.returncode == 2
    assert words in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr
