"""Draws throughput.svg, latency.svg and memory.svg in docs/img from the results of the benchmarks.

Needs matplotlib: `pip install -e '.[bench]'`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import matplotlib
from harness import HERE, RESULTS, console

matplotlib.use("svg")
import matplotlib.pyplot as plt

IMAGES: Final = HERE.parent / "docs" / "img"
OURS: Final = "#1f6f8b"
OTHERS: Final = "#b8bfc6"
WORSE: Final = "#b5482a"


def read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return content


def throughput(result: dict[str, Any]) -> Any:
    """Bars: medians of the ticks a second, with minimum and maximum."""
    cases = result["symbols"]
    figure, axes = plt.subplots(1, len(cases), figsize=(9, 2.8), sharex=True, squeeze=False)
    for axis, (count, case) in zip(axes[0], cases.items(), strict=True):
        sides = dict(reversed(case["ticks_per_second"].items()))
        medians = [side["median"] for side in sides.values()]
        spans = [
            [side["median"] - side["minimum"] for side in sides.values()],
            [side["maximum"] - side["median"] for side in sides.values()],
        ]
        colours = [OURS if name.startswith("stream-app") else OTHERS for name in sides]
        axis.barh(list(sides), medians, xerr=spans, color=colours, ecolor="#555", capsize=3)
        for at, (value, side) in enumerate(zip(medians, sides.values(), strict=True)):
            axis.annotate(f"  {value:,.0f}", (side["maximum"], at), va="center", color="#111")
        axis.margins(x=0.2)
        axis.set_title(f"{count} symbol{'s' * (count != '1')}", loc="left")
        axis.spines[["top", "right"]].set_visible(False)
        if axis is not axes[0][0]:
            axis.set_yticklabels([])
    axes[0][0].set_xlabel("ticks a second, Kafka to Kafka, four models on every tick")
    return figure


def latency(result: dict[str, Any]) -> Any:
    """Latency over time, the retrains shaded."""
    found = result["latency"]["pool"]
    rate, case = next(iter(found.items()))
    figure, axis = plt.subplots(figsize=(9, 2.8))
    series = case["series"]
    axis.plot(series["second"], series["p50_ms"], color=OURS, label="p50 of each half second")
    axis.plot(series["second"], series["max_ms"], color=OTHERS, label="slowest of each half second")
    threads = result["latency"].get("threads", {}).get(rate)
    if threads is not None:
        axis.plot(
            threads["series"]["second"],
            threads["series"]["p50_ms"],
            color=WORSE,
            ls="--",
            label="p50 with the retrain in threads",
        )
    for number, (began, ended) in enumerate(series["retrains"]):
        label = "retraining all four models" if number == 0 else None
        axis.axvspan(began, ended, color="#f2c14e", alpha=0.25, lw=0, label=label)
    axis.set_yscale("log")
    axis.set_xlim(0, series["second"][-1])
    axis.set_xlabel(f"seconds, at {rate} ticks a second")
    axis.set_ylabel("tick to prediction [ms]")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, ncols=4, fontsize=8)
    return figure


def memory(result: dict[str, Any]) -> Any:
    """Resident memory over time, the retrains shaded."""
    series = result["series"]
    figure, axis = plt.subplots(figsize=(9, 2.8))
    minutes = [second / 60 for second in series["second"]]
    axis.plot(minutes, series["pool_mib"], color=OTHERS, label="training pool")
    axis.plot(minutes, series["worker_mib"], color=OURS, label="worker")
    for number, (began, ended, _) in enumerate(result["retrains"]):
        label = "retraining" if number == 0 else None
        axis.axvspan(began / 60, ended / 60, color="#f2c14e", alpha=0.25, lw=0, label=label)
    axis.set_xlim(0, minutes[-1])
    axis.set_ylim(0)
    axis.set_xlabel(f"minutes, at {result['ticks_per_second']:,} ticks a second")
    axis.set_ylabel("resident memory [MiB]")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, ncols=3, fontsize=8)
    return figure


def main() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    plt.rcParams.update({"font.size": 9, "svg.hashsalt": "stream-app", "svg.fonttype": "none"})
    for name, source, draw in (
        ("throughput", "throughput", throughput),
        ("latency", "latency_through_retrain", latency),
        ("memory", "soak", memory),
    ):
        path = RESULTS / f"{source}.json"
        if not path.is_file():
            console.print(f"no {path.name}: run python benchmarks/{source}.py first")
            continue
        figure = draw(read(source))
        figure.tight_layout()
        out = Path(IMAGES / f"{name}.svg")
        figure.savefig(out, metadata={"Date": None})
        console.print(f"drawn: docs/img/{out.name}")


if __name__ == "__main__":
    main()
