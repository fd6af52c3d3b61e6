"""How the predictions of one symbol are written; the forms are kept while nothing changes them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from stream_app.models.catalog import KALMAN
from stream_app.models.model_set import ModelSet, untrained
from stream_app.prediction.track_record import TrackRecord
from stream_app.prediction.writing import Form, Lines, MemberWords, form_of


class Wording:
    """The forms of one symbol.

    Args:
        symbol: whose.
        horizon_s: how far ahead.
        placement: what each answer says of the symbol's partition.
    """

    def __init__(self, symbol: str, *, horizon_s: int, placement: tuple[str, ...]) -> None:
        self._symbol = symbol
        self._horizon_s = horizon_s
        self._placement = placement
        self._forms: dict[tuple[tuple[float, ...], tuple[str, ...]], Form] = {}
        """By weights, where not all members have answered, and `degraded`."""
        self._models = untrained(1)
        self._factors: Sequence[float] = ()
        self.usual: Form | None = None
        """Of now, where all members have answered and nothing is to be said."""
        self._place = (-1, "", ("", 0))
        """For which models, factors and place the forms are."""

    def write(
        self,
        start: int,
        stop: int,
        lines: Lines,
        *,
        models: ModelSet,
        since: int,
        id_suffix: str,
        record: TrackRecord,
    ) -> None:
        """Say how to write the predictions of a stretch.

        Args:
            start: the place of its first tick.
            stop: the place after its last one.
            lines: those of the batch.
            models: that answered.
            since: the offset at which they began to serve.
            id_suffix: what follows the topic's name in ids.
            record: whose corrections are in force.
        """
        place = since, id_suffix, lines.place
        if (
            self._models is not models
            or self._factors is not record.factors
            or self._place != place
        ):
            self._models, self._factors, self._place = models, record.factors, place
            self._forms, self.usual = {}, None
        blend, reasons = lines.said.blend, lines.said.seen.reasons
        if blend.is_full and not reasons:
            if self.usual is None:
                self.usual = self._made(self._placement, start, lines, record)
            lines.forms.append((start, stop, self.usual))
            return
        for at in range(start, stop):
            degraded = (*blend.degraded[at], *self._placement, *reasons.get(at, ()))
            weights = () if blend.is_full else tuple(blend.weights[:, at].tolist())
            lines.forms.append((at, at + 1, self._form(weights, degraded, at, lines, record)))

    def _form(
        self,
        weights: tuple[float, ...],
        degraded: tuple[str, ...],
        at: int,
        lines: Lines,
        record: TrackRecord,
    ) -> Form:
        """How to write one prediction. Who has not answered is among the reasons."""
        form = self._forms.get((weights, degraded))
        if form is None:
            form = self._forms[weights, degraded] = self._made(degraded, at, lines, record)
        return form

    def _made(self, degraded: tuple[str, ...], at: int, lines: Lines, record: TrackRecord) -> Form:
        since, id_suffix, *_ = self._place
        models, blend = self._models, lines.said.blend
        # The filter's state, and so its answer, also depends on when it took over its noise.
        kalman_version = f"{models.version}@{since}" if models.is_trained else models.version
        members = zip(
            blend.names,
            blend.prices[:, at].tolist(),
            blend.weights[:, at].tolist(),
            record.factors,
            strict=True,
        )
        return form_of(
            source=lines.source_of(at),
            id_suffix=id_suffix,
            symbol=self._symbol,
            horizon_s=self._horizon_s,
            members=[
                MemberWords(
                    name=name,
                    row=row,
                    weight=weight,
                    version=kalman_version if name == KALMAN else models.version,
                    shrinkage=factor,
                )
                for row, (name, price, weight, factor) in enumerate(members)
                if not math.isnan(price)
            ],
            degraded=degraded,
            shrinkage=record.factor,
            ensemble=len(blend.names),
            levels=[bound.level for bound in record.bounds],
        )
