"""What a backtest reads, and whether anything of it can be scored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stream_app.commands.file_options import Reading
from stream_app.errors import TrainingError
from stream_app.terminal.progress import utc

if TYPE_CHECKING:
    from stream_app.offline.recording import Recording


def read_recording(
    paths: Sequence[Path], symbol: str | None, reading: Reading, bar_seconds: int
) -> Recording:
    """Each file by itself: its bars have a length of their own."""
    from stream_app.offline.recording import Recording

    recording = Recording.of(
        [
            reading.read([path], symbol=symbol, command="backtest", bar_seconds=bar_seconds)
            for path in paths
        ]
    )
    for gap in recording.long_gaps():
        click.echo(f"backtest: {gap}: forecasts across it are not scored", err=True)
    return recording


def require_some_between(recording: Recording, begin: int | None, end: int | None) -> None:
    """Refuse times that leave no tick to score, before anything is trained.

    Args:
        recording: of at least one tick.
        begin: nothing before it is scored, epoch ms; None for no limit.
        end: nor anything at or after it.

    Raises:
        TrainingError: they do.
    """
    first, last = int(recording.rows.ts[0]), int(recording.rows.ts[-1])
    there = f"the files have ticks from {utc(first)} to {utc(last)}"
    if begin is not None and begin > last:
        raise TrainingError(
            f"nothing to score: no tick is at or after --from {utc(begin)}; {there}"
        )
    if end is not None and end <= first:
        raise TrainingError(f"nothing to score: no tick is before --to {utc(end)}; {there}")
