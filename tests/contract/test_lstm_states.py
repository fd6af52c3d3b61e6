"""The LSTM's states after the closed bars: derived once, and only while somebody needs them."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stream_app.models.catalog import LOADERS
from stream_app.models.lstm import LSTMMember
from tests.contract.conftest import Trained, train
from tests.contract.worlds import SETTINGS, live_rows


class CountingSession:
    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.shapes: list[tuple[int, ...]] = []

    def run(self, outputs: list[str], feed: dict[str, NDArray[np.float32]]) -> Any:
        self.shapes.append(feed["x"].shape[:2])
        return self._inner.run(outputs, feed)


@pytest.fixture(scope="module")
def lstm() -> Trained:
    return train("lstm")


def counted(lstm: Trained) -> tuple[LSTMMember, CountingSession]:
    member = LOADERS["lstm"](lstm.artifact, SETTINGS)
    assert isinstance(member, LSTMMember)
    session = CountingSession(member._session)
    member._session = session
    return member, session


def test_closed_bars_run_once_and_a_tick_is_one_step(lstm: Trained) -> None:
    member, session = counted(lstm)
    rows = live_rows(20, histories=3)
    member.predict(rows)
    assert session.shapes == [(SETTINGS.sequence_length - 1, 3), (1, 20)]
    member.predict(rows)
    assert session.shapes[2:] == [(1, 20)]
    member.predict(live_rows(4, histories=2))  # other History objects
    assert session.shapes[3:] == [(SETTINGS.sequence_length - 1, 2), (1, 4)]


def test_states_go_with_their_history(lstm: Trained) -> None:
    member, _ = counted(lstm)
    rows = live_rows(20, histories=3)
    member.predict(rows)
    assert len(member._after) == 3
    assert all(after.base is None for after in member._after.values())  # none holds the others
    del rows
    gc.collect()
    assert len(member._after) == 0
