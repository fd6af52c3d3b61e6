"""A tick's processor time in process, against another checkout of this repository.

Two processes, one with each checkout's code, alternate batch by batch: from records to the bytes of
their predictions. All messages of both are compared byte by byte. Each symbol has the last bars of
a month and its own four models, loaded as in a restart.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
from harness import HERE, ROUNDS, Spread, console, options, progress, ratios, save, show, spread
from prices import month_ticks, plain_settings, train
from rich.table import Table
from tick_cost import TickRecord

from stream_app.messages.codec import encode_bar
from stream_app.messages.ticks import encode_tick
from stream_app.models.catalog import CATALOG
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.settings import PredictionSettings

BARS: Final = 500
"""A tick's cost does not depend on how many bars the window holds."""
CHUNK: Final = 2048
KINDS: Final = {
    "alone": "a tick alone",
    "256": "one symbol, batches of 256",
    "1024": "one symbol, batches of 1,024",
    "one of each of 100": "100 symbols, a tick of each",
    "100": "100 symbols, batches of 1,024",
    "one of each of 1000": "1,000 symbols, a tick of each",
    "bars": "a tick every 15 s, 20 a bar, batches of 1,024",
}
QUICK: Final = ("alone", "256", "one of each of 100", "bars")


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor time of a tick, us."""

    process: float
    write: float

    @property
    def both(self) -> float:
        return self.process + self.write


class Side:
    """A process with one checkout's code."""

    def __init__(self, checkout: Path, world: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "before_after_side.py"), str(world)],
            env={**os.environ, "PYTHONPATH": str(checkout)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, kind: str) -> tuple[Cost, str]:
        """What some batches took, and a digest of all that was said."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{kind}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().split()
        if len(answer) != 3:
            raise RuntimeError("a side has ended; see above")
        process, write, digest = answer
        return Cost(float(process), float(write)), digest

    def end(self) -> None:
        """Wait until it has ended."""
        self._process.communicate()


def make_world(data: Path, folder: Path, rounds: int) -> Path:
    """The bars and models that both sides begin with."""
    settings = plain_settings()
    partition = PartitionPipeline(PredictionSettings.of(settings))
    ticks = month_ticks(data)
    bars: list[bytes] = []
    with progress() as shown:
        for start in shown.track(range(0, len(ticks), CHUNK), description="a month of ticks"):
            records = [
                TickRecord("market.ticks.v1", 0, at, tick.ts, tick.symbol.encode(), value)
                for at, tick in enumerate(ticks[start : start + CHUNK], start)
                if (value := encode_tick(tick))
            ]
            bars += [encode_bar(bar) for bar in partition.process(records).bars]
    (symbol,) = partition.symbols.values()
    trained = train(symbol.window.columns(), settings)
    for name in CATALOG:
        (folder / name).write_bytes(trained[name].artifact)
    (folder / "bars").write_bytes(b"\n".join(bars[-BARS:]))
    facts = {"settings": {"training_window_days": settings.training_window_days}, "rounds": rounds}
    (folder / "facts").write_bytes(orjson.dumps(facts))
    return folder


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--before", type=Path, required=True, help="the other checkout")


def main() -> None:
    chosen, given = options(__doc__, add=add_options)
    if not (given.before / "stream_app").is_dir():
        sys.exit(f"{given.before}: no checkout of this repository; name one with --before")
    kinds = [kind for kind in KINDS if not chosen.quick or kind in QUICK]
    rounds = chosen.rounds or ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        world = make_world(chosen.data, Path(folder), rounds)
        sides = {
            "before": Side(given.before.resolve(), world),
            "now": Side(HERE.parent, world),
        }
        costs: dict[str, dict[str, list[Cost]]] = {}
        differ: list[str] = []
        with progress() as shown:
            task = shown.add_task("", total=rounds * len(kinds))
            for kind in kinds:
                costs[kind] = {name: [] for name in sides}
                for number in range(rounds):
                    shown.update(task, description=kind)
                    order = list(sides) if number % 2 == 0 else list(sides)[::-1]
                    digests = set()
                    for name in order:
                        cost, digest = sides[name].ask(kind)
                        costs[kind][name].append(cost)
                        digests.add(digest)
                    if len(digests) > 1:
                        differ.append(f"{kind}, round {number}")
                    shown.advance(task)
        for side in sides.values():
            side.end()
    show(table(costs), f"messages that differ: {', '.join(differ) or 'none'}")
    save(chosen, {"costs": {kind: figures(each) for kind, each in costs.items()}, "differ": differ})
    if differ:
        console.print("[red]the checkouts do not say the same[/]")
        sys.exit(1)


def figures(costs: Mapping[str, list[Cost]]) -> dict[str, Any]:
    """Of one kind, by side."""
    both = {name: [cost.both for cost in found] for name, found in costs.items()}
    return {
        **{
            name: {
                "process": spread([cost.process for cost in found]),
                "write": spread([cost.write for cost in found]),
            }
            for name, found in costs.items()
        },
        "before_over_now": ratios(both["before"], both["now"]),
    }


def table(costs: Mapping[str, Mapping[str, list[Cost]]]) -> Table:
    made = Table(title="Processor time of a tick [us]", title_justify="left")
    for name in ("", "before", "its writing", "now", "its writing", "before / now"):
        made.add_column(name, justify="right" if name else "left")
    for kind, sides in costs.items():
        found = figures({name: list(each) for name, each in sides.items()})
        before, now = found["before"], found["now"]
        parts = (before["process"], before["write"], now["process"], now["write"])
        ratio = found["before_over_now"]
        made.add_row(KINDS[kind], *(f"{_said(part, 1)}" for part in parts), _said(ratio, 2))
    return made


def _said(item: Spread, digits: int) -> str:
    values = (item.minimum, item.median, item.maximum)
    return " to ".join(f"{value:,.{digits}f}" for value in values)


if __name__ == "__main__":
    main()
