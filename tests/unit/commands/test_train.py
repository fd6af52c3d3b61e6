"""What `stream-app train` prints of its figures."""

from __future__ import annotations

from rich.console import Console

from stream_app.commands.train import _table
from stream_app.models.catalog import CATALOG
from stream_app.scoring.point import Score
from stream_app.training.holdout import Evaluation, ModelScore


def test_plus_is_better_as_in_scores() -> None:
    scores = dict.fromkeys(CATALOG, ModelScore(mae=0.9, mape=0.9, seconds=1.0, last_price=""))
    worse = scores | {"lstm": ModelScore(mae=1.1, mape=1.1, seconds=1.0, last_price="")}
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
    console = Console(width=200)
    with console.capture() as captured:
        console.print(_table(found, {"target_seconds": 45.0}))
    lines = captured.get().splitlines()
    skill = {line.split()[1]: line for line in lines if line.count("%") == 2}
    assert "+10.00 %" in skill["kalman"]
    assert "-10.00 %" in skill["lstm"]
    assert any("plus is better" in line for line in lines)
