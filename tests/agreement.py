"""Whether predictions of the same ticks agree, and whether any is missing."""

from __future__ import annotations

from typing import Any


def versions(message: Any) -> dict[str, str]:
    return {name: member["version"] for name, member in message["members"].items()}


def compare(messages: list[Any], ticks: int) -> tuple[int, int, int]:
    """Lost ids, duplicates, and pairs that differ though they name the same versions."""
    by_id: dict[str, list[Any]] = {}
    for message in messages:
        by_id.setdefault(message["id"], []).append(message)
    differing = sum(
        versions(other) == versions(several[0]) and not alike(other, several[0])
        for several in by_id.values()
        for other in several[1:]
    )
    return ticks - len(by_id), len(messages) - len(by_id), differing


def alike(one: Any, two: Any) -> bool:
    """Equal in all that is no float; floats within 1e-6 relative."""
    if isinstance(one, float) and isinstance(two, float):
        return abs(one - two) <= 1e-6 * max(abs(one), abs(two), 1e-9)
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(alike(one[key], two[key]) for key in one)
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(map(alike, one, two))
    return bool(one == two)
