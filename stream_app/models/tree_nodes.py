"""Reads a tree ensemble's nodes from its ONNX operator, and orders them for the walk."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray

from stream_app.bars.features import FEATURES
from stream_app.models.kernels import NODE, TreeNodes

OPERATOR: Final = "TreeEnsembleRegressor"
PLAIN: Final[dict[str, Any]] = {
    "n_targets": 1,
    "post_transform": b"NONE",
    "aggregate_function": b"SUM",
    "base_values": [],
}
"""Attributes that could change the sum, with the only values allowed (or absent)."""
LISTS: Final = [
    "treeids",
    "nodeids",
    "modes",
    "featureids",
    "values",
    "truenodeids",
    "falsenodeids",
]
Ints = NDArray[np.int64]


def read_nodes(operator: onnx.NodeProto) -> TreeNodes:
    """The nodes of a TreeEnsembleRegressor.

    Raises:
        ValueError: the operator is not a plain sum of trees, or a tree is malformed.
    """
    given = {each.name: onnx.helper.get_attribute_value(each) for each in operator.attribute}
    if odd := [name for name, plain in PLAIN.items() if given.get(name, plain) != plain]:
        raise ValueError(f"the trees' {odd[0]} is not {PLAIN[odd[0]]!r}")
    if len({len(given[f"nodes_{name}"]) for name in LISTS}) != 1:
        raise ValueError("the lists of nodes differ in length")
    modes = np.array(given["nodes_modes"], dtype=bytes)
    is_leaf = modes == b"LEAF"
    if not (is_leaf | (modes == b"BRANCH_LEQ")).all():
        raise ValueError("a node is neither a leaf nor a comparison by <=")
    tree = _ints(given["nodes_treeids"])
    find = _Finder(tree, _ints(given["nodes_nodeids"]))
    branches = np.flatnonzero(~is_leaf)
    below = np.full((len(tree), 2), -1)
    below[branches, 0] = find(tree[branches], _ints(given["nodes_truenodeids"])[branches])
    below[branches, 1] = find(tree[branches], _ints(given["nodes_falsenodeids"])[branches])
    value = np.array(given["nodes_values"], dtype=np.float32)
    leaves = find(_ints(given["target_treeids"]), _ints(given["target_nodeids"]))
    value[leaves] = np.array(given["target_weights"], dtype=np.float32)
    if sorted(leaves) != np.flatnonzero(is_leaf).tolist():
        raise ValueError("the leaves and their values do not match")
    if not np.isfinite(value).all():
        raise ValueError("a node's value is not finite")
    feature = np.full(len(tree), FEATURES)  # what a leaf compares
    feature[branches] = asked = _ints(given["nodes_featureids"])[branches]
    if not ((asked >= 0) & (asked < FEATURES)).all():
        raise ValueError("a node's feature does not exist")
    return _laid_out(tree, below, value, feature)


class _Finder:
    """Finds the position of a node by its tree's number and its own."""

    def __init__(self, tree: Ints, node: Ints) -> None:
        if not len(tree) or min(tree.min(), node.min()) < 0:
            raise ValueError("there is no tree, or a number is negative")
        self._span = int(node.max()) + 1
        keys = tree * self._span + node
        self._order = np.argsort(keys)
        self._keys = keys[self._order]

    def __call__(self, tree: Ints, node: Ints) -> Ints:
        wanted = tree * self._span + node
        at = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
        if not (self._keys[at] == wanted).all():
            raise ValueError("a node that is referred to does not exist")
        return self._order[at]


def _laid_out(tree: Ints, below: Ints, value: NDArray[np.float32], feature: Ints) -> TreeNodes:
    """Walk down all trees together, one level at a time, and place each node."""
    names, tree = np.unique(tree, return_inverse=True)
    children = below[below >= 0]
    if len(np.unique(children)) != len(children):
        raise ValueError("a node lies below two others")
    levels = [np.setdiff1d(np.arange(len(tree)), children)]
    while len(deeper := below[levels[-1]][below[levels[-1]] >= 0]):
        levels.append(deeper)
    found = np.concatenate(levels)
    if len(levels[0]) != len(names) or len(found) != len(tree):
        raise ValueError("a tree has no root, two roots or nodes in a circle")
    level = np.repeat(np.arange(len(levels)), [len(each) for each in levels])
    order = np.lexsort((level, tree[found]))
    placed = found[order]
    place = np.empty_like(placed)
    place[placed] = np.arange(len(placed))
    first = np.searchsorted(tree[placed], np.arange(len(names)))
    left = np.where(below[:, 0] < 0, place, place[below[:, 0]]) - first[tree]
    if left.max() > np.iinfo(np.uint16).max:
        raise ValueError("a tree has more than 65,536 nodes")
    nodes = np.empty(len(tree), dtype=NODE)
    nodes["value"], nodes["feature"], nodes["left"] = value[placed], feature[placed], left[placed]
    depths = level[order][np.append(first[1:], len(placed)) - 1]
    shallow_first = np.argsort(depths, kind="stable")
    return TreeNodes(nodes=nodes, roots=first[shallow_first], depths=depths[shallow_first])


def _ints(values: Iterable[int]) -> Ints:
    return np.array(values, dtype=np.int64)
