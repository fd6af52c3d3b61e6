"""The skill of forecasts against the last price, at four horizons, on months and synthetic prices.

Each file is given to `stream-app backtest`, retrained daily; the second half of its time is scored.
The synthetic prices are a random walk, which is unpredictable, and returns of which 1 % is
predictable from the previous bar (AR(1)). Nothing here is tuned on the results.

`--quick` takes only the first ten days and one bar ahead: a smoke test, not a measurement.
"""

from __future__ import annotations

import csv
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.csv
from harness import console, options, save, second, show
from numpy.typing import NDArray
from rich.table import Table

HORIZONS: Final = (1, 3, 12, 48)
BARS: Final = 8640
KNOWN_R2: Final = 0.01
QUICK_DAYS: Final = 10
START: Final = datetime(2022, 1, 1, tzinfo=UTC)


def ar1(rng: np.random.Generator, correlation: float) -> Iterator[float]:
    """Returns without end, each with this correlation with the last."""
    last = 0.0
    while True:
        last = correlation * last + rng.normal(0, 1e-3 * np.sqrt(1 - correlation**2))
        yield last


def write_bars(file: Path, paths: Iterable[tuple[datetime, NDArray[np.float64]]]) -> None:
    """A file of bars, each from its opening time and the prices on its way."""
    with file.open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["timestamp", "open", "high", "low", "close"])
        for at, path in paths:
            prices = (path[0], path.max(), path.min(), path[-1])
            rows.writerow([at.isoformat(), *(repr(float(price)) for price in prices)])


def walked(
    returns: Iterable[float], rng: np.random.Generator
) -> Iterator[tuple[datetime, NDArray[np.float64]]]:
    """The ways of a month of five-minute bars with these returns, for `write_bars`."""
    price = 100.0
    for number, step in enumerate(itertools.islice(returns, BARS)):
        # Five ticks on the way, so that highs and lows are those of a walk.
        path = price * np.exp(step * np.linspace(0, 1, 5) + np.append(rng.normal(0, 2e-4, 4), 0))
        path[0] = price
        yield START + timedelta(minutes=5 * number), path
        price = float(path[-1])


def bars_file(folder: Path, name: str, returns: Iterable[float], rng: np.random.Generator) -> Path:
    """A month of five-minute bars with these returns, in a file."""
    file = folder / f"{name}.csv"
    write_bars(file, walked(returns, rng))
    return file


def made(folder: Path, name: str, correlation: float) -> Path:
    """A month of made bars; each return has this correlation with the last."""
    rng = np.random.default_rng(7)
    return bars_file(folder, name, ar1(rng, correlation), rng)


def span(file: Path, days: int | None) -> tuple[datetime, datetime]:
    """The time in the middle of what is taken of a file, and its end."""
    times = pyarrow.csv.read_csv(file)[0].to_pandas(timestamp_as_object=True)
    first, last = (
        datetime.fromisoformat(str(each)).replace(tzinfo=UTC)
        for each in (times.iloc[0], times.iloc[-1])
    )
    if days is not None:
        last = min(last, first + timedelta(days=days))
    return first + (last - first) / 2, last + timedelta(seconds=1)


def backtest(
    file: Path, horizons: tuple[int, ...], days: int | None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """By horizon, what the command says of the only symbol.

    Args:
        file: one symbol's prices.
        horizons: how many bars ahead.
        days: of the file's beginning; None for all of it.
    """
    given = [item for each in horizons for item in ("--horizon", str(each))]
    middle, end = span(file, days)
    run = subprocess.run(
        [sys.executable, "-m", "stream_app", "backtest", str(file), "--symbol", "A", "--latency",
         "10", "--retrain-every", "1d", "--from", middle.isoformat(), "--to", end.isoformat(),
         "--json", *given],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        env={**os.environ, "DATA_DIR": str(Path(tempfile.gettempdir()) / "stream-app-accuracy")},
    )  # fmt: skip
    found = json.loads(run.stdout.splitlines()[-1])["symbols"]["A"]["horizons"]
    return ((int(horizon), each) for horizon, each in found.items())


def table(name: str, found: dict[int, dict[str, Any]]) -> Table:
    """What is published, the ensemble, and each member before and after its shrinkage."""
    rows = {part: [each[part] for each in found.values()] for part in ("published", "ensemble")}
    for part in ("members_unshrunk", "members"):
        for member in next(iter(found.values()))[part]:
            named = f"{part.replace('_', ' ')} {member}"
            rows[named] = [each[part][member] for each in found.values()]
    return skill_table(name, {horizon: each["n"] for horizon, each in found.items()}, rows)


def skill_table(
    name: str, counts: Mapping[int, int], rows: Mapping[str, Sequence[Mapping[str, Any]]]
) -> Table:
    """A row a forecaster, a column a horizon: R2 in percent and the Clark-West t.

    Args:
        name: of the prices.
        counts: of the forecasts, by horizon in bars.
        rows: of each forecaster, its `mse_skill` and `cw_t` at each horizon.
    """
    shown = Table(title=f"{name}: R2 beside the last price (Clark-West t)", title_justify="left")
    shown.add_column("")
    for horizon, n in counts.items():
        shown.add_column(f"{horizon} bars, n {n:,}", justify="right")
    for who, each in rows.items():
        cells = [
            f"{100 * one['mse_skill']:+.3f} %"
            + ("" if one["cw_t"] is None else f" ({one['cw_t']:+.1f})")
            for one in each
        ]
        shown.add_row(who, *cells)
    return shown


def main() -> None:
    chosen, given = options(__doc__, add=second)
    horizons, days = (HORIZONS[:1], QUICK_DAYS) if chosen.quick else (HORIZONS, None)
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        files = {
            chosen.data.name: chosen.data,
            given.second.name: given.second,
            "random walk": made(Path(folder), "walk", 0.0),
            "AR(1), R2 1 %": made(Path(folder), "ar1", float(np.sqrt(KNOWN_R2))),
        }
        for number, (name, file) in enumerate(files.items(), 1):
            console.print(f"file {number} of {len(files)}: {name}", highlight=False)
            found = dict(backtest(file, horizons, days))
            results[name] = {str(horizon): each for horizon, each in found.items()}
            show(table(name, found))
            save(chosen, results)


if __name__ == "__main__":
    main()
