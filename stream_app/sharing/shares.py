"""Which worker of a group has which partition, and which is its standby. Pure: no Kafka.

A partition goes to a worker that can answer it at once, if there is one: a *warm* one, which has
followed its bars. So a worker that joins first follows partitions, and is assigned them once it is
warm; and the partitions of one that leaves go to its standbys. Nothing moves without need. Kafka
Streams does the same (KIP-441).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping

from stream_app.sharing.reports import Report, Share


def shares(
    reports: Mapping[str, Report], partitions: Collection[int], *, standbys: int
) -> dict[str, Share]:
    """Divide the partitions among the workers.

    Every worker that asks with the same arguments gets the same answer.

    Args:
        reports: by the worker's name in the group.
        partitions: all of the topic.
        standbys: how many workers follow each partition beside the one that answers it, as far
            as there are so many.

    Returns:
        By name. The numbers of partitions differ by one at most once `coming` is empty everywhere.
    """
    division = _Division(reports, sorted(partitions))
    division.keep()
    division.place_orphans()
    division.balance()
    division.stand_by(standbys)
    return division.result()


class _Division:
    def __init__(self, reports: Mapping[str, Report], partitions: list[int]) -> None:
        self._reports = reports
        self._names = sorted(reports)
        self._partitions = partitions
        self._owner: dict[int, str] = {}
        self._successor: dict[int, str] = {}
        """Of a partition that moves once its successor is warm."""
        self._followers: dict[int, set[str]] = {number: set() for number in partitions}
        self._followed: Counter[str] = Counter()
        """By worker, how many partitions it follows."""
        self._followed_of: Counter[tuple[str, str]] = Counter()
        """By worker and owner, how many of the owner's it follows."""

    def keep(self) -> None:
        """Leave each partition with who has it. Two have it where one missed a change."""
        for number in self._partitions:
            claims = [name for name in self._names if number in self._reports[name].assigned]
            if claims:
                self._owner[number] = max(claims, key=lambda name: self._fitness(name, number))

    def place_orphans(self) -> None:
        """Give partitions that nobody has to the fittest who has few."""
        for number in self._partitions:
            if number not in self._owner:
                self._owner[number] = max(
                    self._names,
                    key=lambda name: (
                        self._is_ready(name, number),
                        -len(self._later(name)),
                        self._fitness(name, number),
                    ),
                )

    def balance(self) -> None:
        """Take from who has most for who has fewest, at once or once that one is warm."""
        while True:
            loads = {name: len(self._later(name)) for name in self._names}
            giver = max(self._names, key=lambda name: loads[name])
            taker = min(self._names, key=lambda name: loads[name])
            if loads[giver] - loads[taker] <= 1:
                return
            number = max(self._later(giver), key=lambda each: self._fitness(taker, each))
            owner = self._owner[number]
            self._successor.pop(number, None)
            if owner == taker:
                continue  # it was to go elsewhere, and stays
            if self._is_ready(taker, number) or not self._is_ready(owner, number):
                self._owner[number] = taker
            else:
                self._successor[number] = taker

    def stand_by(self, standbys: int) -> None:
        """Choose who follows each partition: spread, so that no death burdens one worker alone."""
        owned = Counter(self._owner.values())
        for number, successor in self._successor.items():
            self._follow(successor, number)
        for number in self._partitions:
            owner = self._owner[number]
            others = [name for name in self._names if name != owner]
            fair = -(-owned[owner] * standbys // max(1, len(others)))
            chosen: set[str] = set()
            for _ in range(min(standbys, len(others))):
                chosen.add(
                    min(
                        (name for name in others if name not in chosen),
                        key=lambda name: self._aptness(name, number, owner, fair),
                    )
                )
            for name in chosen:
                self._follow(name, number)
            if not any(self._is_ready(name, number) for name in self._followers[number]):
                # A warm one continues until those that are to follow are warm too.
                for name in others:
                    if self._is_ready(name, number):
                        self._follow(name, number)

    def _follow(self, name: str, number: int) -> None:
        if name not in self._followers[number]:
            self._followers[number].add(name)
            self._followed[name] += 1
            self._followed_of[name, self._owner[number]] += 1

    def _aptness(self, name: str, number: int, owner: str, fair: int) -> tuple[bool | int, ...]:
        """The lowest follows the partition: by preference one that does, else who follows few."""
        report = self._reports[name]
        return (
            name not in self._followers[number] and self._followed_of[name, owner] >= fair,
            number not in report.ready,
            number not in report.following,
            self._followed_of[name, owner],
            self._followed[name],
            self._rank(name, number),
        )

    def result(self) -> dict[str, Share]:
        return {
            name: Share(
                partitions=frozenset(
                    number for number, owner in self._owner.items() if owner == name
                ),
                standby=frozenset(
                    number for number, names in self._followers.items() if name in names
                ),
                coming=frozenset(
                    number for number, successor in self._successor.items() if successor == name
                ),
                going=frozenset(
                    number for number in self._successor if self._owner[number] == name
                ),
                workers=len(self._names),
            )
            for name in self._names
        }

    def _later(self, name: str) -> list[int]:
        """What a worker has once all that is to move has moved."""
        return [
            number
            for number, owner in self._owner.items()
            if self._successor.get(number, owner) == name
        ]

    def _is_ready(self, name: str, number: int) -> bool:
        return number in self._reports[name].ready

    def _fitness(self, name: str, number: int) -> tuple[bool, bool, int]:
        report = self._reports[name]
        return number in report.ready, number in report.following, -self._rank(name, number)

    @staticmethod
    def _rank(name: str, number: int) -> int:
        """The same everywhere, and as good as drawn by lot."""
        digest = hashlib.blake2b(f"{name}/{number}".encode(), digest_size=8).digest()
        return int.from_bytes(digest)
