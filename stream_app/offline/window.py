"""The window that a worker would have after a file's ticks, for commands that train offline."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from stream_app.messages.schemas import Tick
from stream_app.prediction.settings import PredictionSettings
from stream_app.settings import Settings

if TYPE_CHECKING:
    from stream_app.bars.features import BarColumns

_CHUNK: Final = 2048


def counting(console: Console) -> Progress:
    """A progress bar that counts: bars, trainings."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )


def window_after(
    ticks: Iterable[Tick], count: int, symbol: str, settings: Settings, progress: Progress
) -> BarColumns:
    """The symbol's bars after these ticks, by the worker's own code. Blocks for seconds.

    Args:
        ticks: in order of time; those of other symbols are passed over.
        count: how many ticks there are.
        symbol: whose window.
        settings: length of a bar and of the window.
        progress: told of every chunk.
    """
    from stream_app.messages.arrivals import arrived
    from stream_app.prediction.answering import answer_ticks
    from stream_app.prediction.ensemble import Ensemble
    from stream_app.prediction.symbol import SymbolPipeline

    chosen = PredictionSettings.of(settings)
    ensemble, pipeline = Ensemble.of(chosen), SymbolPipeline(symbol, chosen)
    task = progress.add_task("bars", total=count)
    mine = (arrived(tick, 0) for tick in ticks if tick.symbol == symbol)
    while chunk := list(itertools.islice(mine, _CHUNK)):
        answer_ticks([(pipeline, chunk)], ensemble, chosen)
        progress.advance(task, len(chunk))
    return pipeline.window.columns()
