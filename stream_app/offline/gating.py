"""Which of a backtest's versions serve: each is judged against the one that served before it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Final

import orjson

from stream_app.bars.features import BarColumns
from stream_app.offline.training_cache import MOST_BYTES, code_digest
from stream_app.offline.watch import Watch
from stream_app.registry.disk import read_regular, write_new
from stream_app.training.gate import Verdict
from stream_app.training.gate_job import GateJob

JudgeAll = Callable[[Sequence[GateJob]], Iterator[tuple[int, Verdict]]]
"""Judges, as `TrainingPool.judge_numbered`."""
Chain = Sequence[Callable[[int | None], GateJob]]
"""The versions of a symbol: each makes its job, given the number of the one that serves."""
GATE: Final = "gate"
"""The name of the step, and of its kind of work."""
_MADE_BY: Final = ("bars", "models", "scoring", "training")


class VerdictCache:
    """A folder with a file for each verdict. Blocks on the disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, key: str) -> Verdict | None:
        """The cached verdict; None if there is none, or it cannot be read."""
        try:
            told = orjson.loads(read_regular(self._place(key), MOST_BYTES))
            return Verdict(check=told["check"], reason=told["reason"], figures=told["figures"])
        except (OSError, KeyError, TypeError, ValueError):
            return None

    def keep(self, key: str, verdict: Verdict) -> None:
        """Write a verdict."""
        self._folder.mkdir(parents=True, exist_ok=True)
        place = self._place(key)
        place.unlink(missing_ok=True)
        write_new(place, orjson.dumps(asdict(verdict)))

    def _place(self, key: str) -> Path:
        return self._folder / f"{key}.verdict"


def gate_key(job: GateJob) -> str:
    """The SHA-256 of all that a verdict follows from."""
    champion = job.champion
    said = {
        "settings": asdict(job.settings),
        "weights": dict(job.weights),
        "artifacts": _digests(job.artifacts),
        "data_to": job.data_to,
        "champion": None if champion is None else _digests(champion.artifacts),
        "trained_to_ts": None if champion is None else champion.trained_to_ts,
        "code": code_digest(_MADE_BY),
    }
    digest = hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS))
    for item in fields(BarColumns):
        digest.update(getattr(job.bars, item.name).tobytes())
    return digest.hexdigest()


def _digests(artifacts: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(value).hexdigest() for name, value in artifacts.items()}


class Gate:
    """Judges the versions of a symbol one after the other, ahead of time where that is possible."""

    def __init__(self, *, kept: VerdictCache, judge: JudgeAll) -> None:
        self._kept = kept
        self._judge = judge

    def verdicts(self, chains: Sequence[Chain], watch: Watch) -> list[list[Verdict]]:
        """Judge versions. Blocks for half a second each, less where processes run side by side.

        All are first judged as if each one before had been promoted, side by side. Where one is
        refused, the next is judged again, beside the one that serves on.

        Args:
            chains: of each symbol, its versions in order of time.
            watch: told of those that are judged.
        """
        usual = [
            [make(at - 1 if at else None) for at, make in enumerate(chain)] for chain in chains
        ]
        self._look([job for jobs in usual for job in jobs], watch)
        return [list(self._chain(chain, watch)) for chain in chains]

    def _chain(self, chain: Chain, watch: Watch) -> Iterator[Verdict]:
        champion: int | None = None
        for at, make in enumerate(chain):
            (verdict,) = self._look([make(champion)], watch)
            if verdict.check is None:
                champion = at
            yield verdict

    def _look(self, jobs: Sequence[GateJob], watch: Watch) -> list[Verdict]:
        keys = [gate_key(job) for job in jobs]
        found = {key: self._kept.find(key) for key in keys}
        missing = {key: job for key, job in zip(keys, jobs, strict=True) if found[key] is None}
        if missing:
            watch.begin(GATE, {GATE: len(missing)})
        wanted = list(missing)
        for number, verdict in self._judge(list(missing.values())):
            self._kept.keep(wanted[number], verdict)
            found[wanted[number]] = verdict
            watch.done(GATE, 1)
        return [said for key in keys if (said := found[key]) is not None]
