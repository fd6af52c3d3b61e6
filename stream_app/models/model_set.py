"""The models that serve one symbol together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from stream_app.models.base import Member
from stream_app.models.catalog import KALMAN
from stream_app.models.kalman import KalmanMember
from stream_app.models.kalman_filter import KalmanNoise
from stream_app.models.kernel import Compiled, Remembering
from stream_app.models.last_price import LastPriceMember

UNTRAINED: Final = "untrained"
"""The version before the first training."""
_NOT_ASKED: Final = (-1, 0)


class Roster(NamedTuple):
    """How the members of a set are asked, in the order of an ensemble."""

    kernels: tuple[int, ...]
    """As `asking.ask` takes them: kind and address of each."""
    remembering: Remembering | None
    """The one whose state the loop needs."""
    others: tuple[tuple[int, Member], ...]
    """The members that the loop cannot ask, with their places."""
    reasons: Mapping[str, str]
    """By member, why it is not asked, or does not answer as a trained model."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModelSet:
    """The models that serve one symbol together. Replace the whole set, by one assignment."""

    version: str
    trained_to_ts: int
    """Event time of the last tick that the models learned from, epoch ms."""
    members: Mapping[str, Member]
    noise: KalmanNoise
    trained_in_s: float = 0.0
    """Seconds that one process would have taken to train all four; 0 where that is not known."""
    _rosters: dict[tuple[tuple[str, ...], bool], Roster] = field(
        default_factory=dict, init=False, repr=False
    )
    """As `roster` gives them, each made once."""

    @property
    def is_trained(self) -> bool:
        """Whether this set comes from a training."""
        return self.trained_to_ts >= 0

    def roster(self, names: tuple[str, ...], *, has_features: bool) -> Roster:
        """How the members are asked.

        Args:
            names: of the ensemble's members.
            has_features: whether the features of the ticks are known.
        """
        made = self._rosters.get((names, has_features))
        if made is None:
            made = self._rosters[names, has_features] = self._made(names, has_features)
        return made

    def _made(self, names: tuple[str, ...], has_features: bool) -> Roster:
        kernels: list[int] = []
        others: list[tuple[int, Member]] = []
        reasons: dict[str, str] = {}
        remembering = None
        for place, name in enumerate(names):
            member = self.members.get(name)
            kernel = _NOT_ASKED
            if member is None:
                reasons[name] = "not trained yet"
            elif member.needs_features and not has_features:
                reasons[name] = "the window has too few bars"
            else:
                if isinstance(member, LastPriceMember):
                    reasons[name] = f"answers the last price: {member.reason}"
                if isinstance(member, Remembering):
                    remembering = member
                if isinstance(member, Compiled):
                    kernel = member.kernel.kind, member.kernel.address
                else:
                    others.append((place, member))
            kernels += kernel
        return Roster(tuple(kernels), remembering, tuple(others), reasons)


def untrained(horizon_bars: int) -> ModelSet:
    """The set before the first training: only the Kalman filter, with its default noise.

    >>> untrained(horizon_bars=1).is_trained
    False
    """
    noise = KalmanNoise()
    return ModelSet(
        version=UNTRAINED,
        trained_to_ts=-1,
        members={KALMAN: KalmanMember(noise=noise, horizon_bars=horizon_bars)},
        noise=noise,
    )
