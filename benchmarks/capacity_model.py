"""The machines that a number of symbols and ticks needs: pure arithmetic on measured costs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

USED: Final = 0.5
"""The share of the cores that ticks may take in the long run. The rest is for catching up after an
outage, for a machine that is away, and for hours with more ticks than the mean."""
TRAINED: Final = 0.8
"""The share of an hour in which all models must be trained."""
REPLICATION: Final = 3
DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What was measured, on one machine."""

    worker_us: float
    """Processor time of a worker for a tick, with batches as they are when it has all it can do."""
    broker_us: float
    """Of a broker for a tick and all that follows from it, without replication."""
    training_core_s: float
    """Processor time of a symbol's four models on a full window."""
    symbol_mib: float
    """A symbol's full window, models and state in a worker."""
    worker_mib: float
    """A worker without symbols."""
    process_mib: float
    """A process of the training pool."""
    tick_bytes: dict[str, float] = field(default_factory=dict)
    """By topic, what one tick leaves on the broker's disk, compressed, as a mean."""


def ticks_per_second(costs: Costs, cores: float) -> float:
    """What workers and a broker on the same cores answer, if they do nothing else."""
    return cores * 1e6 / (costs.worker_us + costs.broker_us)


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a load takes."""

    tick_cores: float
    training_cores: float
    broker_cores: float
    memory_gib: float
    workers: int
    """Of one core for ticks each, for a worker's event loop uses one."""
    partitions: int
    written_mb_s: float
    """By all brokers together, replicas included."""
    stored_tb: float


def need(
    costs: Costs,
    *,
    symbols: int,
    ticks_s: float,
    standbys: int = 1,
    retention_days: dict[str, float] | None = None,
) -> Need:
    """What this load takes, by the measured costs.

    Args:
        costs: of one tick and one symbol.
        symbols: with a full window each.
        ticks_s: of all symbols together, as a mean.
        standbys: workers that follow each partition.
        retention_days: by topic; a topic that is not named counts nothing, as a compacted one.
    """
    kept = retention_days or {}
    tick_cores = ticks_s * costs.worker_us / 1e6 / USED
    training_cores = symbols * costs.training_core_s / 3600 / TRAINED
    workers = math.ceil(tick_cores)
    bytes_s = ticks_s * sum(costs.tick_bytes.values())
    stored = sum(
        ticks_s * each * kept.get(topic, 0.0) * DAY_S for topic, each in costs.tick_bytes.items()
    )
    memory_mib = (
        symbols * (1 + standbys) * costs.symbol_mib
        + workers * costs.worker_mib
        + math.ceil(training_cores) * costs.process_mib
    )
    return Need(
        tick_cores=tick_cores,
        training_cores=training_cores,
        # A follower fetches what the leader wrote: counted as if it cost the same once more.
        broker_cores=ticks_s * costs.broker_us * REPLICATION / 1e6 / USED,
        memory_gib=memory_mib / 1024,
        workers=workers,
        partitions=2 ** math.ceil(math.log2(2 * workers)),
        written_mb_s=bytes_s * REPLICATION / 1e6,
        stored_tb=stored * REPLICATION / 1e12,
    )
