"""Records in, answers out, with other models from given moments on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from stream_app.messages.records import Record
from stream_app.models.model_set import ModelSet
from stream_app.offline.walk import Moment, walk
from stream_app.prediction.pipeline import Answer, PartitionPipeline
from stream_app.prediction.settings import PredictionSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """From when on a symbol is answered by other models."""

    symbol: str
    ts: int = 0
    """Event time, epoch milliseconds."""
    offset: int = 0
    """Of the first tick that they may answer."""
    load: Callable[[], ModelSet]
    """Called when their time comes: a month of models would fill the memory."""


def predict(
    records: Iterable[Record],
    settings: PredictionSettings,
    adoptions: Iterable[Adoption],
    *,
    on_answer: Callable[[Answer], None],
    on_progress: Callable[[int], None] = lambda _: None,
) -> None:
    """Answer records of one partition, with the models that serve at each. Blocks for all of them.

    Args:
        records: in order.
        settings: of the pipeline.
        adoptions: in any order; several of one moment and symbol leave the last one.
        on_answer: called with each batch's answer.
        on_progress: called with the number of records of each batch.
    """
    pipeline = PartitionPipeline(settings)

    def adopt(adoption: Adoption) -> None:
        pipeline.pipeline_of(adoption.symbol).models = adoption.load()

    walk(
        records,
        pipeline,
        moments=[
            Moment(ts=each.ts, offset=each.offset, do=lambda each=each: adopt(each))  # type: ignore[misc]
            for each in adoptions
        ],
        on_answer=on_answer,
        on_progress=on_progress,
    )
