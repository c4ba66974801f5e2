"""A region keeps its key when more frames come, when others grow past it, and when some of it is
labeled.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from loop.math.coverage.region_matching import SAME_REGION, KnownRegion, keys_of_regions
from loop.math.coverage.regions import Region, TrainingSet, find_regions, measure_novelty, nearest_of
from tests.loop.math.coverage.worlds import World, make_world

SEEDS = pytest.mark.parametrize("seed", range(5))


def unit(*values: float) -> NDArray[np.float32]:
    vector = np.array(values, dtype=np.float32)
    return vector / np.float32(np.linalg.norm(vector))


def regions_by_kind(world: World) -> dict[int, Region]:
    """The largest region of each planted kind."""
    novelty, training = measure_novelty(
        world.production, world.training, nearest_of(world.production, world.training, world.search, 5), 5
    )
    found: dict[int, Region] = {}
    for region in find_regions(world.production, novelty, training, world.sequence):
        found.setdefault(int(np.bincount(world.kind[region.rows], minlength=4).argmax()), region)
    return found


def part_of(world: World, sequences: NDArray[np.int64]) -> World:
    kept = np.isin(world.sequence, sequences)
    names = ("production", "kind", "camera", "sequence", "day")
    return replace(world, **{name: getattr(world, name)[kept] for name in names})


@SEEDS
def test_regions_are_known_again_when_twice_as_many_frames_are_there(seed: int) -> None:
    world = make_world(seed)
    every = np.random.default_rng(seed).permutation(np.unique(world.sequence))
    before, now = regions_by_kind(part_of(world, every[: len(every) // 2])), regions_by_kind(world)
    known = [KnownRegion(f"region/{kind}", region.center) for kind, region in before.items()]
    found = dict(zip(now, keys_of_regions([region.center for region in now.values()], known), strict=True))
    assert {kind: found[kind] for kind in before} == {kind: f"region/{kind}" for kind in before}


@SEEDS
def test_a_region_of_which_some_frames_were_labeled_is_the_same_region(seed: int) -> None:
    world = make_world(seed)
    rows = np.concatenate([np.flatnonzero(world.kind == kind)[:6] for kind in (1, 2, 3)])
    own = world.training
    grown = TrainingSet(
        np.concatenate([own.ids, 5000 + np.arange(len(rows))]),
        np.concatenate([own.vectors, world.production[rows]]),
        np.concatenate([own.group, 9000 + np.arange(len(rows)) // 6]),
    )
    before, now = regions_by_kind(world), regions_by_kind(replace(world, training=grown))
    for kind in before.keys() & now.keys():
        likeness = {other: float(now[kind].center @ region.center) for other, region in before.items()}
        assert likeness[kind] > SAME_REGION + 0.1
        assert all(value < SAME_REGION - 0.1 for other, value in likeness.items() if other != kind)


def test_each_known_region_is_one_region_now_and_the_others_are_new() -> None:
    known = [KnownRegion("region/a", unit(1, 0, 0)), KnownRegion("region/b", unit(0, 1, 0))]
    centers = [unit(0.9, 0.45, 0), unit(1, 0.1, 0), unit(0, 0, 1), unit(0.2, 1, 0)]
    keys = keys_of_regions(centers, known)
    assert [keys[1], keys[3]] == ["region/a", "region/b"]
    assert len(set(keys)) == 4
    assert keys == keys_of_regions(centers, known)


def test_regions_of_another_embedder_are_never_the_same() -> None:
    (key,) = keys_of_regions([unit(1, 0, 0)], [KnownRegion("region/a", unit(1, 0))])
    assert key != "region/a"
    assert keys_of_regions([], [KnownRegion("region/a", unit(1, 0))]) == []
