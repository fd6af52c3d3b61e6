"""The commands of docs/files.md, run as they are written."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from stream_app.cli import cli
from stream_app.feed.layout import load_layout
from stream_app.training.holdout import one_by_one

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs/files.md").read_text(encoding="utf-8")
RECIPES = re.findall(r"^```sh\n(.*?)\n```$", TEXT.partition("## Recipes")[2], flags=re.M | re.S)


class InThisProcess:
    """Runs a pool's jobs where it is."""

    def __init__(self, processes: int) -> None:
        self.run_all = one_by_one

    def __enter__(self) -> InThisProcess:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def warm_up(self) -> Future[None]:
        done: Future[None] = Future()
        done.set_result(None)
        return done


def weekdays(first: datetime) -> Iterator[datetime]:
    day = first
    while True:
        if day.weekday() < 5:
            yield day
        day += timedelta(days=1)


def times_of(name: str) -> list[str]:
    """When the bars of each recipe's file begin: as markets are open, not as it is easy."""
    start = datetime(2020, 1, 6, tzinfo=UTC)
    days = weekdays(start)
    if name == "daily.csv":
        return [next(days).date().isoformat() for _ in range(700)]
    if name == "hourly.csv":
        opened = [timedelta(hours=hour, minutes=30) for hour in range(14, 21)]
        return [
            (day + each).isoformat() for day in (next(days) for _ in range(90)) for each in opened
        ]
    if name == "stock-minutes.csv":
        opened = [timedelta(hours=9, minutes=30 + minute) for minute in range(390)]
        found = [day + each for day in (next(days) for _ in range(8)) for each in opened]
        return [each.strftime("%Y-%m-%d %H:%M:%S") for each in found]
    assert name == "minutes.csv"
    return [(start + timedelta(minutes=minute)).isoformat() for minute in range(3000)]


def made(name: str) -> str:
    times = times_of(name)
    rng = np.random.default_rng(len(times))
    close = 100 * np.exp(np.cumsum(rng.normal(0, 1e-3, len(times) + 1)))
    rows = [
        f"{time},{a:.6f},{max(a, b) * 1.0001:.6f},{min(a, b) * 0.9999:.6f},{b:.6f},7"
        for time, a, b in zip(times, close[:-1], close[1:], strict=True)
    ]
    return "\n".join(["time,open,high,low,close,volume", *rows])


def test_there_are_recipes_for_minutes_hours_and_days() -> None:
    told = " ".join(RECIPES)
    assert len(RECIPES) >= 4
    assert all(name in told for name in ("minutes.csv", "hourly.csv", "daily.csv"))


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_trains_on_a_file_of_its_kind(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = shlex.split(recipe)
    program = words.index("stream-app")
    for setting in words[:program]:
        name, _, value = setting.partition("=")
        monkeypatch.setenv(name, value)
    # Not as written, for speed: one epoch, and the trainings in this process.
    monkeypatch.setenv("LSTM_EPOCHS", "1")
    monkeypatch.setattr("stream_app.training.pool.TrainingPool", InThisProcess)
    monkeypatch.chdir(tmp_path)
    file = next(word for word in words if word.endswith(".csv"))
    Path(file).write_text(made(file))

    result = CliRunner().invoke(cli, [*words[program + 1 :], "--json"], catch_exceptions=False)

    found = json.loads(result.stdout.splitlines()[-1])
    bars = found["bars"]
    assert bars > 400
    # Nights and weekends take no targets away.
    assert found["rows"] > 0.8 * (bars - 1 - 77) - 80
    assert found["last_price"]["mae"] > 0
    assert set(found["models"]) == {"kalman", "random_forest", "lightgbm", "lstm"}


def test_the_layout_of_the_page_is_one(tmp_path: Path) -> None:
    text = re.findall(r"^```toml\n(.*?)^```$", TEXT, flags=re.M | re.S)[0]
    path = tmp_path / "mine.toml"
    path.write_text(text)

    assert load_layout(str(path))[1].time_zone == "Europe/Berlin"


def test_every_kind_of_bad_row_is_told() -> None:
    told = set(re.findall(r"^\| `(\w+)` \|", TEXT, flags=re.M))
    noted = r'(?:\.note\(\s*|Problem\(\s*kind=)"(\w+)"'
    code = [path.read_text() for path in (ROOT / "stream_app/feed").glob("*.py")]
    assert told == {kind for each in code for kind in re.findall(noted, each)}
