"""The LSTM's states after the closed bars: derived once, and only while somebody needs them."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from stream_app.models.catalog import CATALOG
from stream_app.models.kernels import lstm_run
from stream_app.models.lstm import LSTMMember
from tests.contract.conftest import Trained, train
from tests.contract.worlds import SETTINGS, live_rows


@pytest.fixture(scope="module")
def lstm() -> Trained:
    return train("lstm")


def member_of(lstm: Trained) -> LSTMMember:
    member = CATALOG["lstm"].load(lstm.artifact, SETTINGS)
    assert isinstance(member, LSTMMember)
    return member


def test_closed_bars_run_once_and_a_tick_is_one_step(
    lstm: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = member_of(lstm)
    shapes: list[tuple[int, ...]] = []

    def noted(network: Any, x: Any, *given: Any) -> None:
        shapes.append(x.shape[:2])
        lstm_run(network, x, *given)

    monkeypatch.setattr("stream_app.models.lstm.lstm_run", noted)
    rows = live_rows(20, histories=3)
    member.predict(rows)
    assert shapes == [(SETTINGS.sequence_length - 1, 3), (1, 20)]
    member.predict(rows)
    assert shapes[2:] == [(1, 20)]
    member.predict(live_rows(4, histories=2))  # other History objects
    assert shapes[3:] == [(SETTINGS.sequence_length - 1, 2), (1, 4)]


def test_states_go_with_their_history(lstm: Trained) -> None:
    member = member_of(lstm)
    rows = live_rows(20, histories=3)
    member.predict(rows)
    assert len(member._after) == 3
    assert all(after.base is None for after in member._after.values())  # none holds the others
    del rows
    gc.collect()
    assert len(member._after) == 0
