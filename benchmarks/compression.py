"""What each of Kafka's compressions saves and costs, on real ticks, predictions and bars.

A month of prices goes through a pipeline with four models that were trained on it. Its messages are
packed into record batches of three sizes, as our producers pack them, and read back.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from harness import options, progress, save, show
from prices import CHUNK, SYMBOL, month_ticks, plain_settings, train, with_sources
from rich.table import Table

from stream_app.messages.arrivals import tick_of
from stream_app.messages.codec import encode_bar
from stream_app.messages.ticks import encode_tick
from stream_app.models.catalog import CATALOG
from stream_app.models.kalman import KalmanMember
from stream_app.models.model_set import ModelSet
from stream_app.prediction.answering import answer_ticks
from stream_app.prediction.ensemble import Ensemble
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.settings import Settings
from stream_app.training.settings import model_settings

CODECS: Final = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
"""By the number that a record batch names them with."""
BATCHES: Final = (1, 64, 512)
LAST: Final = 8192
"""How many of the month's last ticks are answered by all four models."""


def main() -> None:
    chosen, _ = options(__doc__)
    settings = plain_settings()
    with progress() as shown:
        shown.add_task("a month of messages", total=None)
        kinds = messages(chosen.data, settings)
    rounds = 1 if chosen.quick else chosen.rounds
    result: dict[str, dict[str, dict[str, float]]] = {}
    for kind, values in kinds.items():
        table = Table(title=f"{kind}: bytes a message, and us to write and read one")
        table.add_column("messages in a batch", justify="right")
        for codec in CODECS:
            table.add_column(codec, justify="right")
        for size in BATCHES:
            row = {}
            for codec, number in CODECS.items():
                best = min(
                    (packed(values, size, number) for _ in range(rounds)), key=lambda m: m[1]
                )
                row[codec] = best
            result[f"{kind}, batches of {size}"] = {
                codec: {"bytes": b, "write_us": w, "read_us": r} for codec, (b, w, r) in row.items()
            }
            table.add_row(str(size), *(f"{b:.0f}; {w:.1f} {r:.1f}" for b, w, r in row.values()))
        show(table)
    save(chosen, {"messages": {kind: len(values) for kind, values in kinds.items()}, **result})


def messages(data: object, settings: Settings) -> dict[str, list[bytes]]:
    """The month's ticks, its bars, and the predictions of four models for the last ticks."""
    wanted = PredictionSettings.of(settings)
    pipeline, ensemble = SymbolPipeline(SYMBOL, wanted), Ensemble.of(wanted)
    ticks = with_sources(month_ticks(data))  # type: ignore[arg-type]
    bars, predictions = [], []
    for start in range(0, len(ticks), CHUNK):
        if start >= len(ticks) - LAST and not pipeline.models.is_trained:
            pipeline.models = trained(pipeline, settings)
        answer = answer_ticks([(pipeline, ticks[start : start + CHUNK])], ensemble, wanted)
        bars += [encode_bar(bar) for bar in answer.symbols[0].bars]
        if pipeline.models.is_trained:
            predictions += answer.predictions.values()
    return {
        "ticks": [encode_tick(tick_of(SYMBOL, key)) for key, *_ in ticks[-LAST:]],
        "predictions": predictions,
        "bars": bars,
    }


def trained(pipeline: SymbolPipeline, settings: Settings) -> ModelSet:
    """Four models that learned from the pipeline's window."""
    bars = pipeline.window.columns()
    found = train(bars, settings)
    members = {
        name: spec.load(found[name].artifact, model_settings(settings))
        for name, spec in CATALOG.items()
    }
    kalman = members["kalman"]
    assert isinstance(kalman, KalmanMember)
    return ModelSet(
        version="20220131T000000Z-0123abcd",
        trained_to_ts=int(bars.ts_last[-1]),
        members=members,
        noise=kalman.noise,
    )


def packed(values: Sequence[bytes], size: int, codec: int) -> tuple[float, float, float]:
    """Bytes, and microseconds of processor time to write and to read, of one message."""
    key, total, writing, reading = SYMBOL.encode(), 0, 0.0, 0.0
    most = len(values) if size > 1 else min(len(values), 1024)
    for first in range(0, most - size + 1, size):
        started = time.process_time()
        builder = DefaultRecordBatchBuilder(
            magic=2,
            compression_type=codec,
            is_transactional=False,
            producer_id=-1,
            producer_epoch=-1,
            base_sequence=-1,
            batch_size=2**20,
        )
        for offset, value in enumerate(values[first : first + size]):
            assert builder.append(offset, 1_643_673_600_000, key, value, []) is not None
        batch = bytes(builder.build())
        written = time.process_time()
        assert sum(1 for _ in DefaultRecordBatch(batch)) == size
        reading += time.process_time() - written
        writing += written - started
        total += len(batch)
    count = (most // size) * size
    return total / count, writing * 1e6 / count, reading * 1e6 / count


if __name__ == "__main__":
    main()
