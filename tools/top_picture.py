"""Writes docs/img/top.svg: the screen of `stream-app top` as the demo shows it.

    .venv/bin/python tools/top_picture.py [SECONDS]

Runs the demo without a terminal until all four models have answered for a while, for SECONDS (300)
at most.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from stream_app.brokers.embedded import EmbeddedBroker
from stream_app.brokers.process import free_ports
from stream_app.demo.run import demo_settings, run_demo
from stream_app.demo.story import Story
from stream_app.demo.ticks import history
from stream_app.demo.view import line
from stream_app.kafka.topic_check import load_topics
from stream_app.overview.observer import Observer
from stream_app.settings import load_settings
from stream_app.top.app import TopApp

IMAGE: Final = Path(__file__).parents[1] / "docs/img/top.svg"
SIZE: Final = (140, 58)
RATE: Final = 20.0
WARM_S: Final = 20.0
"""That all four models have answered for."""


async def picture(broker: EmbeddedBroker, folder: Path, seconds: float) -> str:
    """Run the demo so long; the screen as SVG."""
    settings = demo_settings(load_settings(), broker.settings_overrides, folder, free_ports(1)[0])
    given = history(None)
    story = Story(broker=broker.name, history_total=given.count)
    stop = asyncio.Event()
    observer = Observer(settings)
    app = TopApp(
        observer.model, observer.bounds, observer.clock.monotonic, note=lambda: line(story)
    )
    with (folder / "worker.log").open("wb") as log:
        running = asyncio.create_task(
            run_demo(
                settings,
                load_topics(settings.topics_file),
                given,
                story,
                per_second=RATE,
                seconds=None,
                stop=stop,
                worker_log=log.fileno(),
            )
        )
        reading = asyncio.create_task(observer.run())
        async with app.run_test(size=SIZE) as pilot:
            while not running.done() and story.seconds < seconds and not _is_warm(story):
                await pilot.pause(0.5)
            shown = app.export_screenshot(title="stream-app top")
        stop.set()
        await running
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    return shown


def _is_warm(story: Story) -> bool:
    since = story.four_models_at
    return since is not None and time.monotonic() - since > WARM_S


def main() -> None:
    """Take the picture."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 300.0
    with tempfile.TemporaryDirectory() as folder, EmbeddedBroker() as broker:
        shown = asyncio.run(picture(broker, Path(folder), seconds))
    IMAGE.write_text("\n".join(text.rstrip() for text in shown.splitlines()) + "\n")
    print(IMAGE)  # noqa: T201 - says what was written


if __name__ == "__main__":
    main()
