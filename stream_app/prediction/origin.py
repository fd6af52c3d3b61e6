"""Which topic the ticks come from, where several have had the same name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The ticks topic behind its name."""

    topic_id: str = ""
    """As the broker tells it; empty where it does not."""
    is_anew: bool = False
    """Whether another topic had the name before, whose offsets this one repeats."""

    @property
    def suffix(self) -> str:
        """What follows the topic's name in the ids of predictions.

        >>> Origin(topic_id="l5FVvgvDT2ewKozNmv8HVQ", is_anew=True).suffix
        '@l5FVvgvDT2ewKozNmv8HVQ'
        >>> Origin(topic_id="l5FVvgvDT2ewKozNmv8HVQ").suffix
        ''
        """
        return f"@{self.topic_id}" if self.is_anew else ""
