"""`stream-app backtest`: the object that it prints, the same bytes again, and its mistakes."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from plotly.offline import get_plotlyjs

from stream_app.commands.output_file import keeping_in, require_output, write_output
from stream_app.errors import OutputError
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
        (["--from", "2022-01-01T23:00Z"], "no tick is at or after --from 2022-01-01T23:00:00Z"),
        (["--to", "2021-12-31"], "no tick is before --to 2021-12-31T00:00:00Z"),
        (["--latency", "nan"], "nan is no finite number"),
        (["--latency", "inf"], "inf is not in the range"),
        (["--html", "/proc/page.html"], "--html /proc/page.html: cannot be written (No such"),
        (["--html", "absent/page.html"], "--html absent/page.html: cannot be written (No such"),
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
    assert "step 2" not in ended.stderr  # before anything is trained


@pytest.mark.timeout(900)
def test_times_at_which_no_outcome_is_known_are_one_line(
    folder: Path, first: dict[str, Any]
) -> None:
    assert first
    ended = backtest(folder, "a.csv", "--retrain-every", "4h", "--from", "2022-01-01T07:29:40Z")
    assert ended.returncode == 2
    assert "nothing to score: no forecast of all 4 models" in ended.stderr.splitlines()[-1]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("form", ["tables", "json"])
def test_a_page_that_cannot_be_written_at_the_end_loses_no_figure(
    folder: Path, first: dict[str, Any], form: str
) -> None:
    """/dev/full takes no byte, as a full disk, and can be opened."""
    assert first
    asked = ["a.csv", "--retrain-every", "4h", "--html", "/dev/full"]
    ended = backtest(folder, *asked, *(["--json"] if form == "json" else []))
    assert ended.returncode == 2
    told = ended.stderr.splitlines()[-1]
    assert told.startswith("stream-app: --html /dev/full: cannot be written (No space left")
    assert "Traceback" not in ended.stderr
    if form == "json":
        assert orjson.loads(ended.stdout.splitlines()[-1])["symbols"]["A"]
    else:
        assert "…" not in ended.stdout  # in a pipe there is no width to fit into
        assert "Clark-" in ended.stdout


@pytest.mark.parametrize("data", ["a.csv", "/proc/data"])
def test_a_folder_that_keeps_nothing_is_refused_beforehand(folder: Path, data: str) -> None:
    ended = backtest(folder, "a.csv", data=data)
    assert ended.returncode == 2
    told = ended.stderr.splitlines()[-1]
    assert told.startswith(f"stream-app: DATA_DIR={folder / data}: cannot write in")
    assert "Traceback" not in ended.stderr


def test_a_disk_that_is_full_on_the_way_is_one_line(tmp_path: Path) -> None:
    for error in (OSError(errno.ENOSPC, "full"), OSError(errno.EIO, "bad", str(tmp_path / "a"))):
        with (
            pytest.raises(OutputError, match=r"DATA_DIR=.*: cannot write in"),
            keeping_in(tmp_path, tmp_path),
        ):
            raise error
    with pytest.raises(OSError, match="pipe"), keeping_in(tmp_path, tmp_path):
        raise OSError(errno.EPIPE, "pipe")


def test_a_file_that_cannot_be_written_is_known_beforehand_and_left_as_it_is(
    tmp_path: Path,
) -> None:
    there, new = tmp_path / "there.html", tmp_path / "new.html"
    there.write_text("before")
    for path in (there, new):
        require_output(path, "--html")
    assert there.read_text() == "before"
    assert not new.exists()
    with pytest.raises(OutputError, match=r"--html .*: cannot be written \(Is a directory\)"):
        write_output(tmp_path, "", "--html")
    for path in (there / "x.html", tmp_path / ("x" * 300)):
        with pytest.raises(OutputError, match="cannot be written") as refused:
            require_output(path, "--html")
        assert "\n" not in str(refused.value)
