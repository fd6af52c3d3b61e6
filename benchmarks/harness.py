"""What the benchmarks share: options, interleaved runs, statistics, tables and JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

HERE: Final = Path(__file__).resolve().parent
RESULTS: Final = HERE / "results"
DATA: Final = Path(
    os.environ.get("BENCHMARK_DATA")
    or HERE.parents[1] / "shared" / "data" / "btc-perp-1m-2022-01.csv.gz"
)
SECOND: Final = DATA.parent / "gbpusd-m1-bid-2012-02.csv.gz"
LIBRARIES: Final = (
    "numpy",
    "scikit-learn",
    "scikit-learn-intelex",
    "lightgbm",
    "torch",
    "numba",
    "faust-streaming",
    "aiokafka",
    "quixstreams",
)
ROUNDS: Final = 5
QUICK_ROUNDS: Final = 2

console: Final = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Options:
    """The options of every script."""

    quick: bool
    rounds: int
    data: Path
    out: Path


@dataclass(frozen=True, slots=True)
class Spread:
    """One side's measurements."""

    minimum: float
    median: float
    maximum: float
    runs: int


def options(
    description: str | None, *, add: Callable[[argparse.ArgumentParser], None] = lambda _: None
) -> tuple[Options, argparse.Namespace]:
    """Read the command line of a script."""
    exit_at_sigterm()
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs")
    parser.add_argument("--rounds", type=int, help="interleaved runs of each side")
    parser.add_argument("--data", type=Path, default=DATA, help="a month of one-minute bars (CSV)")
    parser.add_argument("--out", type=Path, help="where to write the JSON")
    add(parser)
    given = parser.parse_args()
    if not given.data.is_file():
        parser.error(f"{given.data}: no such file; name one with --data or BENCHMARK_DATA")
    name = Path(sys.argv[0]).stem
    quick_name = f"{name}.quick.json" if given.quick else f"{name}.json"
    return Options(
        quick=given.quick,
        rounds=given.rounds or (QUICK_ROUNDS if given.quick else ROUNDS),
        data=given.data,
        out=given.out or RESULTS / quick_name,
    ), given


def exit_at_sigterm() -> None:
    """Leave all contexts at SIGTERM; by default what a script has started would go on."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def second(parser: argparse.ArgumentParser) -> None:
    """The option of a second month, for `options`."""
    parser.add_argument("--second", type=Path, default=SECOND, help="another month (CSV)")


@contextmanager
def progress() -> Iterator[Progress]:
    """A progress bar on standard error."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    ) as shown:
        yield shown


@contextmanager
def log_folder(name: str, *, keep: bool) -> Iterator[Path]:
    """A folder for the logs of a run: named at its end if it is kept, else removed."""
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))
    try:
        yield folder
    finally:
        if keep:
            console.print(f"logs: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def interleaved(sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Run every side once per round, in changing order, so that a slow minute hits all sides."""
    names = list(sides)
    measured: dict[str, list[float]] = {name: [] for name in names}
    with progress() as shown:
        task = shown.add_task("", total=rounds * len(names))
        for number in range(rounds):
            shift = number % len(names)
            for name in names[shift:] + names[:shift]:
                shown.update(task, description=name)
                measured[name].append(sides[name]())
                shown.advance(task)
    return measured


def timed(work: Callable[[], object]) -> float:
    """How many seconds a call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def spread(values: Sequence[float]) -> Spread:
    """Minimum, median and maximum."""
    return Spread(min(values), statistics.median(values), max(values), len(values))


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Ours over theirs, round by round."""
    return spread([a / b for a, b in zip(ours, theirs, strict=True)])


def quantiles(values: Sequence[float] | np.ndarray[Any, Any]) -> dict[str, float]:
    """The median, the 99th percentile and the largest."""
    if not len(values):
        return {"count": 0, "p50": float("nan"), "p99": float("nan"), "max": float("nan")}
    p50, p99 = np.quantile(np.asarray(values), (0.5, 0.99)).tolist()
    return {"count": len(values), "p50": p50, "p99": p99, "max": float(np.max(values))}


def spread_table(title: str, unit: str, rows: Mapping[str, Spread], *, digits: int = 2) -> Table:
    """A table with one row per side."""
    table = Table(title=f"{title} [{unit}]", title_justify="left")
    table.add_column("")
    for name in ("minimum", "median", "maximum", "runs"):
        table.add_column(name, justify="right")
    for name, item in rows.items():
        table.add_row(
            name,
            *(f"{value:,.{digits}f}" for value in (item.minimum, item.median, item.maximum)),
            str(item.runs),
        )
    return table


def show(*tables: Table | str) -> None:
    """Print to standard output."""
    out = Console()
    for table in tables:
        out.print(table)


def save(chosen: Options, result: Mapping[str, Any]) -> None:
    """Write the JSON: what was measured, where, and with what."""
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    content = {"environment": environment(), "quick": chosen.quick, **result}
    chosen.out.write_text(json.dumps(_plain(content), indent=2) + "\n")
    console.print(f"written: {os.path.relpath(chosen.out)}")


def environment() -> dict[str, Any]:
    """The machine and the versions that the figures are from."""
    return {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load": [round(value, 2) for value in os.getloadavg()],
        "libraries": {name: _version(name) for name in LIBRARIES},
    }


def _plain(value: Any) -> Any:
    """JSON values, with numbers to five significant digits."""
    if isinstance(value, Spread):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.5g}") if abs(value) < 1e9 else value
    return value


def _version(name: str) -> str | None:
    try:
        return version(name)
    except ModuleNotFoundError:
        return None


def _commit() -> str:
    git = shutil.which("git")
    if git is None:
        return "unknown"
    done = subprocess.run(
        [git, "describe", "--always", "--dirty"],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
