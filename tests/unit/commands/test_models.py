"""What `stream-app models` says where there is nothing to say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from stream_app.commands.models import models


@pytest.fixture(autouse=True)
def nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A champions topic without a record, and a registry without a version."""

    async def told(_: object) -> list[object]:
        return []

    monkeypatch.setattr("stream_app.kafka.champions.told_champions", told)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))


@pytest.mark.parametrize("arguments", [["list"], ["at", "2022-01-01T00:00"]])
def test_that_no_symbol_has_models_is_said(arguments: list[str]) -> None:
    result = CliRunner().invoke(models, arguments)
    assert result.exit_code == 0
    assert result.output == "No symbol has models yet. The first retrain makes them.\n"


def test_a_time_that_lies_ahead_is_said_to() -> None:
    ahead = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    result = CliRunner().invoke(models, ["at", ahead])
    assert result.exit_code == 2
    assert "is in the future" in result.output
