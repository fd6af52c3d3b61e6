"""Runs the members of many symbols in one compiled call.

A member that the loop can run has a `Kernel`: its kind, and the address of a record that points to
its numbers. So a new model is served as soon as it is loaded, and nothing is compiled for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.bars.features import FEATURES, LOG_PRICE, VELOCITY
from stream_app.compiled import (
    DOUBLE_TABLE,
    INT_TABLE,
    address_of,
    array_at,
    compiled,
    part,
    types,
)
from stream_app.models.base import Rows
from stream_app.models.kernel import (
    NETWORK,
    NETWORK_RECORD,
    TREES,
    TREES_RECORD,
    TREND,
    TREND_RECORD,
    Kernel,
)
from stream_app.models.kernels import (
    NODE,
    load_nodes,
    network_step,
    space_of,
    tree_sums,
)
from stream_app.models.line import STEPS, add_line

_START, _STOP, _CONTEXT, _QUESTION = range(4)
"""Columns of what is asked."""
_STATE, _KINDS = range(2)
"""Numbers of a question; each member's kind and address follow."""
LEVEL: Final = 6
"""Row of the filter's level among what the ticks saw; the others are those of features.py."""


@part
def _add_line(
    size: int, slopes: int, features: NDArray[np.float32], answers: NDArray[np.float64]
) -> None:
    line = array_at(size, STEPS, np.float64), array_at(slopes, STEPS, np.float64)
    add_line(line[0], line[1], features, answers)


@part
def _ask_trees(address: int, features: NDArray[np.float32], answers: NDArray[np.float64]) -> None:
    trees = array_at(address, 1, TREES_RECORD)[0]
    tree_sums(
        array_at(trees.nodes, trees.node_count, NODE),
        array_at(trees.roots, trees.tree_count, np.int64),
        array_at(trees.depths, trees.tree_count, np.int64),
        trees.unit,
        features,
        answers,
    )
    _add_line(trees.size, trees.slopes, features, answers)


@part
def _numbers(network: Any, width: int) -> tuple[Any, ...]:
    """Layers, weights, mean, deviation and limit of a network, as `network_step` takes them."""
    return (
        array_at(network.layers, network.layer_count, np.int64),
        array_at(network.weights, network.weight_count, np.float32),
        array_at(network.mean, width, np.float32),
        array_at(network.deviation, width, np.float32),
        np.float32(network.limit),
    )


@part
def _ask_network(
    address: int,
    state_address: int,
    features: NDArray[np.float32],
    answers: NDArray[np.float64],
) -> None:
    network = array_at(address, 1, NETWORK_RECORD)[0]
    layers, weights, mean, deviation, limit = _numbers(network, features.shape[1])
    before = array_at(state_address, network.state_count, np.float32)
    space = np.empty(space_of(layers, len(mean)), np.float32)
    state = np.empty(network.state_count, np.float32)
    for b in range(len(features)):
        state[:] = before
        answer = network_step(layers, weights, mean, deviation, limit, features[b], state, space)
        answers[b] = answer * network.unit
    _add_line(network.size, network.slopes, features, answers)


@compiled(types.void(INT_TABLE, DOUBLE_TABLE, types.float32[:, ::1], DOUBLE_TABLE))
def ask(
    asked: NDArray[np.int64],
    moments: NDArray[np.float64],
    features: NDArray[np.float32],
    returns: NDArray[np.float64],
) -> None:
    """Ask the members about all ticks of a batch.

    Args:
        asked: shape (S, 4). For each stretch of ticks: where it begins and ends, what
            `features.fill_vectors` needs, and the address of its question: the address of the
            network's state after the closed bars, and each member's kind and address; one with a
            kind below 0 is not asked.
        moments: what the ticks saw, shape (7 or more, B).
        features: shape (B, F).
        returns: filled in with the log returns over the horizon, shape (members, B); NaN where
            a member is not asked.
    """
    touched = np.zeros(1, np.float32)
    numbers = _KINDS + 2 * len(returns)
    before = array_at(asked[0, _QUESTION], numbers, np.int64)
    for s in range(len(asked)):
        start, stop = asked[s, _START], asked[s, _STOP]
        question = array_at(asked[s, _QUESTION], numbers, np.int64)
        for m in range(len(returns)):
            kind, address = question[_KINDS + 2 * m], question[_KINDS + 2 * m + 1]
            if kind < 0:
                returns[m, start:stop] = np.nan
            elif kind == TREND:
                horizon_bars = array_at(address, 1, TREND_RECORD)[0].horizon_bars
                for b in range(start, stop):
                    trend = moments[LEVEL, b] + moments[VELOCITY, b] * horizon_bars
                    returns[m, b] = trend - moments[LOG_PRICE, b]
            elif kind == TREES:
                if s == 0 or before[_KINDS + 2 * m + 1] != address:
                    trees = array_at(address, 1, TREES_RECORD)[0]
                    load_nodes(array_at(trees.nodes, trees.node_count, NODE), touched)
                _ask_trees(address, features[start:stop], returns[m, start:stop])
            elif kind == NETWORK:
                _ask_network(
                    address, question[_STATE], features[start:stop], returns[m, start:stop]
                )
        before = question


@compiled(types.void(types.int64, types.float32[:, ::1], types.float32[::1]))
def run_through(address: int, rows: NDArray[np.float32], state: NDArray[np.float32]) -> None:
    """Run a network through closed bars.

    Args:
        address: of its kernel.
        rows: their features, shape (T, F), oldest first.
        state: the one before; changed into the one after.
    """
    network = array_at(address, 1, NETWORK_RECORD)[0]
    layers, weights, mean, deviation, limit = _numbers(network, rows.shape[1])
    space = np.empty(space_of(layers, len(mean)), np.float32)
    for t in range(len(rows)):
        network_step(layers, weights, mean, deviation, limit, rows[t], state, space)


def ask_alone(kernel: Kernel, rows: Rows, states: Sequence[int] = ()) -> NDArray[np.float64]:
    """Ask one member.

    Args:
        kernel: of the member.
        rows: what it is asked about.
        states: of a network, the addresses of its states after the rows' histories.

    Returns:
        Log returns over the horizon, shape (B,).

    Raises:
        ValueError: it needs features, and there are none.
    """
    count = len(rows)
    features = rows.features
    if features is None:
        if kernel.kind != TREND:
            raise ValueError("the features of these ticks are not known yet")
        features = np.empty((0, FEATURES), dtype=np.float32)
    moments = np.empty((LEVEL + 1, count))
    moments[LOG_PRICE], moments[VELOCITY] = rows.log_price, rows.kalman_velocity
    moments[LEVEL] = rows.kalman_level
    spans = [(0, count, 0)]
    if states:
        which = rows.history_index.tolist()
        spans, states = [(b, b + 1, 0) for b in range(count)], [states[each] for each in which]
    questions = np.array([(state, kernel.kind, kernel.address) for state in states or [0]])
    first, step = address_of(questions), questions.strides[0]
    asked = [(*span, first + at * step) for at, span in enumerate(spans)]
    returns: NDArray[np.float64] = np.empty((1, count))
    ask(np.array(asked), moments, features, returns)
    answers: NDArray[np.float64] = returns[0]
    return answers
