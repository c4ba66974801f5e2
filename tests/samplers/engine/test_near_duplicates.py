from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from samplers.engine import near_duplicates as clusters
from samplers.engine.near_duplicates import (
    LITTLE_NOISE,
    MOST_NOISE,
    SAME_VIEW,
    TOLD,
    camera_center,
    camera_residual,
    connected_groups,
    estimate_threshold,
    leaders,
    may_lead,
    near_duplicates,
    reach_of,
    telling_coordinates,
)

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


def column(*values: float) -> Floats:
    return np.array(values, dtype=np.float32)[:, None]


def distances(points: NDArray[Any]) -> NDArray[np.float64]:
    exact = points.astype(np.float64)
    return np.linalg.norm(exact[:, None] - exact[None], axis=2)


def test_leaders_by_hand_a_slow_pan_is_a_chain() -> None:
    pan = column(0, 0.6, 1.2, 1.8, 0.1)
    assert leaders(pan, np.ones(5)).tolist() == [0, 0, 2, 2, 0]


def test_groups_by_hand_a_slow_pan_is_one() -> None:
    pan = column(0, 0.6, 1.2, 1.8, 5.0)
    assert connected_groups(pan, np.ones(5)).tolist() == [0, 0, 0, 0, 1]


def test_one_is_thinned_within_the_reach_of_both_and_could_leak_within_that_of_either() -> None:
    points, reach = column(0, 0.6, 1.7), np.array([1.0, 0.5, 1.0])
    assert leaders(points, reach).tolist() == [0, 1, 2]
    assert connected_groups(points, reach).tolist() == [0, 0, 1]


def test_a_frame_joins_the_nearest_leader_not_the_first() -> None:
    assert leaders(column(0, 1.1, 0.9), np.ones(3)).tolist() == [0, 1, 1]


points_and_reach = st.integers(0, 2**32 - 1).map(lambda seed: _drawn(np.random.default_rng(seed)))


def _drawn(rng: np.random.Generator) -> tuple[Floats, NDArray[np.float64]]:
    count, dim = int(rng.integers(1, 60)), int(rng.integers(1, 4))
    points = rng.normal(size=(count, dim)).astype(np.float32)
    return points, rng.uniform(0.1, 1.0, size=count)


def slow_leaders(points: NDArray[Any], reach: NDArray[np.float64]) -> list[int]:
    apart, chosen, found = distances(points), [], []
    for row in range(len(points)):
        ratio = [(apart[row, old] / min(reach[row], reach[old]), old) for old in chosen]
        nearest = min(ratio, default=(np.inf, -1))
        if nearest[0] > 1:
            chosen.append(row)
        found.append(row if nearest[0] > 1 else nearest[1])
    return found


def slow_groups(near: NDArray[np.bool_]) -> list[set[int]]:
    groups: list[set[int]] = []
    for row in range(len(near)):
        touched = [group for group in groups if any(near[row, member] for member in group)]
        groups = [group for group in groups if group not in touched] + [{row}.union(*touched)]
    return groups


@settings(max_examples=60, deadline=None)
@given(points_and_reach, st.integers(1, 60), st.sampled_from([1, 7, 512]))
def test_leaders_are_those_of_the_plain_loop_in_any_blocks_and_parts(
    drawn: tuple[Floats, NDArray[np.float64]], cut: int, block: int
) -> None:
    points, reach = drawn
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clusters, "BLOCK_ROWS", block)
        whole = leaders(points, reach)
        first = leaders(points[:cut], reach[:cut])
        led = np.unique(first)
        then = leaders(points[cut:], reach[cut:], points[led], reach[led])
    assert whole.tolist() == slow_leaders(points, reach)
    names = np.concatenate([led, np.arange(cut, len(points))])
    assert [*first, *names[then]] == whole.tolist()


@pytest.mark.slow
@settings(max_examples=120, deadline=None)
@given(points_and_reach, st.sampled_from([1, 3]), st.sampled_from([1, 7, 512]))
def test_groups_are_those_of_the_plain_loop_and_neither_pair_nor_cluster_lies_in_two(
    drawn: tuple[Floats, NDArray[np.float64]], cameras: int, block: int
) -> None:
    points, reach = drawn
    camera = np.arange(len(points)) % cameras
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clusters, "BLOCK_ROWS", block)
        patch.setattr(clusters, "MANY_PAIRS", block)
        patch.setattr(clusters, "SAME_VIEW", 0.2)
        group = connected_groups(points, reach, camera)
    limit = np.where(camera[:, None] == camera, np.maximum(reach[:, None], reach), 0.2)
    near = distances(points) <= limit
    assert {frozenset(np.flatnonzero(group == g).tolist()) for g in group} == {
        frozenset(members) for members in slow_groups(near)
    }
    for one in range(cameras):
        own = np.flatnonzero(camera == one)
        leader = leaders(points[own], reach[own])
        assert all(len(np.unique(group[own][leader == name])) == 1 for name in leader)


def test_across_cameras_only_copies_are_near() -> None:
    points, camera = column(0, 0.5, 0.5 + SAME_VIEW / 2), np.array([0, 0, 1])
    assert connected_groups(points, np.ones(3), camera).tolist() == [0, 0, 0]
    assert connected_groups(points, np.ones(3), np.array([0, 1, 0])).tolist() == [0, 0, 0]
    apart = column(0, 0.5, 0.5 + 2 * SAME_VIEW)
    assert connected_groups(apart, np.ones(3), camera).tolist() == [0, 0, 1]


def fixed_cameras(rng: np.random.Generator) -> tuple[Floats, Ints, Ints, Ints]:
    """4 cameras x 15 bursts x 6 frames over 3 days: the background dominates, frames of a burst
    hardly differ.
    """
    camera = np.repeat(np.arange(4), 90)
    burst = np.arange(360) // 6
    day = np.arange(360) // 30
    rows = (
        rng.normal(size=(4, 32))[camera]
        + 0.1 * rng.normal(size=(60, 32))[burst]
        + 0.01 * rng.normal(size=(360, 32))
    )
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), burst, camera, day


def test_the_bursts_of_fixed_cameras_are_found_whatever_the_order_of_the_cameras() -> None:
    rows, burst, camera, day = fixed_cameras(np.random.default_rng(0))
    cluster = near_duplicates(rows, burst, camera, day)
    assert 60 <= len(np.unique(cluster)) <= 75
    assert all(len(np.unique(burst[cluster == name])) == 1 for name in np.unique(cluster))
    mixed = np.random.default_rng(1).permutation(4)[camera].argsort(kind="stable")
    again = near_duplicates(rows[mixed], burst[mixed], camera[mixed], day[mixed])
    assert all(len(np.unique(cluster[mixed][again == name])) == 1 for name in np.unique(again))


def test_a_handful_of_frames_teaches_no_threshold() -> None:
    """Three bursts of six have 15 steps, four have 20."""
    rows, burst, _, day = fixed_cameras(np.random.default_rng(0))
    few, enough = (
        estimate_threshold(camera_residual(rows[:size]), burst[:size], day[:size]) for size in (18, 24)
    )
    assert few == 0
    assert enough > 0


def test_the_threshold_lies_between_the_steps_of_a_burst_and_other_days() -> None:
    rows, burst, camera, day = fixed_cameras(np.random.default_rng(0))
    one = camera == 0
    residual = camera_residual(rows[one])
    threshold = estimate_threshold(residual, burst[one], day[one])
    apart = distances(rows[one])
    steps = np.diag(apart, 1)[burst[one][1:] == burst[one][:-1]]
    other_days = apart[day[one][:, None] != day[one]]
    assert np.quantile(steps, 0.95) < threshold < np.quantile(other_days, 0.01)
    again = estimate_threshold(residual, burst[one], np.zeros(90, dtype=np.int64))
    assert np.quantile(steps, 0.95) < again < np.quantile(other_days, 0.01), "one day: other sequences"


def foggy() -> tuple[Floats, Ints, Ints, NDArray[np.bool_]]:
    """Fog takes the contrast from everything: its bursts lie as close together as frames of one
    daylight burst.
    """
    rng = np.random.default_rng(0)
    fog = np.repeat([False, True], [330, 30])
    burst = np.arange(360) // 6
    scale = np.where(fog, 0.1, 1.0)[:, None]
    scenes = rng.normal(size=(60, 32))[burst] + 0.2 * rng.normal(size=(360, 32))
    rows = 8 * np.eye(2, 32)[fog.astype(int)] + scale * scenes
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), burst, burst // 5, fog


def test_different_foggy_scenes_are_no_duplicates_but_frames_of_one_are() -> None:
    rows, burst, day, fog = foggy()
    one_camera = np.zeros(360, dtype=np.int64)
    apart = distances(rows)
    threshold = estimate_threshold(camera_residual(rows), burst, day)
    assert apart[np.ix_(fog, fog)].max() < threshold, "by one distance all fog would be the same"
    cluster = near_duplicates(rows, burst, one_camera, day)
    assert all(len(np.unique(burst[cluster == name])) == 1 for name in np.unique(cluster[fog]))
    assert len(np.unique(cluster[fog])) <= 10


def test_copies_of_a_foggy_frame_on_another_day_are_joined() -> None:
    rows, burst, day, fog = foggy()
    frame = np.flatnonzero(fog)[8]
    copy = rows[frame] + 0.01 * np.eye(32, dtype=np.float32)[3]
    rows = np.concatenate([rows, copy[None] / np.linalg.norm(copy)]).astype(np.float32)
    cluster = near_duplicates(rows, np.append(burst, 99), np.zeros(361, dtype=np.int64), np.append(day, 99))
    own = np.append(burst[cluster[:360] == cluster[360]], burst[frame])
    assert np.unique(own).tolist() == [burst[frame]]


def test_a_scene_in_which_nothing_moves_is_one_cluster_within_its_noise() -> None:
    still = np.eye(1, 8) + 1e-3 * np.random.default_rng(0).normal(size=(40, 8))
    sequence, day = np.arange(40) // 10, np.arange(40) // 20
    assert not near_duplicates(still.astype(np.float32), sequence, np.zeros(40, dtype=np.int64), day).any()


def test_what_changes_as_much_within_a_sequence_as_from_day_to_day_teaches_nothing() -> None:
    rows = np.random.default_rng(0).normal(size=(200, 16)).astype(np.float32)
    assert estimate_threshold(rows, np.arange(200) // 4, np.arange(200) // 40) == 0
    assert (reach_of(rows, np.arange(200) // 4, np.arange(200) // 40, 0.0) == SAME_VIEW).all()


@pytest.mark.parametrize(
    ("sequence", "group"),
    [(np.full(4, -1), np.arange(4)), (np.zeros(4, int), np.zeros(4, int)), (np.zeros(4, int), np.arange(4))],
    ids=["no sequences", "one sequence", "a name that comes back every day"],
)
def test_nothing_to_learn_from(sequence: Ints, group: Ints) -> None:
    rows = np.eye(4, dtype=np.float32)
    assert estimate_threshold(rows, sequence, group) == 0
    assert near_duplicates(rows, sequence, np.zeros(4, dtype=np.int64), group).tolist() == [0, 1, 2, 3]


def test_few_frames_teach_nothing_that_chance_explains() -> None:
    rows, burst, day = column(0, 0.1, 5, 5.1), np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1])
    assert estimate_threshold(rows, burst, day) == 0


def test_the_reach_is_the_largest_step_of_a_sequence_up_to_the_threshold() -> None:
    rows = column(0, 0.1, 0.3, 5, 6, 9)
    sequence, day = np.array([0, 0, 0, 1, 1, -1]), np.zeros(6, dtype=np.int64)
    np.testing.assert_allclose(reach_of(rows, sequence, day, 0.5), [0.2, 0.2, 0.2, 0.5, 0.5, 0.5], rtol=2e-4)


def test_sequences_of_one_camera_may_alternate() -> None:
    rows = column(0, 5, 0.1, 5.2)
    np.testing.assert_allclose(
        reach_of(rows, np.array([0, 1, 0, 1]), np.zeros(4, dtype=np.int64), 1.0),
        [0.1, 0.2, 0.1, 0.2],
        rtol=2e-4,
    )


def road(count: int, seed: int = 0, memory: float = 0.9) -> Floats:
    """A scene that changes little by little (autoregressive), before a background that dominates."""
    rng = np.random.default_rng(seed)
    scene = np.zeros((count, 16))
    scene[0] = rng.normal(size=16)
    for row in range(1, count):
        scene[row] = memory * scene[row - 1] + np.sqrt(1 - memory**2) * rng.normal(size=16)
    rows = 3 * np.eye(1, 16) + 0.1 * scene + 0.01 * rng.normal(size=(count, 16))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def one(count: int) -> Ints:
    return np.zeros(count, dtype=np.int64)


def test_one_sequence_is_thinned_by_how_far_apart_its_distant_frames_lie() -> None:
    rows = road(300)
    threshold = estimate_threshold(camera_residual(rows), one(300), one(300))
    apart = distances(rows)
    assert np.quantile(np.diag(apart, 1), 0.8) < threshold < np.quantile(np.diag(apart, 150), 0.1)
    view = near_duplicates(rows, one(300), one(300), one(300))
    assert 10 <= len(np.unique(view)) <= 100
    within = [apart[np.ix_(view == name, view == name)].max() for name in np.unique(view)]
    assert max(within) <= 2 * threshold, "of one leader"


def test_over_several_days_distant_frames_set_no_threshold() -> None:
    """All days would be near-duplicates of one another, and none could judge what learned from one."""
    rows = road(3000, memory=0.5)
    several = np.arange(3000) // 1000
    assert estimate_threshold(camera_residual(rows), several, several) == 0
    assert estimate_threshold(camera_residual(rows), one(3000), one(3000)) > 0


def still(count: int, median: float, seed: int = 0) -> Floats:
    """Pictures of one scene whose noise takes two of them apart by this median."""
    noise = np.random.default_rng(seed).normal(size=(count, 16))
    rows = np.eye(1, 16) + noise * median / np.sqrt(2 * 15)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("median", [0.005, 0.02, 0.05, 0.1])
@pytest.mark.parametrize("days", [1, 2])
def test_a_still_scene_is_one_view_within_its_noise(median: float, days: int) -> None:
    rows, day = still(300, median), np.arange(300) * days // 300
    seconds = np.arange(300) / 25 + 86400.0 * day
    assert not near_duplicates(rows, day, one(300), day, seconds).any()


def test_noise_is_told_from_change_by_what_a_moment_can_change() -> None:
    """A frame a minute, each as far from the next as from any other, may show something else each time."""
    for median, seconds in ((0.05, np.arange(300) * 60.0), (0.05, None), (0.3, np.arange(300) / 25)):
        rows = still(300, median)
        assert estimate_threshold(camera_residual(rows), one(300), one(300), seconds) == 0
    within = LITTLE_NOISE / 3
    threshold = estimate_threshold(camera_residual(still(300, within)), one(300), one(300))
    assert within < threshold <= LITTLE_NOISE < MOST_NOISE


@pytest.mark.parametrize("median", [0.01, 0.02, 0.05])
def test_what_enters_a_still_scene_for_a_moment_keeps_a_view_of_its_own(median: float) -> None:
    rows, there = still(300, median), np.arange(300) // 12 == 11
    rows[there] += np.float32(4 * median) * np.eye(16, dtype=np.float32)[3]
    view = near_duplicates(rows, one(300), one(300), one(300), np.arange(300) / 25)
    assert not np.isin(view[there], view[~there]).any()
    assert len(np.unique(view)) <= 6


def test_cameras_do_not_share_clusters_and_no_frames_have_none() -> None:
    same, code = np.ones((4, 2), dtype=np.float32), np.array([0, 1, 0, 1])
    assert near_duplicates(same, np.full(4, -1), code, np.zeros(4, dtype=np.int64)).tolist() == [0, 1, 0, 1]
    none = np.zeros(0, dtype=np.int64)
    assert near_duplicates(same[:0], none, none, none).tolist() == []
    assert connected_groups(same[:0], np.zeros(0)).tolist() == []


def test_without_the_median_float32_tells_frames_apart_that_the_background_makes_alike() -> None:
    """At norm 1 the rounding of squared norms alone is some 1e-7; a distance of 2e-4 has a square
    of 4e-8.
    """
    step = np.zeros((60, 64))
    step[:, 0] = 2e-4 * np.arange(60)
    vectors = (step + np.random.default_rng(0).normal(0.125, 0.01, size=64)).astype(np.float32)
    reach = np.full(60, 3e-4)
    plain = slow_leaders(vectors.astype(np.float64), reach)
    assert leaders(camera_residual(vectors), reach).tolist() == plain
    assert leaders(vectors, reach).tolist() != plain


def test_the_coordinates_that_vary_the_most_are_told() -> None:
    rng = np.random.default_rng(2)
    vectors = (rng.normal(size=(300, 80)) * np.linspace(2, 1, 80)).astype(np.float32)
    vectors[:, 79] *= 9
    told = telling_coordinates(vectors)
    assert len(told) == TOLD
    assert 79 in told
    assert (np.diff(told) > 0).all()
    assert telling_coordinates(vectors[:, :3]).tolist() == [0, 1, 2]


def test_the_residual_is_what_differs_from_the_center() -> None:
    vectors = np.random.default_rng(3).normal(size=(2500, 6)).astype(np.float32)
    np.testing.assert_array_equal(camera_residual(vectors), vectors - camera_center(vectors))
    assert camera_center(vectors).dtype == np.float32


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_some_coordinates_leave_out_no_leader_and_most_of_the_others(seed: int) -> None:
    rng = np.random.default_rng(seed)
    dim, told = 32, np.arange(8)
    known = rng.normal(size=(200, dim)).astype(np.float32) / 6
    near = known[rng.integers(0, 200, 40)] + rng.normal(size=(40, dim)).astype(np.float32) / 60
    reach, known_reach = rng.uniform(0.05, 0.12, 40), rng.uniform(0.05, 0.12, 200)
    may = may_lead(near[:, told], reach, known[:, told], known_reach)
    whole = leaders(near, reach, known, known_reach)
    some = leaders(near, reach, known[may], known_reach[may])
    names = np.concatenate([np.flatnonzero(may), 200 + np.arange(40)])
    assert names[some].tolist() == whole.tolist()
    assert may.sum() < 100
    assert not may_lead(near[:0][:, told], reach[:0], known[:, told], known_reach).any()
