"""Trained models kept on disk by what they were trained from: the same training is done once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, fields
from functools import cache
from pathlib import Path
from typing import Final

import orjson

from stream_app.offline.watch import Watch
from stream_app.registry.disk import read_regular, write_new
from stream_app.registry.manifest import library_versions
from stream_app.training.job import TrainedModel, TrainingJob

Train = Callable[[Sequence[TrainingJob]], Iterator[tuple[int, TrainedModel]]]
"""Runs jobs, as `TrainingPool.run_numbered`."""

_PACKAGE: Final = Path(__file__).parents[1]
_LEARNS_FROM: Final = ("bars", "models", "scoring", "training")
"""The rooms whose code decides what a training gives."""
MOST_BYTES: Final = 1 << 28


@cache
def code_digest(rooms: tuple[str, ...]) -> str:
    """Of the code in these rooms, so that a change of it finds nothing that is stale."""
    digest = hashlib.sha256()
    for room in rooms:
        for path in sorted((_PACKAGE / room).glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def job_key(job: TrainingJob) -> str:
    """The SHA-256 of all that a job's result follows from: bars, settings, code and libraries."""
    said = {
        "model": job.model,
        "settings": asdict(job.settings),
        "libraries": library_versions([job.model]),
        "code": code_digest(_LEARNS_FROM),
    }
    digest = hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS))
    for item in fields(job.bars):
        digest.update(getattr(job.bars, item.name).tobytes())
    return digest.hexdigest()


class TrainingCache:
    """A folder with two files a training: the artifact, and what it took. Blocks on the disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, job: TrainingJob, key: str) -> TrainedModel | None:
        """What this job gave before; None where it is not kept, or not as it was written."""
        place = self._folder / key
        try:
            told = orjson.loads(read_regular(place.with_suffix(".json"), MOST_BYTES))
            artifact = read_regular(place.with_suffix(".artifact"), MOST_BYTES)
            if hashlib.sha256(artifact).hexdigest() != told["sha256"]:
                return None
            return TrainedModel(
                name=job.model,
                artifact=artifact,
                seconds=float(told["seconds"]),
                rows=int(told["rows"]),
                data_to=int(told["data_to"]),
                last_price=told["last_price"],
            )
        except (OSError, KeyError, TypeError, ValueError):
            return None

    def keep(self, key: str, model: TrainedModel) -> None:
        """Write a training's result, the artifact first."""
        self._folder.mkdir(parents=True, exist_ok=True)
        place = self._folder / key
        for suffix in (".json", ".artifact"):
            place.with_suffix(suffix).unlink(missing_ok=True)
        write_new(place.with_suffix(".artifact"), model.artifact)
        told = {
            "sha256": hashlib.sha256(model.artifact).hexdigest(),
            "seconds": model.seconds,
            "rows": model.rows,
            "data_to": model.data_to,
            "last_price": model.last_price,
        }
        write_new(place.with_suffix(".json"), orjson.dumps(told))


def train_kept(
    jobs: Sequence[TrainingJob],
    kept: TrainingCache,
    train: Train,
    *,
    watch: Watch,
    step: str,
) -> list[TrainedModel]:
    """The result of each job, trained only where it is not kept. Blocks for the trainings.

    Args:
        jobs: independent of each other. Two of the same model and bars are trained once, such as
            those of a weekend.
        kept: where results are looked for and written.
        train: runs jobs and yields each result with the position of its job, in any order.
        watch: told of the bars that are still to be learned from, by model.
        step: the name under which.
    """
    keys = [job_key(job) for job in jobs]
    found = {key: kept.find(job, key) for job, key in zip(jobs, keys, strict=True)}
    missing = {key: job for job, key in zip(jobs, keys, strict=True) if found[key] is None}
    units: dict[str, int] = {}
    for job in missing.values():
        units[job.model] = units.get(job.model, 0) + len(job.bars)
    watch.begin(step, units)
    wanted = list(missing)
    for number, model in train(list(missing.values())):
        key = wanted[number]
        kept.keep(key, model)
        found[key] = model
        watch.done(model.name, len(missing[key].bars), model.seconds)
    return [done for key in keys if (done := found[key]) is not None]
