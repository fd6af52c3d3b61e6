"""The demo's live view in a terminal, and its plain lines where there is no terminal."""

from __future__ import annotations

import asyncio
import math
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from stream_app.demo.story import Story
from stream_app.models.catalog import CATALOG
from stream_app.terminal.cycles import history_table
from stream_app.terminal.progress import utc

REFRESH_S: Final = 0.2
PLAIN_EVERY_S: Final = 3.0


async def show(story: Story, console: Console) -> None:
    """Draw the story until cancelled."""
    if console.is_terminal:
        spinner = Spinner("dots")
        with Live(console=console, auto_refresh=False, transient=True) as drawn:
            while True:
                drawn.update(_picture(story, spinner), refresh=True)
                await asyncio.sleep(REFRESH_S)
    while True:
        console.print(_line(story), highlight=False)
        await asyncio.sleep(PLAIN_EVERY_S)


def _line(story: Story) -> str:
    models = "4 models" if story.four_models_at else "Kalman filter alone"
    return (
        f"{story.seconds:6.1f} s  {story.phase}: {story.sent:,} sent, {story.predictions:,} "
        f"predictions ({models})"
    )


def _picture(story: Story, spinner: Spinner) -> RenderableType:
    head = Table.grid(padding=(0, 1))
    spinner.update(text=Text(f"{story.phase}  ({story.seconds:.0f} s, {story.broker})"))
    head.add_row(spinner)
    head.add_row(Text(f"in a browser: {story.dashboard}"))
    bars = Table.grid(padding=(0, 2))
    total = story.history_total
    trained = 1.0 if story.four_models_at else 0.0
    for label, done, of in (
        ("history sent", min(story.sent, total), total),
        ("history answered", min(story.predictions, total), total),
        ("four models serve", trained, 1),
    ):
        note = f"{done:,.0f} of {of:,}" if of > 1 else ("yes" if done else _training(story))
        bars.add_row(label, ProgressBar(total=of, completed=done, width=40), note)
    parts: list[RenderableType] = [head, bars]
    if story.last_prediction is not None:
        parts.append(_prediction_table(story))
    ended = [event for event in story.retrains if event.state != "started"]
    if ended:
        parts.append(history_table(ended[-4:]))
    parts.append(Text("Ctrl-C ends the demo", style="dim"))
    return Group(*parts)


def _training(story: Story) -> str:
    started = [event for event in story.retrains if event.state == "started"]
    return "training" if started else "as soon as there are enough bars"


def _prediction_table(story: Story) -> Table:
    message = story.last_prediction or {}
    latency = story.latency_ms()
    shown = (
        ""
        if latency["p50"] is None
        else f"; p50 {latency['p50']:.1f} ms, p99 {latency['p99']:.1f} ms"
    )
    table = Table(
        title=f"{escape(message['symbol'])} at {utc(message['ts'])}, forecast for "
        f"{message['horizon_s'] // 60} minutes later{shown}",
        title_justify="left",
    )
    table.add_column("model")
    table.add_column("weight", justify="right")
    table.add_column("forecast", justify="right")
    table.add_column("beside the last price", justify="right")
    last = message["last_price"]
    digits = max(2, 6 - round(math.log10(last)))
    for name in CATALOG:
        member = message["members"].get(name)
        if member is None:
            table.add_row(name, "", Text("not trained yet", style="dim"), "")
        else:
            table.add_row(
                name, f"{member['weight']:.2f}", *_forecast(member["prediction"], last, digits)
            )
    table.add_row("bias correction", "", f"{message['bias_correction']:+.{digits}f}", "")
    table.add_row(
        Text("ensemble", style="bold"), "", *_forecast(message["prediction"], last, digits)
    )
    return table


def _forecast(price: float, last: float, digits: int) -> tuple[str, str]:
    points = 10_000 * (price / last - 1)
    colour = "green" if points > 0 else "red"
    return f"{price:,.{digits}f}", f"[{colour}]{points:+.2f} bp[/]"
