"""What a demo shows: the screen of `stream-app top`, and plain lines where there is no terminal."""

from __future__ import annotations

import asyncio
from typing import Final

from rich.console import Console

from stream_app.demo.story import Story
from stream_app.settings import Settings
from stream_app.terminal.logs import log_nowhere
from stream_app.top.run import is_screen, run_top

PLAIN_EVERY_S: Final = 3.0


async def show(story: Story, settings: Settings) -> None:
    """Show the story until cancelled; on a screen also until a key ends it."""
    if is_screen():
        log_nowhere()
        await run_top(settings, note=lambda: f"{line(story)}  in a browser: {story.dashboard}")
        return
    console = Console(stderr=True)
    while True:
        console.print(line(story), highlight=False, soft_wrap=True)
        await asyncio.sleep(PLAIN_EVERY_S)


def line(story: Story) -> str:
    """How far the demo is."""
    models = " (4 models)" if story.four_models_at else " (only the Kalman filter)"
    # The producer hears of its ticks in batches, and later than a worker may answer them.
    sent = max(story.sent, story.predictions)
    return (
        f"{story.seconds:6.1f} s  {story.phase}: {sent:,} sent, {story.predictions:,} "
        f"predictions{models if story.predictions else ''}"
    )
