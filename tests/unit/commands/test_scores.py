"""What `stream-app scores` says of a symbol that it does not know."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from stream_app.commands.scores import scores
from stream_app.errors import StreamAppError


def test_the_symbols_that_there_are_are_cut_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    async def newest(_: object) -> dict[str, object]:
        return {f"S{number:02}": None for number in range(12)}

    monkeypatch.setattr("stream_app.kafka.scores.read_newest_scores", newest)
    result = CliRunner().invoke(scores, ["NOPE"])
    assert isinstance(result.exception, StreamAppError)
    assert str(result.exception).endswith("S08, S09 and 2 more")
