"""What is kept of symbols that nobody hears of any more, as where names come and go for months."""

from __future__ import annotations

import pytest

from stream_app.messages.codec import decode_champion, decode_retrain_event
from stream_app.overview.retrain_log import RetrainLog
from stream_app.overview.version_log import VersionLog
from tests.topic_records import champion, retrain

MOST = 20


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("retrain_log", "version_log"):
        monkeypatch.setattr(f"stream_app.overview.{module}.MOST_SYMBOLS", MOST, raising=False)


def test_of_more_symbols_than_are_kept_the_newest_trainings_are_known() -> None:
    log = RetrainLog()
    for number in range(2 * MOST):
        name = f"S{number}"
        record = retrain(number, symbols=("OFTEN", name), versions={"OFTEN": "v", name: "v"})
        log.take(decode_retrain_event(record.value or b""))
    assert len(log.standings) == MOST
    assert log.standings["OFTEN"].has_models
    assert f"S{2 * MOST - 1}" in log.standings


def test_of_more_symbols_than_are_kept_the_newest_versions_are_known() -> None:
    log = VersionLog()
    for number in range(2 * MOST):
        for name in ("OFTEN", f"S{number}"):
            log.take_champion(decode_champion(champion(f"v{number}", symbol=name).value or b""))
    kept = [name for name in ("OFTEN", *(f"S{n}" for n in range(2 * MOST))) if log.serving(name)]
    assert len(kept) == MOST
    assert kept[0] == "OFTEN"
    assert len(log.table("OFTEN")) == 20


def test_versions_of_the_events_alone_are_bounded_too() -> None:
    log = VersionLog()
    names = [f"S{number}" for number in range(2 * MOST)]
    for number, name in enumerate(names):
        record = retrain(number, symbols=(name,), versions={name: "v"})
        log.take_event(decode_retrain_event(record.value or b""))
    assert sum(log.serving(name) is not None for name in names) == MOST
    # What is heard of again is known again, and the champions topic still counts first.
    log.take_champion(decode_champion(champion("w", symbol="S0").value or b""))
    log.take_event(decode_retrain_event(retrain(99, versions={"S0": "v"}).value or b""))
    assert [line["version"] for line in log.table("S0")] == ["w"]


def test_the_end_of_a_planned_cycle_does_not_end_another_that_runs() -> None:
    log = RetrainLog()
    for record in (
        retrain(1, "started"),
        retrain(2, plan={"symbols": 3.0}, symbols=("A",), versions={"A": "v"}),
    ):
        log.take(decode_retrain_event(record.value or b""))
    assert [event.cycle for event in log.running.values()] == ["c1"]
    log.take(decode_retrain_event(retrain(1).value or b""))
    assert log.running == {}
