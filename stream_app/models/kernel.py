"""How compiled code finds a member: a record that says where its numbers are."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from stream_app.compiled import address_of
from stream_app.models.base import History
from stream_app.models.kernels import Network, TreeNodes
from stream_app.models.line import Line

TREND, TREES, NETWORK = range(3)
TREND_RECORD: Final = np.dtype([("horizon_bars", np.float64)])
TREES_RECORD: Final = np.dtype(
    [
        ("nodes", np.int64),
        ("node_count", np.int64),
        ("roots", np.int64),
        ("depths", np.int64),
        ("tree_count", np.int64),
        ("unit", np.float64),
        ("size", np.int64),
        ("slopes", np.int64),
    ]
)
NETWORK_RECORD: Final = np.dtype(
    [
        ("layers", np.int64),
        ("layer_count", np.int64),
        ("weights", np.int64),
        ("weight_count", np.int64),
        ("mean", np.int64),
        ("deviation", np.int64),
        ("state_count", np.int64),
        ("limit", np.float64),
        ("unit", np.float64),
        ("size", np.int64),
        ("slopes", np.int64),
    ]
)
"""Records of the kinds. What is not a number of its own is the address of an array; see
`TreeNodes`, `Network` and `Line`."""


class Kernel(NamedTuple):
    """How the compiled loop asks one member. It holds what the addresses point to."""

    kind: int
    address: int
    held: tuple[NDArray[Any], ...]
    state_count: int = 0
    """How many numbers a network's state has."""

    @classmethod
    def of_trend(cls, horizon_bars: int) -> Self:
        """The Kalman filter's trend over the horizon."""
        record = np.array([(horizon_bars,)], dtype=TREND_RECORD)
        return cls(TREND, address_of(record), (record,))

    @classmethod
    def of_trees(cls, trees: TreeNodes, unit: float, line: Line) -> Self:
        """A tree ensemble and its line.

        Args:
            trees: which.
            unit: the log return that a sum of 1.0 stands for.
            line: what it is added to.
        """
        size, slopes = map(np.ascontiguousarray, (line.size, line.slopes))
        nodes, roots, depths = (np.ascontiguousarray(each) for each in trees)
        record = np.array(
            [
                (
                    address_of(nodes),
                    len(nodes),
                    address_of(roots),
                    address_of(depths),
                    len(roots),
                    unit,
                    *(address_of(size), address_of(slopes)),
                )
            ],
            dtype=TREES_RECORD,
        )
        return cls(TREES, address_of(record), (record, nodes, roots, depths, size, slopes))

    @classmethod
    def of_network(cls, network: Network, line: Line) -> Self:
        """An LSTM and its line."""
        size, slopes = map(np.ascontiguousarray, (line.size, line.slopes))
        arrays = (network.layers, network.weights, network.mean, network.deviation)
        layers, weights, mean, deviation = map(np.ascontiguousarray, arrays)
        state_count = 2 * int(layers.sum())
        record = np.array(
            [
                (
                    address_of(layers),
                    len(layers),
                    address_of(weights),
                    len(weights),
                    address_of(mean),
                    address_of(deviation),
                    state_count,
                    network.limit,
                    network.unit,
                    *(address_of(size), address_of(slopes)),
                )
            ],
            dtype=NETWORK_RECORD,
        )
        held = (record, layers, weights, mean, deviation, size, slopes)
        return cls(NETWORK, address_of(record), held, state_count)


@runtime_checkable
class Compiled(Protocol):
    """A member that the loop can ask."""

    kernel: Kernel


@runtime_checkable
class Remembering(Protocol):
    """A member whose answer depends on the closed bars: it keeps a state after them."""

    def state_after(self, history: History) -> int:
        """The state's address, valid while member and history are held."""
        ...
