"""Draws throughput.svg, latency.svg and soak.svg in docs/img from the results of the benchmarks.

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


def soak(result: dict[str, Any]) -> Any:
    """Memory, files, threads, lag and retrains over time, the kills as lines."""
    living, killed = result["living"], result["killed"]
    began_s = living["at_s"][0]
    figure, axes = plt.subplots(4, 1, figsize=(9, 8), sharex=True)
    of_memory, of_counts, of_lag, of_retrains = axes

    def draw(axis: Any, at_s: list[float], values: list[float], **looks: Any) -> None:
        axis.plot([(at - began_s) / 60 for at in at_s], values, **looks)

    for key, name in (("pool_mib", "training pool"), ("worker_mib", "worker")):
        colour = OTHERS if key == "pool_mib" else OURS
        draw(of_memory, living["at_s"], living[key], color=colour, label=f"{name}, never killed")
        for number, life in enumerate(killed):
            label = f"{name}, killed" if number == 0 else None
            draw(of_memory, life["at_s"], life[key], color=colour, lw=0.8, ls="--", label=label)
    of_memory.set_ylabel("resident memory [MiB]")
    draw(of_counts, living["at_s"], living["open_files"], color=OURS, label="open files")
    draw(of_counts, living["at_s"], living["threads"], color=WORSE, label="threads")
    of_counts.set_ylabel("of the worker")
    lag = result["lag"]
    draw(of_lag, lag["at_s"], lag["ticks"], color=OURS, label="ticks waiting, both workers")
    of_lag.set_ylabel("ticks")
    for life, colour in [(living, OURS), *((life, OTHERS) for life in killed)]:
        for cycle in life["retrains"]:
            took = (cycle["ended_s"] - cycle["began_s"]) / max(1, cycle["symbols"])
            draw(of_retrains, [cycle["ended_s"]], [took], color=colour, marker="o", ms=4)
    of_retrains.set_ylabel("retrain [s a symbol]")
    of_retrains.set_xlabel(f"minutes, at {result['ticks_per_second']:,} ticks a second")
    for axis in axes:
        for number, at in enumerate(result["kills_s"]):
            label = "kill -9" if number == 0 and axis is of_memory else None
            axis.axvline((at - began_s) / 60, color="#f2c14e", lw=1, label=label, zorder=0)
        axis.set_ylim(0)
        axis.margins(x=0)
        axis.spines[["top", "right"]].set_visible(False)
        if axis is not of_retrains:
            axis.legend(
                loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, ncols=3, fontsize=8
            )
    return figure


def main() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    plt.rcParams.update({"font.size": 9, "svg.hashsalt": "stream-app", "svg.fonttype": "none"})
    for name, source, draw in (
        ("throughput", "throughput", throughput),
        ("latency", "latency_through_retrain", latency),
        ("soak", "soak", soak),
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
