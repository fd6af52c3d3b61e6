"""Windows kept on disk by what they were made from: scoring again makes no bars again."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from stream_app.bars.features import BarColumns
from stream_app.offline.recording import Recording
from stream_app.offline.training_cache import MOST_BYTES, code_digest
from stream_app.offline.windows import NoiseFrom, Windows
from stream_app.prediction.settings import PredictionSettings
from stream_app.registry.disk import read_regular, write_new

_MADE_BY = ("bars", "messages", "models", "offline", "prediction", "scoring")
"""The rooms whose code decides how ticks become bars."""


def windows_key(
    recording: Recording,
    settings: PredictionSettings,
    times: Sequence[int],
    min_bars: int,
    noises: Mapping[str, Sequence[NoiseFrom]],
) -> str:
    """The SHA-256 of all that the windows follow from: ticks, settings, noises and code."""
    said = {
        "symbols": recording.symbols,
        "bar_ms": settings.bar_ms,
        "grace_ms": settings.grace_ms,
        "window_bars": settings.window_bars,
        "sequence_length": settings.sequence_length,
        "times": list(times),
        "min_bars": min_bars,
        "noises": {name: [asdict(each) for each in given] for name, given in noises.items()},
        "code": code_digest(_MADE_BY),
    }
    digest = hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS))
    rows = recording.rows
    for values in (rows.ts, rows.price, rows.size, rows.code):
        if values is not None:
            digest.update(values.tobytes())
    if rows.id is not None:
        digest.update(orjson.dumps(rows.id.tolist()))
    return digest.hexdigest()


class WindowCache:
    """A folder with a file for each set of windows. Blocks on the disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, key: str) -> Windows | None:
        """What was kept; None where there is nothing, or not as it was written."""
        try:
            sealed = read_regular(self._place(key), MOST_BYTES)
            digest, content = sealed[:32], sealed[32:]
            if hashlib.sha256(content).digest() != digest:
                return None
            arrays = np.load(io.BytesIO(content), allow_pickle=False)
            told: dict[str, Any] = orjson.loads(arrays["told"].tobytes())
        except (OSError, KeyError, ValueError):
            return None
        return Windows(
            bars={
                name: BarColumns(
                    **{each.name: arrays[f"{at}.{each.name}"] for each in fields(BarColumns)}
                )
                for at, name in enumerate(told["symbols"])
            },
            cuts=[tuple(cut) for cut in told["cuts"]],
        )

    def keep(self, key: str, windows: Windows) -> None:
        """Write windows, with the digest of their bytes before them."""
        told = orjson.dumps({"symbols": list(windows.bars), "cuts": windows.cuts})
        arrays = {
            f"{at}.{each.name}": getattr(bars, each.name)
            for at, bars in enumerate(windows.bars.values())
            for each in fields(BarColumns)
        }
        content = io.BytesIO()
        np.savez(content, told=np.frombuffer(told, dtype=np.uint8), **arrays)
        self._folder.mkdir(parents=True, exist_ok=True)
        place = self._place(key)
        place.unlink(missing_ok=True)
        sealed = content.getvalue()
        write_new(place, hashlib.sha256(sealed).digest() + sealed)

    def _place(self, key: str) -> Path:
        return self._folder / f"{key}.windows"
