from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from loop.math.coverage.facets import Facet, Kind, metadata_facet
from loop.math.coverage.frame_arrays import Named
from loop.math.coverage.gaps import rank_gaps
from loop.math.coverage.region_names import describe, nearest_prompts, telling_options
from loop.math.coverage.regions import (
    Novelty,
    Region,
    Search,
    TrainingSet,
    find_regions,
    independent_groups,
    measure_novelty,
    nearest_of,
    region_candidates,
    told_apart,
)
from tests.loop.math.coverage.worlds import BURST, DIM, KINDS, World, constant_search, make_world, unit

SEEDS = pytest.mark.parametrize("seed", range(5))


def novelty_of(
    world: World, search: Search | None = None, training: TrainingSet | None = None
) -> tuple[Novelty, Novelty]:
    known = training or world.training
    nearest = nearest_of(world.production, known, search or world.search, 5)
    return measure_novelty(world.production, known, nearest, 5)


def explore(world: World, search: Search | None = None) -> tuple[Novelty, list[Region]]:
    novelty, training = novelty_of(world, search)
    return novelty, find_regions(world.production, novelty, training, world.sequence)


@SEEDS
def test_planted_gaps_are_the_largest_regions(seed: int) -> None:
    world = make_world(seed)
    novelty, regions = explore(world)
    assert novelty.novel[world.kind == 0].mean() < 0.05
    main = [np.bincount(world.kind[region.rows], minlength=4) for region in regions[:3]]
    assert {KINDS[int(counts.argmax())] for counts in main} == {"night", "fog", "new camera"}
    assert all(counts.max() >= 0.9 * counts.sum() >= 0.9 * 18 for counts in main)
    assert all(region.training.mean() < 0.01 for region in regions)


@SEEDS
def test_fog_is_found_although_a_global_limit_misses_it(seed: int) -> None:
    world = make_world(seed, kinds=(2,))
    novelty, training = novelty_of(world)
    fog = world.kind == 2
    everywhere = np.quantile(training.distance, 0.99)
    assert (novelty.distance[fog] > everywhere).mean() < 0.2
    assert novelty.novel[fog].mean() > 0.6


def test_an_index_that_answers_constants_finds_nothing() -> None:
    novelty, regions = explore(make_world(0), constant_search)
    assert not novelty.novel.any()
    assert regions == []


def test_without_a_gap_there_is_no_region() -> None:
    for seed in range(5):
        novelty, regions = explore(make_world(seed, kinds=()))
        assert novelty.novel.mean() < 0.05
        assert regions == []


def test_the_first_row_is_the_most_typical() -> None:
    world = make_world(1)
    _, regions = explore(world)
    typical = regions[0].typical[regions[0].rows]
    assert (np.diff(typical) <= 0).all()
    assert regions[0].inside.sum() == len(regions[0].rows)


def test_novelty_by_hand_on_a_circle() -> None:
    def on_circle(degrees: list[float]) -> np.ndarray:
        angle = np.radians(degrees)
        return np.column_stack([np.cos(angle), np.sin(angle)]).astype(np.float32)

    rows = on_circle([0, 1, 2, 3, 4, 5])
    training = TrainingSet(np.array([7, 3, 9, 1, 4, 2]), rows, np.arange(6))

    def search(queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        similarity = queries @ rows.T
        best = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(similarity, best, axis=1), training.ids[best]

    asked = on_circle([90, 2.5])
    novelty, own = measure_novelty(asked, training, nearest_of(asked, training, search, 1), k=1)
    one_degree, far, near = (2 * np.sin(np.radians(d / 2)) for d in (1, 85, 0.5))
    np.testing.assert_allclose(own.distance, one_degree, rtol=0.02)
    np.testing.assert_allclose(novelty.distance, [far, near], rtol=0.02)
    np.testing.assert_allclose(novelty.ratio, [far / one_degree, near / one_degree], rtol=0.04)
    assert novelty.novel.tolist() == [True, False]


def test_a_burst_of_the_same_picture_does_not_make_its_surroundings_novel() -> None:
    world = make_world(0, kinds=())
    alone = TrainingSet(world.training.ids, world.training.vectors, np.full(len(world.training.ids), -1))
    grouped, _ = novelty_of(world)
    by_likeness, _ = novelty_of(world, training=alone)
    each = np.arange(len(world.training.ids))
    wrong, _ = novelty_of(world, training=TrainingSet(world.training.ids, world.training.vectors, each))
    assert np.median(grouped.ratio) == pytest.approx(1, abs=0.15)
    assert np.median(by_likeness.ratio) < 1.1, "nobody tells the bursts"
    assert np.median(wrong.ratio) > 1.5, "or this would show nothing"


def test_ids_outside_the_training_set_are_no_neighbors() -> None:
    world = make_world(0)

    def strangers_first(queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        similarity, ids = world.search(queries, k)
        similarity[:, -1], ids[:, -1] = -1, -1
        return similarity, ids

    novelty, _ = novelty_of(world, strangers_first)
    assert np.isfinite(novelty.ratio).all()
    assert novelty.novel[world.kind == 3].all()


def test_no_training_set_is_said() -> None:
    nothing = TrainingSet(np.zeros(0, np.int64), np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    with pytest.raises(ValueError, match="expected at least one embedded training frame, got none"):
        nearest_of(np.eye(4, dtype=np.float32), nothing, constant_search, 5)


def test_prompts_are_compared_with_the_average_frame() -> None:
    average = np.tile([1.0, 0, 0, 0], (50, 1)).astype(np.float32)
    members = np.tile([0.8, 0.6, 0, 0], (5, 1)).astype(np.float32)
    prompts = [("always", np.eye(4)[0]), ("night", np.eye(4)[1]), ("fog", np.eye(4)[2])]
    near = nearest_prompts(members, np.concatenate([average, members]).mean(axis=0), prompts)
    assert [name for name, _ in near] == ["night"]
    assert near[0][1] == pytest.approx(0.6 * 50 / 55)


def test_regions_alone_rank_a_planted_gap_first() -> None:
    world = make_world(3)
    _, regions = explore(world)
    blind = np.where(world.kind > 0, 0.8, 0.2)
    candidates = region_candidates(regions, world.training.group)
    gaps = rank_gaps(candidates, world.day, blind, min_share=0.005, max_share=0.25)
    assert {KINDS[int(world.kind[gap.frames[0]])] for gap in gaps[:3]} == {"night", "fog", "new camera"}
    assert gaps[0].why.startswith("region ")
    assert "of production, 0." in gaps[0].why


def test_region_is_named_by_the_nearest_prompt() -> None:
    world = make_world(0, kinds=(1,))
    novelty, training = novelty_of(world)
    night = world.production[world.kind == 1].mean(axis=0) - world.production[world.kind == 0].mean(axis=0)
    prompts = [("night", night / np.linalg.norm(night)), ("day", -night / np.linalg.norm(night))]
    regions = find_regions(world.production, novelty, training, world.sequence, prompts)
    assert regions[0].name == "region 1 (like night)"
    deaf = find_regions(world.production, novelty, training, world.sequence, prompts, unlike=world.kind == 1)
    assert deaf[0].name == "region 1"


def test_region_is_named_by_the_camera_it_comes_from() -> None:
    world = make_world(0, kinds=(3,))
    novelty, training = novelty_of(world)
    cameras = [f"cam-{number}" for number in world.camera]
    facets = [facet("camera", cameras), facet("site", ["yard"] * len(cameras))]
    regions = find_regions(world.production, novelty, training, world.sequence, facets=facets)
    assert regions[0].name == "region 1 (camera cam-5)"


def facet(name: str, values: Sequence[str | None], kind: Kind = "metadata") -> Facet:
    return replace(metadata_facet(name, Named.of(values), Named.of(["?"])), kind=kind)


def test_an_option_tells_only_where_it_is_seldom_elsewhere() -> None:
    cameras = [facet("camera", ["a", "a", "b", "b", "b", None])]
    assert telling_options(np.array([0, 1]), cameras) == ("camera a",)
    assert telling_options(np.array([2]), cameras) == ()
    assert telling_options(np.array([0, 2, 3]), cameras) == ()
    assert telling_options(np.array([5]), cameras) == ()


def test_what_two_options_hold_together_is_named_after_both() -> None:
    """Night is known, and so is camera 3; the nights of camera 3 are not."""
    camera = facet("camera", [f"cam-{number % 4}" for number in range(400)])
    time = facet("time of day", ["night" if number < 100 else "day" for number in range(400)], "prompt")
    both = np.flatnonzero((np.arange(400) < 100) & (np.arange(400) % 4 == 3))
    assert telling_options(both, [time, camera]) == ("night x cam-3",)
    assert telling_options(both, [time]) == ()
    usual = facet("weather", ["clear"] * 400, "prompt")
    assert telling_options(both, [usual, time, camera]) == ("night x cam-3",), "clear weather says nothing"
    assert telling_options(np.arange(0, 100), [time, camera]) == (), "night alone says it"
    assert describe(("night x cam-3",), [("night", 0.2), ("fog", 0.1)]) == " (night x cam-3; like fog)"
    assert telling_options(both[:5], [time, camera]) == (), "most nights of camera 3 are elsewhere"


def test_a_training_set_of_one_sequence_still_has_a_scale() -> None:
    world = make_world(0)
    one = TrainingSet(world.training.ids, world.training.vectors, np.zeros(len(world.training.ids), np.int64))
    novelty, _ = novelty_of(world, training=one)
    assert novelty.novel[world.kind == 3].all()
    assert np.isfinite(novelty.ratio).all()


def video(count: int, seed: int, dim: int = DIM) -> np.ndarray:
    """A scene that changes little by little before a background; a still picture, now and then."""
    rng = np.random.default_rng([9, seed])
    scene = np.zeros((count, dim))
    for row in range(1, count):
        moves = row // 40 % 3 > 0
        scene[row] = 0.95 * scene[row - 1] + moves * 0.3 * rng.normal(size=dim)
    rows = 8 * unit(rng.normal(size=(1, dim))) + 0.1 * scene + 0.005 * rng.normal(size=(count, dim))
    return unit(rows)


def regions_of(training: np.ndarray, group: np.ndarray, production: np.ndarray) -> list[Region]:
    known = TrainingSet(np.arange(len(training)), training, group)

    def search(queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        similarity = queries @ training.T
        best = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(similarity, best, axis=1), best

    nearest = nearest_of(production, known, search, 5)
    novelty, own = measure_novelty(production, told_apart(known, nearest, 5), nearest, 5)
    return find_regions(production, novelty, own, np.full(len(production), -1))


@SEEDS
def test_images_that_came_one_by_one_are_no_video(seed: int) -> None:
    """Nobody knows their bursts; most of production is as near to them as they are to one another."""
    world = make_world(seed)
    first = np.arange(0, len(world.training.ids), BURST)
    alone = world.training.vectors[first]
    found = regions_of(alone, np.full(len(alone), -1), world.production)
    kinds = {KINDS[int(np.bincount(world.kind[region.rows]).argmax())] for region in found}
    assert {"night", "new camera"} <= kinds


def test_a_video_is_no_independent_evidence_of_itself() -> None:
    clip, photos = video(400, 3), unit(np.random.default_rng(0).normal(size=(60, DIM)))
    rows = np.concatenate([clip, photos])
    known = TrainingSet(np.arange(len(rows)), rows, np.full(len(rows), -1))

    def search(queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        similarity = queries @ rows.T
        best = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(similarity, best, axis=1), best

    nearest = nearest_of(video(800, 3)[400:], known, search, 5)
    each = np.arange(len(rows))
    found = independent_groups(told_apart(known, nearest, 5), each, nearest.training)
    assert len(np.unique(found[:400])) < 20
    as_told = independent_groups(replace(known, group=each // 4), each, nearest.training)
    np.testing.assert_array_equal(as_told, each)


@pytest.mark.parametrize("told", [True, False], ids=["sequences known", "nobody knows"])
@pytest.mark.parametrize("videos", [1, 3])
def test_half_of_a_video_is_nothing_new_to_the_other_half(videos: int, told: bool) -> None:
    for seed in range(3):
        clips = [video(800, 10 * seed + number) for number in range(videos)]
        training = np.concatenate([clip[:400] for clip in clips])
        group = np.repeat(np.arange(videos), 400) if told else np.full(len(training), -1)
        production = np.concatenate([clip[400:] for clip in clips])
        assert regions_of(training, group, production) == []
        other = video(800, 99)[:: 8 if videos == 1 else 4]
        found = regions_of(training, group, np.concatenate([production, other]))
        assert found, "a camera that training never saw"
        inside = np.concatenate([region.rows for region in found])
        assert (inside >= len(production)).mean() > 0.9
        assert len(inside) > 0.5 * len(other)


def test_where_a_whole_place_has_changed_only_what_stands_out_from_that_is_new() -> None:
    clip, change = video(800, 5), np.zeros(DIM)
    change[:8] = 0.2
    later = unit(clip[400:] + change)
    assert regions_of(clip[:400], np.full(400, -1), later) == []
    stray = unit(later[::10] + 5 * np.roll(change, 20))
    (region,) = regions_of(clip[:400], np.full(400, -1), np.concatenate([later, stray]))
    assert (region.rows >= 400).all()
