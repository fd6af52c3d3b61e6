"""Any history of workers that come, warm up, leave and die."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from hypothesis import given
from hypothesis import strategies as st

from stream_app.sharing.assignor import VERSION, GroupAssignor
from stream_app.sharing.reports import Report, Share
from stream_app.sharing.shares import shares

ROUNDS = 50
"""More than any group here needs until nothing moves."""


@dataclass
class Group:
    """Workers that do what they are told."""

    partitions: range
    standbys: int
    told: dict[str, Share] = field(default_factory=dict)
    restored: dict[str, set[int]] = field(default_factory=dict)
    warm: dict[str, set[int]] = field(default_factory=dict)

    def report(self, name: str) -> Report:
        share = self.told[name]
        return Report(
            assigned=share.partitions,
            ready=frozenset(self.restored[name] | self.warm[name]),
            following=share.standby,
        )

    def rebalance(self) -> None:
        """As all do when the group changes; nothing is restored or followed meanwhile."""
        told = shares(
            {name: self.report(name) for name in self.told}, self.partitions, standbys=self.standbys
        )
        for name, share in told.items():
            taken = self.warm[name] & share.partitions
            self.restored[name] = (self.restored[name] & share.partitions) | taken
            self.warm[name] &= share.standby
        self.told = told

    def join(self, name: str) -> None:
        self.told[name], self.restored[name], self.warm[name] = Share(), set(), set()
        self.rebalance()

    def leave(self, name: str) -> None:
        del self.told[name], self.restored[name], self.warm[name]
        if self.told:
            self.rebalance()

    def settle(self) -> int:
        """Restore and warm up all that is told, and rebalance while something is to come."""
        for count in range(ROUNDS):
            for name, share in self.told.items():
                self.restored[name] = set(share.partitions)
                self.warm[name] = set(share.standby)
            if not any(share.coming for share in self.told.values()):
                return count
            self.rebalance()
        raise AssertionError("partitions move without end")


def owners(told: Mapping[str, Share]) -> dict[int, str]:
    found: dict[int, str] = {}
    for name, share in told.items():
        assert not share.partitions & found.keys(), "two workers have a partition"
        found |= dict.fromkeys(share.partitions, name)
    return found


class Histories:
    """What can happen to a group, as hypothesis draws it."""

    steps = st.lists(st.tuples(st.sampled_from("abcde"), st.booleans()), min_size=1, max_size=12)
    """A worker that comes or goes, and whether there is time to settle before the next step."""


@given(
    steps=Histories.steps,
    count=st.integers(1, 12),
    standbys=st.integers(0, 2),
)
def test_a_group_keeps_the_promises(
    steps: list[tuple[str, bool]], count: int, standbys: int
) -> None:
    group = Group(range(count), standbys)
    for name, settles in steps:
        before = owners(group.told)
        ready = {each: group.restored[each] | group.warm[each] for each in group.told}
        ready.setdefault(name, set())
        if name in group.told:
            group.leave(name)
        else:
            group.join(name)
        if not group.told:
            continue
        after = owners(group.told)
        assert after.keys() == set(group.partitions), "nobody has a partition"
        for number, owner in after.items():
            held = before.get(number)
            if held is not None and held != owner and held in group.told:
                assert number in ready[owner] or number not in ready[held], (
                    "moved to a worker that cannot answer it yet"
                )
            if held not in group.told and any(number in ready[each] for each in group.told):
                assert number in ready[owner], "passed by one that stood by"
        for each, share in group.told.items():
            assert share.coming <= share.standby
            assert share.going <= share.partitions
            assert not share.standby & share.partitions
            assert share.workers == len(group.told)
            assert each in group.restored
        coming = [number for share in group.told.values() for number in share.coming]
        going = [number for share in group.told.values() for number in share.going]
        assert sorted(coming) == sorted(going), "one gets what nobody is to give up"
        if settles:
            group.settle()
            loads = [len(share.partitions) for share in group.told.values()]
            assert max(loads) - min(loads) <= 1, "unevenly divided"
            settled = group.told
            group.rebalance()
            assert owners(group.told) == owners(settled), "moves although nothing has happened"
            followed = {
                number: sum(number in share.standby for share in group.told.values())
                for number in group.partitions
            }
            wanted = min(standbys, len(group.told) - 1)
            assert all(each >= wanted for each in followed.values())


@given(workers=st.integers(2, 5), count=st.integers(1, 20))
def test_no_worker_follows_more_of_anothers_partitions_than_its_part(
    workers: int, count: int
) -> None:
    group = Group(range(count), 1)
    for name in "abcde"[:workers]:
        group.join(name)
        group.settle()
    group.rebalance()
    group.settle()
    group.rebalance()
    for share in group.told.values():
        loads = [
            len(other.standby & share.partitions)
            for other in group.told.values()
            if other is not share
        ]
        assert max(loads) <= -(-len(share.partitions) // (workers - 1))


@given(
    numbers=st.frozensets(st.integers(0, 99)),
    more=st.frozensets(st.integers(0, 99)),
    workers=st.integers(1, 9),
)
def test_what_is_said_is_read_back(
    numbers: frozenset[int], more: frozenset[int], workers: int
) -> None:
    report = Report(assigned=numbers, ready=more, following=numbers | more)
    share = Share(partitions=numbers, standby=more, coming=more, workers=workers)
    assert Report.decode(report.encode()) == report
    assert Share.decode(share.encode()) == share
    assert Report.decode(b"") == Report()


@pytest.mark.parametrize("of_another", [b"no JSON", b"[]", b'{"ready":3}', b'{"ready":[null]}'])
def test_a_member_that_says_nothing_readable_is_taken_as_new(of_another: bytes) -> None:
    app: Any = SimpleNamespace(tables=None)
    assignor, topic = GroupAssignor(app), "ticks"
    assignor.topic = topic
    cluster: Any = SimpleNamespace(partitions_for_topic=lambda _: {0, 1})
    members = {
        name: ConsumerProtocolMemberMetadata(VERSION, [topic], said)
        for name, said in {"a": Report(ready=frozenset({0})).encode(), "b": of_another}.items()
    }
    divided = assignor.assign(cluster, members)
    assert sorted(len(each.assignment[0][1]) for each in divided.values()) == [1, 1]


def test_a_follower_without_models_is_given_a_partition_only_where_nobody_else_has_it() -> None:
    """It is not ready: it has the bars, and lacks the models that the owner has."""
    follower = Report(following=frozenset({0, 1}))
    owner = Report(assigned=frozenset({0, 1}), ready=frozenset({0, 1}))
    told = shares({"a": owner, "b": follower}, [0, 1], standbys=1)
    assert (len(told["a"].partitions), len(told["b"].coming)) == (2, 1)
    assert shares({"b": follower}, [0, 1], standbys=1)["b"].partitions == {0, 1}
