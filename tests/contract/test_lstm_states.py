"""The LSTM's states after the closed bars: derived once, and only while somebody needs them."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from stream_app.models.asking import run_through
from stream_app.models.catalog import CATALOG
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
    lengths: list[int] = []

    def noted(address: int, rows: Any, state: Any) -> None:
        lengths.append(len(rows))
        run_through(address, rows, state)

    monkeypatch.setattr("stream_app.models.lstm.run_through", noted)
    rows = live_rows(20, histories=3)
    member.predict(rows)
    member.predict(rows)
    assert lengths == 3 * [SETTINGS.sequence_length - 1]
    member.predict(live_rows(4, histories=2))  # other History objects
    assert lengths == 5 * [SETTINGS.sequence_length - 1]


def test_states_go_with_their_history(lstm: Trained) -> None:
    member = member_of(lstm)
    rows = live_rows(20, histories=3)
    member.predict(rows)
    assert len(member._after) == 3
    del rows
    gc.collect()
    assert len(member._after) == 0
