"""The demo's plain lines, where there is no terminal."""

from __future__ import annotations

import asyncio

import pytest

from stream_app.demo import view
from stream_app.demo.story import Story
from stream_app.settings import Settings


async def test_a_line_of_any_length_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(view, "is_screen", lambda: False)
    story = Story(broker="", history_total=1, phase="feeding " + "word " * 40)
    showing = asyncio.create_task(view.show(story, Settings()))
    await asyncio.sleep(0)
    showing.cancel()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].endswith("word : 0 sent, 0 predictions")


@pytest.mark.parametrize(("acknowledged", "shown"), [(3, "5 sent"), (9, "9 sent")])
def test_no_more_is_predicted_than_was_sent(acknowledged: int, shown: str) -> None:
    story = Story(broker="", history_total=5, sent=acknowledged, predictions=5)
    assert view.line(story).endswith(f"{shown}, 5 predictions (only the Kalman filter)")
