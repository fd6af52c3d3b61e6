"""Which topic the ticks come from: several may have had the same name, one after the other."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The ticks topic behind its name."""

    topic_id: str = ""
    """As the broker reports it; empty where it does not."""
    is_named: bool = True
    """Whether the ids of predictions name it. Only where versions that did not have begun."""
    counts: tuple[int, ...] = ()
    """How many partitions it has had, as far as that is known, rising; the last is the count now.
    Empty outside of Kafka."""

    @property
    def partitions(self) -> int:
        """How many it has now; 0 outside of Kafka."""
        return self.counts[-1] if self.counts else 0

    @property
    def suffix(self) -> str:
        """What follows the topic's name in the ids of predictions.

        >>> Origin(topic_id="l5FVvgvDT2ewKozNmv8HVQ").suffix
        '@l5FVvgvDT2ewKozNmv8HVQ'
        >>> Origin(topic_id="l5FVvgvDT2ewKozNmv8HVQ", is_named=False).suffix
        ''
        """
        return f"@{self.topic_id}" if self.is_named and self.topic_id else ""
