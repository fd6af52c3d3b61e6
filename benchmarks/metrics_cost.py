"""What the metrics cost: a scrape with 1,000 symbols, and the part that each batch pays.

All in processor time, which other processes disturb little. A batch: `PartitionPipeline.process`
with all four models and the encoding of its predictions, against all that the worker then does for
the metrics. The scrape: what /metrics answers, with each symbol scored by every forecaster.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from harness import interleaved, options, ratios, save, show, spread, spread_table
from prices import SYMBOL, jobs_for, live_ticks, month_pipeline, month_ticks, plain_settings
from prometheus_client import generate_latest
from tick_cost import TickRecord, copy_window, loaded

from stream_app.messages.schemas import Score
from stream_app.messages.ticks import encode_tick
from stream_app.models.catalog import CATALOG
from stream_app.ops import metrics
from stream_app.prediction.pipeline import Answer, PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.training.job import run_job
from stream_app.worker.counts import count_batch, count_delays
from stream_app.worker.score_watch import ScoreWatch

SYMBOLS: Final = 1000
PARTITIONS: Final = 16
SIZES: Final = (1, 16, 256, 1024)
LIMIT_S: Final = 0.020
LIMIT_SERIES: Final = 2000


def note(records: Sequence[TickRecord], answer: Answer, watch: ScoreWatch) -> None:
    """What `TickService.answer` does for the metrics of a batch."""
    started = time.perf_counter()
    metrics.BATCH_SECONDS.observe(time.perf_counter() - started)
    metrics.PUBLISH_SECONDS.observe(time.perf_counter() - started)
    count_batch(len(records), answer)
    count_delays(records, until_s=time.time())
    watch.note(answer.scores)


def batches(
    records: Iterator[TickRecord], pipeline: PartitionPipeline, size: int, ticks: int
) -> tuple[float, float]:
    """Processor seconds of answering so many ticks in batches, and of their metrics."""
    watch = ScoreWatch(50)
    work = noted = 0.0
    for _ in range(ticks // size):
        batch = list(itertools.islice(records, size))
        began = time.process_time()
        answer = pipeline.process(batch)
        answer.predictions.values()
        done = time.process_time()
        note(batch, answer, watch)
        work += done - began
        noted += time.process_time() - done
    return work, noted


def scraped(watch: ScoreWatch, score: Score) -> tuple[float, int, int]:
    """Processor seconds of one scrape, its series and its bytes."""
    figures = next(iter(score.running["week"].values()))
    names = (*CATALOG, "ensemble", "published")
    full = replace(
        score,
        running={"week": dict.fromkeys(names, figures)},
        shrinkage=dict.fromkeys(names[:-1], 0.123456789),
    )
    watch.note(replace(full, symbol=f"SYMBOL-{number}") for number in range(SYMBOLS))
    for number in range(PARTITIONS):
        metrics.LAG.labels(str(number)).set(1234)
    began = time.process_time()
    text = generate_latest(metrics.REGISTRY)
    took = time.process_time() - began
    lines = [line for line in text.splitlines() if not line.startswith(b"#")]
    return took, len(lines), len(text)


def main() -> None:
    chosen, _ = options(__doc__)
    settings = plain_settings()
    source = month_pipeline(chosen.data, settings)
    bars = source.window.columns()
    trained = {job.model: run_job(job) for job in jobs_for(bars, settings)}
    partition = PartitionPipeline(PredictionSettings.of(settings))
    target = partition.pipeline_of(SYMBOL)
    copy_window(source, target)
    target.models = loaded(trained, settings, int(bars.ts_last[-1]))
    last = month_ticks(chosen.data)[-1]
    ticks = 4096 if chosen.quick else 16_384
    made = live_ticks(
        [SYMBOL],
        start_ms=last.ts + 1000,
        interval_ms=1000,
        count=(ticks + 2048) * len(SIZES) * chosen.rounds + 200_000,
        price=last.price,
    )
    records = iter(
        TickRecord("market.ticks.v1", 0, offset, tick.ts, SYMBOL.encode(), encode_tick(tick))
        for offset, tick in enumerate(made)
    )
    scores: list[Score] = []
    while not (scores and scores[-1].running.get("week")):
        scores += partition.process(list(itertools.islice(records, 1024))).scores
    parts: dict[int, list[tuple[float, float]]] = {size: [] for size in SIZES}

    def side(size: int) -> float:
        parts[size].append(batches(records, partition, size, ticks if size > 1 else ticks // 4))
        return parts[size][-1][1]

    interleaved({f"batches of {size:,}": partial(side, size) for size in SIZES}, chosen.rounds)
    watch = ScoreWatch(50)
    scrapes = [scraped(watch, scores[-1]) for _ in range(4 * chosen.rounds)]
    share = {
        f"batches of {size:,}": ratios([n for _, n in found], [w for w, _ in found])
        for size, found in parts.items()
    }
    took = spread([seconds * 1000 for seconds, _, _ in scrapes])
    _, series, size = scrapes[-1]
    result: dict[str, Any] = {
        "share_of_work": share,
        "scrape_ms": took,
        "series": series,
        "bytes": size,
        "targets": {"scrape_ms": LIMIT_S * 1000, "series": LIMIT_SERIES},
    }
    show(
        spread_table("Metrics of a batch / its work", "share", share, digits=4),
        spread_table(f"A scrape with {SYMBOLS:,} symbols", "ms", {"processor time": took}),
        f"{series:,} series (at most {LIMIT_SERIES:,}), {size / 1024:.0f} KiB",
    )
    save(chosen, result)


if __name__ == "__main__":
    main()
