"""Divides the group's partitions by `shares.py`, through Kafka's group protocol."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.protocol import (
    ConsumerProtocolMemberAssignment,
    ConsumerProtocolMemberMetadata,
)
from faust.assignor.partition_assignor import PartitionAssignor

from stream_app.sharing.reports import Report, Share
from stream_app.sharing.shares import shares

logger = logging.getLogger(__name__)

NAME: Final = "stream-app"
VERSION: Final = 0
"""Of Kafka's own part of the messages."""


class GroupAssignor(PartitionAssignor):
    """Called by the client of the group: at each join for this worker's metadata, in the group's
    leader to assign, and with this worker's assignment.

    Faust's own does not know which workers are warm, and does not announce standbys.
    """

    report: Callable[[], Report] = Report
    """What this worker says of itself."""
    standbys: int = 1
    topic: str = ""
    """The only one that is divided."""
    share = Share()
    """What this worker was given last."""

    @property
    def name(self) -> str:
        """Of the protocol: all members of a group must have the same."""
        return NAME

    @property
    def version(self) -> int:
        """Of Kafka's part of the messages."""
        return VERSION

    def metadata(self, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """What this worker joins with."""
        return ConsumerProtocolMemberMetadata(VERSION, list(topics), self.report().encode())

    def assign(
        self,
        cluster: ClusterMetadata,
        member_metadata: Mapping[str, ConsumerProtocolMemberMetadata],
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Divide, as the group's leader."""
        partitions = cluster.partitions_for_topic(self.topic) or set()
        reports = {name: _report_of(name, said) for name, said in member_metadata.items()}
        return {
            name: ConsumerProtocolMemberAssignment(
                VERSION, [(self.topic, sorted(share.partitions))], share.encode()
            )
            for name, share in shares(reports, partitions, standbys=self.standbys).items()
        }

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Note this worker's assignment, before its partitions are announced."""
        self.share = Share.decode(assignment.user_data)


def _report_of(name: str, said: ConsumerProtocolMemberMetadata) -> Report:
    try:
        return Report.decode(said.user_data)
    except ValueError as error:
        logger.warning("%s says nothing readable of itself (%s): taken as new", name, error)
        return Report()
