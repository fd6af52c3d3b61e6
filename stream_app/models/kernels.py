"""The compiled loops that evaluate a tree ensemble and an LSTM.

They check no bounds: `tree_nodes.py` and `lstm_weights.py` check their input.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from stream_app.compiled import part

NODE: Final = np.dtype([("value", np.float32), ("feature", np.uint16), ("left", np.uint16)])
"""A branch sends a row left if its feature is at most `value`, else to the node after `left`. A
leaf holds its value; its feature is one past the last and its `left` is itself, so a walk stays
there."""
CACHE_LINE: Final = 64 // NODE.itemsize
LANES: Final = 16
"""Trees walked at the same time: each step waits for memory, and the waits overlap."""


class TreeNodes(NamedTuple):
    """The trees of an ensemble in one array.

    Each tree's nodes are in order of their levels, and the two children of a branch are neighbours.
    So the first steps of a walk are in one cache line.
    """

    nodes: NDArray[Any]
    """Shape (N,), of NODE; `left` counts from the tree's root."""
    roots: NDArray[np.int64]
    """Shape (T,): where each tree begins; the shallowest tree first."""
    depths: NDArray[np.int64]
    """Shape (T,), ascending: steps from the root to the deepest leaf."""


@part
def load_nodes(nodes: NDArray[Any], touched: NDArray[np.float32]) -> None:
    """Read through all nodes in order.

    If they are in no cache, that loads them faster than the walks, which jump.

    Args:
        nodes: as in `TreeNodes`.
        touched: one number, changed, so that the compiler does not leave the loop out.
    """
    for line in range(0, len(nodes), CACHE_LINE):
        touched[0] += nodes[line].value


@part
def tree_sums(  # noqa: PLR0917 - a compiled loop takes no keywords
    nodes: NDArray[Any],
    roots: NDArray[np.int64],
    depths: NDArray[np.int64],
    unit: float,
    features: Any,
    answers: NDArray[np.float64],
) -> None:
    """The sum over all trees for each row, times `unit`.

    Args:
        nodes: as in `TreeNodes`.
        roots: the same.
        depths: the same.
        unit: what a sum of 1.0 stands for.
        features: shape (B, F), float32.
        answers: filled in, shape (B,).
    """
    batch, width = features.shape
    row = np.empty(width + 1, np.float32)
    row[width] = -np.inf  # what a leaf compares: never greater, so the walk stays
    at = np.empty(LANES, np.int64)
    for b in range(batch):
        for f in range(width):
            row[f] = features[b, f]
        total = 0.0
        for first in range(0, len(roots), LANES):
            lanes = min(LANES, len(roots) - first)
            for lane in range(lanes):
                at[lane] = roots[first + lane]
            for _ in range(depths[first + lanes - 1]):
                for lane in range(lanes):
                    node = nodes[at[lane]]
                    right = not (row[node.feature] <= node.value)
                    at[lane] = roots[first + lane] + np.int64(node.left) + np.int64(right)
            for lane in range(lanes):
                total += nodes[at[lane]].value
        answers[b] = total * unit


@numba.njit(inline="always", fastmath={"contract"})
def _tanh(v: Any) -> Any:
    """The hyperbolic tangent within 4e-7: Eigen's rational approximation.

    Source: `generic_fast_tanh_float` in Eigen's MathFunctionsImpl.h, which ONNX Runtime uses too.
    Unlike the C library's function, it can be vectorised, 16 numbers at once.
    """
    x = np.float32(9.0) if v > np.float32(9.0) else v
    x = np.float32(-9.0) if x < np.float32(-9.0) else x
    x2 = x * x
    p = np.float32(-2.76076847742355e-16)
    p = p * x2 + np.float32(2.00018790482477e-13)
    p = p * x2 + np.float32(-8.60467152213735e-11)
    p = p * x2 + np.float32(5.12229709037114e-08)
    p = p * x2 + np.float32(1.48572235717979e-05)
    p = p * x2 + np.float32(6.37261928875436e-04)
    p = p * x2 + np.float32(4.89352455891786e-03)
    q = np.float32(1.19825839466702e-06)
    q = q * x2 + np.float32(1.18534705686654e-04)
    q = q * x2 + np.float32(2.26843463243900e-03)
    q = q * x2 + np.float32(4.89352518554385e-03)
    return x * p / q


@numba.njit(inline="always", fastmath={"contract"})
def _sigmoid(v: Any) -> Any:
    half = np.float32(0.5)
    return half * _tanh(half * v) + half


@numba.njit(fastmath={"contract"}, error_model="numpy")
def _layer_step(inputs: Any, below: int, weights: Any, gates: Any, state: Any) -> None:
    """One LSTM layer, one step, by the formulas of `torch.nn.LSTM`.

    Args:
        inputs: the layer's input, then space for this layer's h.
        below: how many numbers the layer's input has.
        weights: `below + units` rows of `4 * units`, and a row of biases, flat; the gates in
            torch's order: input, forget, cell, output.
        gates: space for `4 * units` numbers.
        state: h and then c; changed in place.
    """
    units = len(state) // 2
    wide = 4 * units
    inputs[below : below + units] = state[:units]
    gates[:wide] = weights[(below + units) * wide :]
    for i in range(below + units):
        row = weights[i * wide : (i + 1) * wide]
        given = inputs[i]
        for j in range(wide):
            gates[j] += given * row[j]
    for j in range(2 * units):
        gates[j] = _sigmoid(gates[j])
    for j in range(2 * units, 3 * units):
        gates[j] = _tanh(gates[j])
    for j in range(3 * units, wide):
        gates[j] = _sigmoid(gates[j])
    h, c = state[:units], state[units:]
    for j in range(units):
        c[j] = gates[units + j] * c[j] + gates[j] * gates[2 * units + j]
        h[j] = gates[3 * units + j] * _tanh(c[j])


class Network(NamedTuple):
    """A trained LSTM, with the scaling before and after its layers."""

    layers: NDArray[np.int64]
    """Units of each layer, shape (L,)."""
    weights: NDArray[np.float32]
    """Each layer's as in `_layer_step`, then the head's weights and its bias; flat."""
    mean: NDArray[np.float32]
    """Mean of the inputs, shape (F,)."""
    deviation: NDArray[np.float32]
    """Standard deviation of the inputs, shape (F,), positive."""
    limit: float
    """Inputs are clipped at this many standard deviations."""
    unit: float
    """The log return that the head's 1.0 stands for."""


@part
def network_step(  # noqa: PLR0917 - a compiled loop takes no keywords
    layers: NDArray[np.int64],
    weights: NDArray[np.float32],
    mean: NDArray[np.float32],
    deviation: NDArray[np.float32],
    limit: Any,
    row: NDArray[np.float32],
    state: NDArray[np.float32],
    space: NDArray[np.float32],
) -> float:
    """Run one step.

    Args:
        layers: as in `Network`, as what follows.
        weights: the same.
        mean: the same.
        deviation: the same.
        limit: the same, float32.
        row: the step's features, shape (F,).
        state: h and c of each layer in turn; changed in place.
        space: for `space_of` numbers.

    Returns:
        What the head says.
    """
    most = layers.max()
    gates, inputs = space[: 4 * most], space[4 * most :]
    for f in range(len(row)):
        v = (row[f] - mean[f]) / deviation[f]
        v = limit if v > limit else v
        inputs[f] = -limit if v < -limit else v
    below, start, first = len(row), 0, 0
    for units in layers:
        end = start + (below + units + 1) * 4 * units
        own = state[first : first + 2 * units]
        _layer_step(inputs, below, weights[start:end], gates, own)
        inputs[:units] = own[:units]
        below, start, first = units, end, first + 2 * units
    head = weights[-below - 1 :]
    answer = np.float64(head[below])
    for j in range(below):
        answer += head[j] * inputs[j]
    return answer


@part
def space_of(layers: NDArray[np.int64], width: int) -> int:
    """How many numbers `network_step` needs as space, for so many features."""
    most: int = layers.max()
    return 4 * most + max(width, most) + most
