"""Who serves, by what was said: order, pins, steps back, and what an operator may ask for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stream_app.errors import VersionError
from stream_app.messages.schemas import Champion, ChampionBy
from stream_app.models.catalog import CATALOG
from stream_app.registry.champion_log import ChampionLog, serving_at
from stream_app.registry.change import Operator, pinned, rolled_back, unpinned
from stream_app.registry.listing import DiskListing
from stream_app.registry.manifest import TrainedSet
from stream_app.registry.overview import Overview
from stream_app.registry.store import Registry
from stream_app.training.settings import model_settings
from tests.builders import TrainedArtifacts, settings

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
OPERATOR = Operator(who="host-1", why="it jumps", now=NOON)


def said(
    version: str,
    by: ChampionBy = "retrain",
    *,
    hour: int = 0,
    pinned: bool = False,
    name: str = "A",
) -> Champion:
    return Champion(
        symbol=name,
        version=version,
        since=(NOON + timedelta(hours=hour)).isoformat(),
        by=by,
        why="",
        pinned=pinned,
        worker="w1",
    )


def test_the_newest_word_counts_and_a_retrain_does_not_replace_a_pin() -> None:
    log = ChampionLog()
    assert log.standing("A") is None
    assert log.take(said("a"))
    assert log.take(said("b", "pin", pinned=True))
    assert not log.take(said("c"))
    assert log.standing("A") == said("b", "pin", pinned=True)
    assert log.take(said("b", "unpin"))
    assert log.take(said("c"))
    assert log.standing("A") == said("c")
    assert log.standing("B") is None
    assert log.symbols == ["A"]


def test_steps_back_go_on_going_back() -> None:
    log = ChampionLog([said("a"), said("b"), said("c")])
    for here, before in (("c", "b"), ("b", "a"), ("a", None)):
        assert log.before("A") == before
        assert log.needed("A") == {here, *([before] if before else [])}
        if before:
            log.take(said(before, "rollback"))
    log.take(said("d"))
    assert log.before("A") == "a"


def test_saying_the_same_twice_changes_nothing() -> None:
    log = ChampionLog([said("a"), said("b"), said("b"), said("b", "unpin")])
    assert log.before("A") == "a"


def test_who_served_at_a_time() -> None:
    told = [said("a"), said("b", hour=2), said("a", "rollback", hour=3), said("x", name="B")]
    for hour, version in ((0, "a"), (1, "a"), (2, "b"), (2.5, "b"), (9, "a")):
        standing = serving_at(told, NOON + timedelta(hours=hour)).standing("A")
        assert standing is not None
        assert standing.version == version
    assert serving_at(told, NOON - timedelta(seconds=1)).standing("A") is None


@pytest.fixture
def on_disk(tmp_path: Path, trained_artifacts: TrainedArtifacts) -> dict[str, list[str]]:
    registry = Registry(tmp_path, model_settings(settings()))
    return {
        name: [
            registry.publish(
                TrainedSet(
                    symbol=name,
                    artifacts=trained_artifacts,
                    seconds=dict.fromkeys(CATALOG, 1.0),
                    rows=100,
                    data_from=0,
                    data_to=1000 * (hour + shift),
                    gate={"ensemble.r2": 0.01},
                ),
                now=NOON + timedelta(hours=hour, seconds=shift),
            ).version
            for hour in range(3)
        ]
        for shift, name in enumerate(("A", "BTC/USD", "B (partition 3)"))
    }


def overview(tmp_path: Path, told: list[Champion]) -> Overview:
    return Overview(told, DiskListing(tmp_path))


def test_an_operator_goes_back_pins_and_unpins(
    tmp_path: Path, on_disk: dict[str, list[str]]
) -> None:
    first, second, third = on_disk["A"]
    told = [said(first), said(second), said(third)]
    back = rolled_back(overview(tmp_path, told), "A", None, OPERATOR)
    assert (back.version, back.by, back.pinned, back.why) == (second, "rollback", False, "it jumps")
    told.append(back)
    pin = pinned(overview(tmp_path, told), "A", first, OPERATOR)
    assert (pin.version, pin.by, pin.pinned) == (first, "pin", True)
    told.append(pin)
    with pytest.raises(VersionError, match=r"is pinned already, since .*: it jumps"):
        pinned(overview(tmp_path, told), "A", first, OPERATOR)
    further = rolled_back(overview(tmp_path, told), "A", third, OPERATOR)
    assert further.pinned
    free = unpinned(overview(tmp_path, [*told, further]), "A", OPERATOR)
    assert (free.version, free.by, free.pinned) == (third, "unpin", False)
    other = pinned(
        overview(tmp_path, []), "B (partition 3)", on_disk["B (partition 3)"][0], OPERATOR
    )
    assert other.symbol == "B (partition 3)"


def test_what_cannot_be_is_refused_in_one_line(
    tmp_path: Path, on_disk: dict[str, list[str]]
) -> None:
    first, second, _ = on_disk["A"]
    foreign, gone = on_disk["BTC/USD"][0], "20250101T000000Z-00000000"
    told = [said(first)]

    def refusal(act: object, *args: object) -> str:
        with pytest.raises(VersionError) as caught:
            act(overview(tmp_path, told), *args, OPERATOR)  # type: ignore[operator]
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "XYZ: no such symbol has models; there are A, B (partition 3), BTC/USD" in refusal(
        pinned, "XYZ", first
    )
    assert f"{foreign!r} belongs to BTC/USD" in refusal(pinned, "A", foreign)
    assert f"{gone!r} is not in the registry, or has gone from it" in refusal(pinned, "A", gone)
    assert f"there are {', '.join(reversed(on_disk['A']))}" in refusal(rolled_back, "A", gone)
    assert "is not in the registry" in refusal(pinned, "A", "../B")
    assert "no version is known to have served before" in refusal(rolled_back, "A", None)
    assert f"{first} serves already" in refusal(rolled_back, "A", first)
    assert "A: not pinned" in refusal(unpinned, "A")
    told = [said(gone), said(second)]
    assert "has gone from it" in refusal(rolled_back, "A", None)


def test_the_versions_of_a_symbol_with_what_is_known_of_each(
    tmp_path: Path, on_disk: dict[str, list[str]]
) -> None:
    first, second, third = on_disk["A"]
    gone = "20270101T000000Z-00000000"
    found = overview(tmp_path, [said(first), said(gone, "pin", hour=1, pinned=True)]).lines("A")
    assert [line.version for line in found] == [gone, third, second, first]
    serving, _, unnamed, before = found
    assert (serving.serves, serving.pinned, serving.on_disk) == (True, True, False)
    assert (serving.by, serving.since) == ("pin", (NOON + timedelta(hours=1)).isoformat())
    assert (unnamed.since, unnamed.on_disk, unnamed.rows) == (None, True, 100)
    assert unnamed.data_to == "1970-01-01T00:00:01+00:00"
    assert unnamed.gate == {"ensemble.r2": 0.01}
    assert (before.serves, before.by) == (False, "retrain")
    assert overview(tmp_path, []).lines("C") == []


def test_a_registry_without_folders_lists_nothing(tmp_path: Path) -> None:
    listing = DiskListing(tmp_path / "none")
    assert listing.symbols() == listing.versions("A") == []
    assert listing.owner("20250101T000000Z-00000000") is None
