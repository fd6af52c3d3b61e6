"""What `stream-app train` prints of its figures."""

from __future__ import annotations

import pytest
from rich.console import Console

from stream_app.commands.train import _lines
from stream_app.models.catalog import CATALOG
from stream_app.scoring.point import Score
from stream_app.training.holdout import Evaluation, ModelScore


def printed(width: int, *, terminal: bool = False, lstm_mae: float = 1.1) -> list[str]:
    scores = dict.fromkeys(CATALOG, ModelScore(mae=0.9, mape=0.9, seconds=1.0, last_price=""))
    worse = scores | {"lstm": ModelScore(mae=lstm_mae, mape=1.1, seconds=1.0, last_price="")}
    found = Evaluation(
        models=worse,
        ensemble=Score(mae=0.9, mape=0.9),
        last_price=Score(mae=1.0, mape=1.0),
        bars=100,
        rows=80,
        test_rows=20,
        jumps=0,
        features=8,
        total_seconds=2.0,
    )
    console = Console(width=width, force_terminal=terminal, color_system=None)
    with console.capture() as captured:
        console.print(*_lines(found, {"target_seconds": 45.0}), sep="\n")
    return captured.get().splitlines()


def test_plus_is_better_as_in_scores() -> None:
    lines = printed(200)
    skill = {line.split()[0]: line for line in lines if line.count("%") == 2}
    assert "+10.00 %" in skill["kalman"]
    assert "-10.00 %" in skill["lstm"]
    assert any("above 0 is better" in line for line in lines)


def test_a_skill_that_rounds_to_zero_has_no_minus() -> None:
    lines = printed(200, lstm_mae=1.000001)
    assert next(line for line in lines if line.startswith("lstm")).endswith(" +0.00 %")


@pytest.mark.parametrize("terminal", [True, False])
def test_80_columns_are_enough(terminal: bool) -> None:
    lines = printed(80 if terminal else 100_000, terminal=terminal)
    assert max(map(len, lines)) <= 80
    head = "100 bars, 80 rows learned from, 20 forecast; all four in 2.0 s (target 45 s)"
    assert lines[0].rstrip() == head
    if not terminal:
        assert not [line for line in lines if line != line.rstrip() or not line.isascii()]
