from __future__ import annotations

import io
import json
from pathlib import Path

import orjson
from rich.console import Console
from rich.spinner import Spinner

from stream_app.demo.story import Story
from stream_app.demo.view import _picture

CONTRACTS = Path(__file__).parents[3] / "docs" / "contracts"


def test_a_symbol_that_looks_like_markup_is_shown_as_it_is() -> None:
    schema = json.loads((CONTRACTS / "prediction.schema.json").read_text())
    story = Story(broker="none", history_total=1)
    story.take_prediction(orjson.dumps(schema["examples"][0] | {"symbol": "[red][/bold]"}))
    shown = Console(file=io.StringIO(), width=200)
    shown.print(_picture(story, Spinner("dots")))
    assert isinstance(shown.file, io.StringIO)
    assert "[red][/bold] at " in shown.file.getvalue()
