"""The cycle under a fake clock, with jobs that do as the test says; the registry is real."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import orjson
import pytest
from aiokafka.errors import TopicAuthorizationFailedError

from stream_app.errors import TrainingError
from stream_app.models.catalog import CATALOG, KALMAN
from stream_app.models.lstm_weights import read_weights
from stream_app.models.model_set import ModelSet
from stream_app.ops.metrics import REGISTRY
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.registry.store import KEPT_VERSIONS, Registry
from stream_app.training.gate import Verdict
from stream_app.training.gate_job import GateJob
from stream_app.training.job import TrainedModel, TrainingJob
from stream_app.training.settings import model_settings
from tests.builders import TrainedArtifacts, records, walk
from tests.fakes import model_set
from tests.unit.training.conftest import PASSED, SETTINGS, Answer, Bench, FakeClock, symbols


def counted(name: str, **labels: str) -> float:
    found = REGISTRY.get_sample_value(f"stream_app_{name}", labels)
    assert found is not None, (name, labels)
    return found


async def test_the_first_cycle_starts_when_the_window_has_enough_bars(
    bench: Callable[..., Bench],
) -> None:
    assert bench(symbols("A", bars=100)).retrainer.due() is None
    due = bench(symbols("A", bars=250)).retrainer.due()
    assert due is not None
    assert due.trigger == "initial"


async def test_a_cycle_trains_all_four_models_and_promotes_them_together(
    bench: Callable[..., Bench], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    made = bench(symbols("A", "B"))
    made.retrainer.tick()
    await made.finish()
    assert {(job.symbol, job.model) for job in made.jobs} == {
        (symbol, model) for symbol in "AB" for model in CATALOG
    }
    started, ended = made.events
    assert started.state == "started"
    assert ended.state == "succeeded"
    assert ended.cycle == started.cycle
    assert ended.trigger == "initial"
    assert ended.lstm_included
    assert ended.model_seconds == dict.fromkeys(CATALOG, 2.0)
    assert ended.rows == 200
    assert ended.symbols == ("A", "B")
    for name, symbol in made.symbols.items():
        assert symbol.models.version == ended.versions[name]
        assert set(symbol.models.members) == set(CATALOG)
    assert list(made.retrainer.training_history) == [ended]
    said = [
        item.getMessage() for item in caplog.records if item.name.startswith("stream_app.training.")
    ]
    for words in (
        "Starting model retraining (all 4 models including LSTM)...",
        "Training Kalman Filter model...",
        "Training Random Forest model...",
        "Training LightGBM model...",
        "Training LSTM model...",
    ):
        assert any(words in line for line in said), words
    assert "Retraining completed in 0.0s (all 4 models)" in said


async def test_a_cycle_over_the_target_warns_and_says_exceeded(
    bench: Callable[..., Bench], caplog: pytest.LogCaptureFixture
) -> None:
    made: Bench = bench(symbols("A"), answer=lambda job: setattr(made.clock, "seconds", 1052.34))
    made.retrainer.tick()
    await made.finish()
    assert made.events[-1].exceeded
    assert made.events[-1].duration_seconds == 52.34
    assert "Training took 52.3s (target: 45s)" in caplog.text


async def test_a_cycle_and_its_trainings_are_counted_by_what_became_of_them(
    bench: Callable[..., Bench],
) -> None:
    def trainings() -> dict[str, float]:
        outcomes = ("succeeded", "failed", "cancelled", "timed_out")
        return {
            f"{model} {outcome}": counted("training_seconds_count", model=model, outcome=outcome)
            for model in ("kalman", "lstm")
            for outcome in outcomes
        }

    def newly(before: dict[str, float]) -> dict[str, float]:
        return {
            name: count - before[name]
            for name, count in trainings().items()
            if count > before[name]
        }

    good, bad = (counted("retrain_seconds_count", outcome=item) for item in ("succeeded", "failed"))
    exceeded, promoted = (
        counted("retrains_exceeded_total"),
        counted("gate_decisions_total", decision="promoted", reason=""),
    )
    before = trainings()
    made: Bench = bench(symbols("A"), answer=lambda job: setattr(made.clock, "seconds", 1052.0))
    made.retrainer.tick()
    await made.finish()
    assert newly(before) == {"kalman succeeded": 1, "lstm succeeded": 1}
    assert counted("retrain_seconds_count", outcome="succeeded") == good + 1
    assert counted("retrains_exceeded_total") == exceeded + 1
    assert counted("gate_decisions_total", decision="promoted", reason="") == promoted + 1
    assert counted("last_retrain_success_timestamp_seconds") == made.clock.now().timestamp()

    async def until_cancelled() -> None:
        await asyncio.sleep(3600)

    def one_fails(job: TrainingJob) -> object:
        if job.model == "lstm":
            raise TrainingError("no")
        return until_cancelled()

    before = trainings()
    made = bench(symbols("A"), answer=one_fails)
    made.retrainer.tick()
    await made.finish()
    assert newly(before) == {"kalman cancelled": 1, "lstm failed": 1}
    assert counted("retrain_seconds_count", outcome="failed") == bad + 1

    before = trainings()
    made = bench(
        symbols("A"),
        answer=lambda job: until_cancelled() if job.model == "lstm" else None,
        retrain_target_seconds=0.05,
        retrain_deadline_seconds=0.1,
    )
    made.retrainer.tick()
    await made.finish()
    assert newly(before) == {"kalman succeeded": 1, "lstm timed_out": 1}


async def test_the_symbol_that_waits_longest_for_a_training_is_measured(
    bench: Callable[..., Bench],
) -> None:
    made = bench(symbols("A", "B"))
    assert made.retrainer.due() is not None
    made.clock.seconds += 40
    assert made.retrainer.due() is not None
    assert counted("training_wait_seconds") == max(made.retrainer.waiting_seconds().values()) == 40


async def test_the_timer_returns_at_once_and_runs_one_cycle_at_a_time(
    bench: Callable[..., Bench],
) -> None:
    gate = asyncio.Event()
    made = bench(symbols("A"), answer=lambda job: gate.wait())
    made.retrainer.tick()
    made.clock.seconds += 7200
    for _ in range(5):
        made.retrainer.tick()
        await asyncio.sleep(0)
    assert len(made.jobs) == 4
    gate.set()
    await made.finish()
    assert len(made.events) == 2


async def test_every_interval_all_symbols_are_retrained(bench: Callable[..., Bench]) -> None:
    made = bench(symbols("A", "B"))
    made.retrainer.tick()
    await made.finish()
    made.retrainer.tick()
    await made.finish()
    assert len(made.events) == 2
    for hour in (1, 2):
        made.clock.seconds = 1000.0 + hour * 3600 + 30
        made.retrainer.tick()
        await made.finish()
        assert made.events[-1].trigger == "scheduled"
        assert made.events[-1].symbols == ("A", "B")
    assert len(made.events) == 6


async def test_missed_hours_are_made_up_by_one_cycle(bench: Callable[..., Bench]) -> None:
    made = bench(symbols("A"))
    made.clock.seconds += 10 * 3600 + 5
    for _ in range(3):
        made.retrainer.tick()
        await made.finish()
    assert [event.trigger for event in made.events] == ["scheduled", "scheduled"]


async def test_a_window_twice_as_long_as_the_one_learned_from_is_worth_a_retrain(
    bench: Callable[..., Bench],
) -> None:
    given = symbols("A", bars=250)
    made = bench(given)
    made.retrainer.tick()
    await made.finish()
    assert made.retrainer.due() is None
    bars = len(given["A"].window)
    given["A"].window = symbols("A", bars=2 * bars + 1)["A"].window
    due = made.retrainer.due()
    assert due is not None
    assert due.trigger == "growth"


async def test_a_symbol_is_trained_early_when_asked_for_at_most_once_in_the_set_time(
    bench: Callable[..., Bench],
) -> None:
    made = bench(symbols("A", "B"), retrain_interval_hours=1000.0, drift_retrain_min_seconds=3600.0)
    made.retrainer.tick()
    await made.finish()
    told = len(made.events)
    assert made.retrainer.ask("A")
    assert not made.retrainer.ask("A")  # it waits
    made.retrainer.tick()
    await made.finish()
    started, ended = made.events[told:]
    assert (started.trigger, started.symbols) == ("drift", ("A",))
    assert ended.state == "succeeded"
    made.clock.seconds += 3599.0
    assert not made.retrainer.ask("A")
    assert made.retrainer.ask("B")
    made.clock.seconds += 1.0
    assert made.retrainer.ask("A")
    made.retrainer.tick()
    await made.finish()
    assert set(made.events[-1].symbols) == {"A", "B"}


def raising(error: Exception, model: str) -> Answer:
    def answer(job: TrainingJob) -> None:
        if job.symbol == "A" and job.model == model:
            raise error

    return answer


@pytest.mark.parametrize("model", list(CATALOG))
async def test_one_model_that_fails_keeps_all_four_of_its_symbol_and_no_other(
    bench: Callable[..., Bench], model: str
) -> None:
    made = bench(symbols("A", "B"), answer=raising(TrainingError("no"), model))
    before = made.symbols["A"].models
    made.retrainer.tick()
    await made.finish()
    ended = made.events[-1]
    assert ended.state == "failed"
    assert ended.reasons == (f"A: TrainingError: no ({model})",)
    assert made.symbols["A"].models is before
    assert made.symbols["B"].models.version == ended.versions["B"]
    made.clock.seconds += 3600
    made.retrainer.tick()  # the next hour tries again
    await made.finish()
    assert {job.symbol for job in made.jobs[-8:]} == {"A", "B"}


async def test_a_job_that_hangs_is_ended_by_the_deadline(bench: Callable[..., Bench]) -> None:
    cancelled = []

    async def hang() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    made = bench(
        symbols("A"),
        answer=lambda job: hang() if job.model == "lstm" else None,
        retrain_target_seconds=0.05,
        retrain_deadline_seconds=0.1,
    )
    before = made.symbols["A"].models
    made.retrainer.tick()
    await made.finish()
    assert made.events[-1].state == "timed_out"
    assert not made.events[-1].lstm_included
    assert cancelled == [True]
    assert made.symbols["A"].models is before


async def test_a_registry_that_cannot_write_keeps_the_models_and_says_why(
    bench: Callable[..., Bench], tmp_path: Path
) -> None:
    made = bench(symbols("A"))
    (tmp_path / "models").write_text("a file where the folder should be")
    before = made.symbols["A"].models
    made.retrainer.tick()
    await made.finish()
    assert made.events[-1].state == "failed"
    assert "model registry" in made.events[-1].reasons[0]
    assert made.symbols["A"].models is before


def starts(made: Bench) -> list[bool]:
    """Of the last cycle's jobs: which has weights to start from, in the order of the models."""
    last = {job.model: job for job in made.jobs[-len(CATALOG) :]}
    return [last[name].start is not None for name in CATALOG]


async def cycles(made: Bench, count: int) -> None:
    for _ in range(count):
        made.retrainer.tick()
        await made.finish()
        made.clock.seconds += 3600


async def test_without_the_setting_every_training_is_from_scratch(
    bench: Callable[..., Bench],
) -> None:
    made = bench(symbols("A"))
    await cycles(made, 3)
    assert len(made.jobs) == 12
    assert all(job.start is None for job in made.jobs)


async def test_with_the_setting_the_lstm_starts_from_the_one_that_serves(
    bench: Callable[..., Bench],
    trained_artifacts: TrainedArtifacts,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    made = bench(symbols("A"), lstm_warm_start=True)
    await cycles(made, 1)
    assert not any(starts(made))
    assert "A: no LSTM serves yet; it is trained from scratch" in caplog.messages
    await cycles(made, 1)
    assert starts(made) == [name == "lstm" for name in CATALOG]
    given = next(job.start for job in made.jobs[4:] if job.model == "lstm")
    wanted = read_weights(trained_artifacts["lstm"], model_settings(SETTINGS))
    assert given is not None
    assert given.keys() == wanted.keys()
    for name, values in wanted.items():
        np.testing.assert_array_equal(given[name], values)


@pytest.mark.parametrize("damage", ["altered", "removed", "foreign"])
async def test_an_lstm_that_cannot_be_read_means_from_scratch_and_a_line_in_the_log(
    bench: Callable[..., Bench],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    damage: str,
) -> None:
    made = bench(symbols("A"), lstm_warm_start=True)
    await cycles(made, 1)
    (file,) = tmp_path.glob("models/*/*/lstm.onnx")
    if damage == "altered":
        file.write_bytes(file.read_bytes()[:-1] + b"!")
    elif damage == "removed":
        file.unlink()
    else:
        right = file.with_name("random_forest.onnx").read_bytes()
        monkeypatch.setattr(Registry, "artifact", lambda *_: right)
    caplog.clear()
    await cycles(made, 1)
    assert not any(starts(made))
    (line,) = [each for each in caplog.messages if "from scratch" in each]
    assert line.startswith("A: ")
    assert "lstm" in line
    assert "\n" not in line
    assert made.events[-1].state == "succeeded"


async def test_a_cycle_that_the_workers_end_cuts_off_says_so(bench: Callable[..., Bench]) -> None:
    async def forever(_job: TrainingJob) -> None:
        await asyncio.Event().wait()

    made = bench(symbols("A"), answer=forever)
    made.retrainer.tick()
    while len(made.jobs) < 4:
        await asyncio.sleep(0)
    await made.retrainer.stop()
    assert [event.state for event in made.events] == ["started", "failed"]
    assert made.events[-1].reasons == ("the worker was stopped",)
    made.clock.seconds += 7200  # the timer goes on for a moment
    made.retrainer.tick()
    await made.finish()
    assert len(made.events) == 2
    assert made.events[-1].cycle == made.events[0].cycle
    assert not made.events[-1].lstm_included


async def test_a_broker_that_is_away_does_not_hold_up_the_end(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def forever(_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("stream_app.training.cycle_news.LAST_WORD_S", 0.01)
    made = bench(symbols("A"), answer=forever)
    made.retrainer.tick()
    while len(made.jobs) < 4:
        await asyncio.sleep(0)
    monkeypatch.setattr(made, "publish", forever)
    await made.retrainer.stop()
    assert [event.state for event in made.events] == ["started"]


def in_two_partitions() -> dict[str, SymbolPipeline]:
    """One symbol's states by name: in the partition of its key, and in another."""
    states = {}
    for number in (1, 3):
        partition = PartitionPipeline(
            PredictionSettings.of(SETTINGS), partition=number, placement=lambda _: (1,)
        )
        partition.process(records(walk(1008, symbol="A", seed=number)))
        states[partition.symbols["A"].name] = partition.symbols["A"]
    return states


async def test_a_symbol_in_two_partitions_is_trained_in_each_and_neither_replaces_the_other(
    bench: Callable[..., Bench], tmp_path: Path
) -> None:
    states = in_two_partitions()
    made = bench(states)
    made.retrainer.tick()
    await made.finish()
    versions = made.events[-1].versions
    assert versions.keys() == {"A", "A (partition 3)"}
    registry = Registry(tmp_path, model_settings(SETTINGS))
    for name, state in states.items():
        champion = registry.champion(name)
        assert champion is not None
        assert champion.version == state.models.version == versions[name]
        assert champion.trained_to_ts == state.window.columns(1).ts_last[0]
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["A", "A~p3"]


async def test_a_state_that_its_symbol_has_left_is_not_trained_again_and_again(
    bench: Callable[..., Bench],
) -> None:
    states = in_two_partitions()
    made = bench(states)
    for _ in range(3):
        made.retrainer.tick()
        await made.finish()
        made.clock.seconds += 3600
    assert [event.symbols for event in made.events if event.state != "started"] == [
        ("A", "A (partition 3)"), ("A",), ("A",),
    ]  # fmt: skip


async def test_a_state_that_its_symbol_has_left_is_compared_with_the_symbols_champion(
    bench: Callable[..., Bench],
    trained_artifacts: TrainedArtifacts,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It has no version of its own: it goes on with the one that served before it was left."""
    states = in_two_partitions()
    given = {"A": states["A"]}
    made = bench(given)
    made.retrainer.tick()
    await made.finish()
    left = given["A (partition 3)"] = states["A (partition 3)"]
    newest = int(left.window.columns(1).ts_last[0])
    left.models = replace(states["A"].models, trained_to_ts=newest - 1)
    made.clock.seconds += 1
    made.retrainer.tick()
    await made.finish()
    judged = made.judged[-1]
    assert judged.symbol == left.name
    assert judged.champion is not None
    assert judged.champion.artifacts == trained_artifacts
    assert "not compared" not in caplog.text


async def look(made: Bench) -> None:
    made.retrainer.tick()
    await made.finish()


async def test_what_is_taken_over_with_models_is_due_when_they_are_old_and_not_at_once(
    bench: Callable[..., Bench],
) -> None:
    here = symbols("A", "B", "C")
    other, new = here.pop("B"), here.pop("C")
    is_starting = True
    made = bench(here, is_starting=lambda: is_starting)
    await look(made)
    is_starting = False
    made.clock.seconds += 600
    await look(made)  # it has settled in
    other.models = replace(made.symbols["A"].models, version=version_of(made.clock, ago_s=1200))
    here |= {"B": other, "C": new}
    await look(made)
    made.clock.seconds += 2399
    await look(made)
    made.clock.seconds += 1
    await look(made)
    told = [(each.trigger, each.symbols) for each in made.events if each.state != "started"]
    assert told == [("initial", ("A",)), ("initial", ("C",)), ("scheduled", ("B",))]


async def test_what_is_taken_over_is_due_when_its_window_has_grown(
    bench: Callable[..., Bench],
) -> None:
    here = symbols("A", bars=450)
    made = bench(here, is_starting=lambda: False)
    state = here.pop("A")
    await look(made)
    learned = int(state.window.columns().ts_last[200])
    state.models = model_set(version=version_of(made.clock, ago_s=60), trained_to_ts=learned)
    here["A"] = state
    await look(made)
    assert [each.trigger for each in made.events] == ["growth", "growth"]


def version_of(clock: FakeClock, *, ago_s: float) -> str:
    return f"{clock.now() - timedelta(seconds=ago_s):%Y%m%dT%H%M%SZ}-00000000"


REFUSED = Verdict(check="too_good", reason="lstm: knows the future", figures={"lstm.r2": 0.9})


async def test_a_refused_version_is_not_written_and_the_old_models_serve_on(
    bench: Callable[..., Bench], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    answers = {"A": REFUSED, "B": PASSED}
    made = bench(symbols("A", "B"), verdict=lambda job: answers[job.symbol])
    before = made.symbols["A"].models
    refused = counted("gate_decisions_total", decision="rejected", reason="too_good")
    made.retrainer.tick()
    await made.finish()
    ended = made.events[-1]
    assert ended.state == "succeeded"
    assert ended.reasons == ()
    assert ended.rejected == {"A": "too_good: lstm: knows the future"}
    assert ended.gate == {"A": {"lstm.r2": 0.9}, "B": {"ensemble.r2": 0.01}}
    assert ended.versions.keys() == {"B"}
    assert ended.symbols == ("A", "B")
    assert made.symbols["A"].models is before
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["B"]
    assert counted("gate_decisions_total", decision="rejected", reason="too_good") == refused + 1
    (said,) = [item for item in caplog.records if "refused" in item.getMessage()]
    assert said.levelno == logging.WARNING
    assert "A: the new models are refused, the old ones serve on: too_good: lstm" in caplog.text


async def test_the_gate_sees_the_artifacts_the_window_and_the_champion(
    bench: Callable[..., Bench], trained_artifacts: TrainedArtifacts
) -> None:
    made = bench(symbols("A"))
    made.retrainer.tick()
    await made.finish()
    made.clock.seconds += 3600
    made.retrainer.tick()
    await made.finish()
    first, second = made.judged
    assert first.artifacts == second.artifacts == trained_artifacts
    assert first.champion is None
    assert second.champion is not None
    assert second.champion.artifacts == trained_artifacts
    assert second.champion.trained_to_ts == first.bars.ts_last[-1]
    assert second.data_to == second.bars.ts_last[-1]


async def test_a_model_of_stale_data_is_seen_by_the_gate(
    bench: Callable[..., Bench], trained_artifacts: TrainedArtifacts
) -> None:
    def stale(job: TrainingJob) -> TrainedModel | None:
        if job.model != "lightgbm":
            return None
        artifact = trained_artifacts[job.model]
        return TrainedModel(name=job.model, artifact=artifact, seconds=1.0, rows=9, data_to=5)

    made = bench(symbols("A"), answer=stale)
    made.retrainer.tick()
    await made.finish()
    assert [job.data_to for job in made.judged] == [5]


async def test_a_champion_that_cannot_be_read_is_not_compared_with(
    bench: Callable[..., Bench], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = bench(symbols("A"))
    made.retrainer.tick()
    await made.finish()
    shutil.rmtree(tmp_path / "models" / "A" / made.events[-1].versions["A"])
    made.clock.seconds += 3600
    made.retrainer.tick()
    await made.finish()
    assert made.judged[-1].champion is None
    assert made.events[-1].versions.keys() == {"A"}
    assert "A: not compared with the champion" in caplog.text


async def test_a_pinned_symbol_is_trained_and_its_new_version_kept_and_does_not_serve(
    bench: Callable[..., Bench], tmp_path: Path, trained_artifacts: TrainedArtifacts
) -> None:
    def another(job: TrainingJob) -> TrainedModel | None:
        if job.model != KALMAN:
            return None
        noise = orjson.loads(trained_artifacts[KALMAN])
        noise["q_level"] *= 1 + len(made.jobs) / 1000
        return TrainedModel(
            name=KALMAN,
            artifact=orjson.dumps(noise),
            seconds=1.0,
            rows=100,
            data_to=int(job.bars.ts_last[-1]),
        )

    made = bench(symbols("A"), answer=another)
    made.retrainer.tick()
    await made.finish()
    serving = made.symbols["A"].models
    made.champions.say("A", serving.version, "pin", pinned=True)
    news = []
    for _ in range(KEPT_VERSIONS + 2):
        made.clock.seconds += 3600
        made.retrainer.tick()
        await made.finish()
        ended = made.events[-1]
        assert (ended.state, ended.versions, ended.rejected) == ("succeeded", {}, {})
        news.append(ended.pinned["A"])
        assert made.symbols["A"].models is serving
    kept = {path.name for path in (tmp_path / "models" / "A").iterdir()}
    assert kept == {serving.version, *news[-KEPT_VERSIONS:]}
    made.champions.say("A", serving.version, "unpin")
    made.clock.seconds += 3600
    made.retrainer.tick()
    await made.finish()
    assert made.symbols["A"].models.version == made.events[-1].versions["A"]


async def test_a_pin_that_comes_while_a_retrain_promotes_holds(bench: Callable[..., Bench]) -> None:
    made = bench(symbols("A"))
    before = made.symbols["A"].models
    promote = made.champions.promote

    async def late(name: str, models: ModelSet) -> bool:
        made.champions.say(name, "v1", "pin", pinned=True)
        return await promote(name, models)

    made.champions.promote = late  # type: ignore[method-assign]
    made.retrainer.tick()
    await made.finish()
    assert made.symbols["A"].models is before
    assert made.events[-1].pinned.keys() == {"A"}
    assert made.events[-1].versions == {}


async def test_a_gate_that_fails_is_a_failed_turn(bench: Callable[..., Bench]) -> None:
    def dies(_job: GateJob) -> Verdict:
        raise RuntimeError("the process died")

    made = bench(symbols("A"), verdict=dies)
    made.retrainer.tick()
    await made.finish()
    assert made.events[-1].state == "failed"
    assert made.events[-1].reasons == ("A: RuntimeError: the process died",)
    assert made.events[-1].versions == {}


async def test_a_promotion_that_the_broker_refuses_is_a_failed_turn(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bench(symbols("A"))

    async def refused(_name: str, _models: ModelSet) -> bool:
        raise TopicAuthorizationFailedError("ops.champions.v1")

    monkeypatch.setattr(made.champions, "promote", refused)
    made.retrainer.tick()
    await made.finish()
    started, ended = made.events
    assert (started.state, ended.state) == ("started", "failed")
    assert "TopicAuthorizationFailedError" in ended.reasons[0]
    assert made.retrainer.training_history[-1] is ended


async def test_a_fault_that_ends_a_cycle_is_in_the_log(
    bench: Callable[..., Bench],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = bench(symbols("A"))

    def broken(_symbol: str, _bars: int) -> None:
        raise ZeroDivisionError("a fault of the program")

    monkeypatch.setattr(made.retrainer._schedule, "turn_begins", broken)
    made.retrainer.tick()
    await made.finish()
    await asyncio.sleep(0)
    assert "a retrain cycle broke off" in caplog.text
    assert "a fault of the program" in caplog.text


async def test_a_symbol_that_cannot_be_trained_is_not_said_to_be_trained_early(
    bench: Callable[..., Bench],
) -> None:
    made = bench(symbols("SHORT", bars=20))
    assert made.retrainer.due() is None
    assert not made.retrainer.ask("SHORT")
    assert not made.retrainer.ask("NOBODY")
