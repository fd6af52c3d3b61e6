"""An LSTM that starts from one that serves: the weights come back, and it never gets worse."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from stream_app.bars.features import FEATURES
from stream_app.errors import ArtifactError
from stream_app.models import lstm_network
from stream_app.models.base import ModelSettings, TrainingData
from stream_app.models.line import fit_line
from stream_app.models.lstm import LSTMForecaster
from stream_app.models.lstm_network import LSTMNetwork
from stream_app.models.lstm_weights import Weights, read_weights
from stream_app.models.training_rows import scaled_target
from stream_app.training.job import TrainingJob, prepare, run_job
from tests.contract.worlds import SETTINGS, mean_reverting, random_walk, trending, walk_data


def fitted(
    data: TrainingData, settings: ModelSettings, start: Weights | None = None
) -> LSTMForecaster:
    forecaster = LSTMForecaster(start)
    forecaster.fit(data, settings)
    return forecaster


def learned_of(data: TrainingData, settings: ModelSettings) -> tuple[NDArray[np.float32], float]:
    """What the network learns: the target beyond the line, and its unit."""
    horizon = settings.horizon_bars
    return scaled_target(fit_line(data, horizon).beyond(data), horizon)


def network_of(forecaster: LSTMForecaster) -> LSTMNetwork:
    return forecaster._trained()[0]


def error_on_held(forecaster: LSTMForecaster, data: TrainingData, settings: ModelSettings) -> float:
    """The loss on the rows that a warm start holds back."""
    rows, y = (
        torch.from_numpy(data.rows),
        torch.from_numpy(learned_of(data, settings)[0]),
    )
    _, held = lstm_network.held_back(rows, settings.horizon_bars)
    return lstm_network.held_error(
        network_of(forecaster),
        torch.from_numpy(data.features),
        rows[held],
        y[held],
        settings.sequence_length,
    )


@pytest.fixture(scope="module")
def artifact() -> bytes:
    return fitted(walk_data(), SETTINGS).export()


@pytest.mark.parametrize("layers", [(8, 4), (5,), (6, 5, 4)])
def test_weights_read_back_answer_as_the_network_that_was_exported(layers: tuple[int, ...]) -> None:
    settings = dataclasses.replace(SETTINGS, lstm_layers=layers)
    data = walk_data()
    exported = fitted(data, settings)
    network = network_of(exported)
    other = LSTMNetwork(network.mean, network.deviation, network.unit, layers)
    weights = read_weights(exported.export(), settings)
    other.load_state_dict(
        {**other.state_dict(), **{name: torch.tensor(each) for name, each in weights.items()}}
    )
    given = torch.from_numpy(data.features), torch.from_numpy(data.rows), 8
    np.testing.assert_allclose(
        lstm_network.answers(other, *given).numpy(),
        lstm_network.answers(network, *given).numpy(),
        rtol=0,
        atol=1e-6 * network.unit,
    )
    learned = dict(network.named_parameters())
    assert weights.keys() == learned.keys()
    assert all(values.flags.writeable for values in weights.values())  # torch warns of others
    for name, parameter in learned.items():
        np.testing.assert_array_equal(weights[name], parameter.detach().numpy())


def test_without_an_epoch_that_helps_the_start_is_kept(
    artifact: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an epoch does to the network is lost again, and two of them are enough."""

    def harmful(network: LSTMNetwork, *_: Any) -> Iterator[int]:
        for epoch in range(1, 10):
            with torch.no_grad():
                network.head.bias.add_(100.0)
            yield epoch

    monkeypatch.setattr(lstm_network, "epochs", harmful)
    start = read_weights(artifact, SETTINGS)
    warm = fitted(walk_data(), SETTINGS, start)
    assert warm.epochs == 2
    assert warm.export() == artifact


def test_a_warm_start_on_the_same_data_begins_at_the_old_error_and_never_ends_above_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for bars in (random_walk(400), mean_reverting(400), trending(400)):
        data = prepare(bars, SETTINGS)
        old = fitted(data, SETTINGS)
        seen: list[float] = []
        right = lstm_network.held_error

        def noted(*given: Any, right: Any = right, seen: list[float] = seen) -> float:
            seen.append(right(*given))
            return seen[-1]

        monkeypatch.setattr(lstm_network, "held_error", noted)
        warm = fitted(data, SETTINGS, read_weights(old.export(), SETTINGS))
        monkeypatch.undo()
        assert seen[0] == error_on_held(old, data, SETTINGS)
        assert len(seen) == 1 + warm.epochs
        assert error_on_held(warm, data, SETTINGS) == min(seen) <= seen[0]


def test_a_warm_start_goes_on_while_it_helps_and_no_longer_than_the_epochs() -> None:
    data = prepare(mean_reverting(1000), SETTINGS)
    start = read_weights(fitted(data, SETTINGS).export(), SETTINGS)
    before = error_on_held(fitted(data, SETTINGS), data, SETTINGS)
    longer = dataclasses.replace(SETTINGS, lstm_epochs=4, lstm_batch_size=16)
    warm = fitted(data, longer, start)
    assert warm.epochs == 4
    assert error_on_held(warm, data, longer) < before


@pytest.mark.parametrize("horizon", [1, 3])
def test_no_return_is_both_learned_from_and_judged_by(horizon: int) -> None:
    rows = torch.arange(100, 300)
    learned, held = lstm_network.held_back(rows, horizon)
    assert rows[held].tolist() == list(range(280, 300))
    assert rows[learned].tolist() == list(range(100, 280 - horizon))


def test_the_rows_held_back_are_not_learned_from(artifact: bytes) -> None:
    data, start = walk_data(), read_weights(artifact, SETTINGS)
    _, held = lstm_network.held_back(torch.from_numpy(data.rows), SETTINGS.horizon_bars)
    rows, seen = [], lstm_network.epochs
    with pytest.MonkeyPatch.context() as patched:

        def noted(network: LSTMNetwork, features: Any, given: Any, *rest: Any) -> Iterator[int]:
            rows.extend(given.tolist())
            return seen(network, features, given, *rest)

        patched.setattr(lstm_network, "epochs", noted)
        fitted(data, SETTINGS, start)
    assert max(rows) + SETTINGS.horizon_bars < data.rows[held][0]


def test_rows_too_few_to_hold_some_back_are_learned_from_scratch() -> None:
    settings = dataclasses.replace(SETTINGS, horizon_bars=60)
    data = prepare(random_walk(50 + 48 + 7 + 60), settings)
    scratch = fitted(data, settings)
    warm = fitted(data, settings, read_weights(scratch.export(), settings))
    assert warm.epochs == settings.lstm_epochs
    assert warm.export() == scratch.export()


def test_a_job_starts_where_it_is_told_also_after_it_was_sent(artifact: bytes) -> None:
    start = read_weights(artifact, SETTINGS)
    job = TrainingJob(
        symbol="X", model="lstm", bars=random_walk(400), settings=SETTINGS, start=start
    )
    sent = pickle.loads(pickle.dumps(job))  # noqa: S301 - our own bytes
    warm = run_job(sent)
    assert warm.artifact == fitted(walk_data(), SETTINGS, start).export() == run_job(job).artifact
    assert warm.rows == len(walk_data().rows)


def test_without_a_start_all_rows_are_learned_from_in_every_epoch(artifact: bytes) -> None:
    """The training as it was before there were warm starts, bit for bit."""
    data = walk_data()
    y, unit = learned_of(data, SETTINGS)
    exported = network_of(fitted(data, SETTINGS))
    torch.manual_seed(SETTINGS.seed)
    network = LSTMNetwork(exported.mean, exported.deviation, unit, SETTINGS.lstm_layers)
    rows, target = torch.from_numpy(data.rows), torch.from_numpy(y)
    inputs = network.standardised(torch.from_numpy(data.features))
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=3.0, fused=True)
    shuffle = torch.Generator().manual_seed(SETTINGS.seed)
    for _ in range(SETTINGS.lstm_epochs):
        for batch in torch.split(torch.randperm(len(rows), generator=shuffle), 32):
            x = lstm_network.sequences(inputs, rows[batch], 8)
            optimiser.zero_grad()
            answer, *_ = network.stepped(x, network.initial_states(len(batch)))
            torch.nn.HuberLoss()(answer[:, 0], target[batch]).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
    weights = read_weights(artifact, SETTINGS)
    for name, parameter in network.named_parameters():
        np.testing.assert_array_equal(weights[name], parameter.detach().numpy())


def test_the_parameters_are_those_of_a_hand_count(artifact: bytes) -> None:
    first = 4 * 8 * (FEATURES + 8) + 2 * 4 * 8
    second = 4 * 4 * (8 + 4) + 2 * 4 * 4
    head = 4 + 1
    weights = read_weights(artifact, SETTINGS)
    assert sum(values.size for values in weights.values()) == first + second + head


@pytest.mark.parametrize("junk", [b"", b"{}", b"\xff\xfe"])
def test_no_weights_come_from_junk(junk: bytes) -> None:
    with pytest.raises(ArtifactError, match="lstm artifact"):
        read_weights(junk, SETTINGS)


def test_no_weights_come_from_a_truncated_artifact(artifact: bytes) -> None:
    for part in (0.1, 0.5, 0.99):
        with pytest.raises(ArtifactError, match="lstm artifact"):
            read_weights(artifact[: int(len(artifact) * part)], SETTINGS)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"sequence_length": 9}, "sequence_length=8, .* with 9"),
        ({"horizon_bars": 2}, "horizon_bars=1, .* with 2"),
        ({"lstm_layers": (4, 8)}, r"inputs are .* these settings need"),
        ({"lstm_layers": (8,)}, r"inputs are .* these settings need"),
        ({"lstm_layers": (8, 4, 2)}, r"inputs are .* these settings need"),
    ],
)
def test_no_weights_come_from_an_lstm_of_other_settings(
    artifact: bytes, changed: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ArtifactError, match=reason):
        read_weights(artifact, dataclasses.replace(SETTINGS, **changed))


def altered(artifact: bytes, name: str, values: Any) -> bytes:
    """The artifact with this initialiser replaced, or without it."""
    graph = onnx.load_from_string(artifact)
    found = next(each for each in graph.graph.initializer if each.name == name)
    if values is None:
        graph.graph.initializer.remove(found)
    else:
        found.CopyFrom(numpy_helper.from_array(values, name))
    written: bytes = graph.SerializeToString()
    return written


def test_no_weights_come_from_an_artifact_that_holds_none(artifact: bytes) -> None:
    graph = onnx.load_from_string(artifact).graph
    gates = next(node for node in graph.node if node.op_type == "LSTM").input[1]
    for name in (gates, "head.weight"):
        with pytest.raises(ArtifactError, match="holds no weights to start from"):
            read_weights(altered(artifact, name, None), SETTINGS)
    for wrong in (np.float32(1.0), np.ones((2, 32, FEATURES), dtype=np.float32)):
        with pytest.raises(ArtifactError, match="holds no weights to start from"):
            read_weights(altered(artifact, gates, np.asarray(wrong)), SETTINGS)


def test_no_weights_come_from_numbers_that_no_training_gave(artifact: bytes) -> None:
    for bias in (np.array([np.nan], dtype=np.float32), np.array([1.0])):
        with pytest.raises(ArtifactError, match=r"head\.bias that is not finite float32"):
            read_weights(altered(artifact, "head.bias", bias), SETTINGS)
