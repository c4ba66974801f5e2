from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from samplers import STRATEGIES, HybridSettings, Pool, Selection
from samplers.strategies.coverage_deficit import CoverageSettings, slice_order
from samplers.strategies.hybrid import hybrid

DIM = 16


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def world(seed: int = 0, night_deficit: float = 0.03) -> Pool:
    """1,000 frames in bursts of 5 around the training set; 30 night, 30 fog, 20 of a mode nobody
    named.
    """
    rng = np.random.default_rng(seed)
    kind = np.repeat([0, 1, 2, 3], [920, 30, 30, 20])
    centers = np.eye(4, DIM) * 3
    rows = unit(centers[kind] + rng.normal(size=(1000, DIM)) * 0.3)
    return Pool.of(
        rows,
        labeled=unit(centers[0] + rng.normal(size=(300, DIM)) * 0.3),
        scores=[rng.random(2) for _ in range(1000)],
        sequence=np.arange(1000) // 5,
        slices=np.where((kind == 1) | (kind == 2), kind - 1, -1),
        names=("night", "fog"),
        deficit=[night_deficit, 0.03],
        novel_above=1.0,
        max_per_sequence=3,
    )


def components(selection: Selection) -> dict[str, int]:
    names, counts = np.unique(selection.component, return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))


def test_the_shares_are_kept_in_every_prefix() -> None:
    selection = hybrid(world(), 40, np.random.default_rng(0))
    assert components(selection) == {"coverage": 18, "discovery": 4, "herding": 14, "random": 4}
    first = Selection(selection.indices[:20], selection.gains[:20], {}, selection.reasons[:20])
    assert components(first) == {"coverage": 9, "discovery": 2, "herding": 7, "random": 2}


def test_a_quota_that_is_met_leaves_its_turns_to_herding() -> None:
    pool = replace(world(), wanted=np.array([2, -1]))
    selection = hybrid(pool, 60, np.random.default_rng(0))
    by_quota = pool.slices[selection.indices[selection.component == "coverage"]]
    assert (by_quota == 0).sum() <= 2
    assert (by_quota == 1).sum() == 13, "half of 45 % of 60, and no more for the other's being met"
    assert components(selection)["herding"] > 24
    none = hybrid(replace(pool, wanted=np.zeros(2)), 40, np.random.default_rng(0))
    assert components(none) == {"discovery": 4, "herding": 32, "random": 4}


@pytest.mark.slow
def test_what_chance_drew_is_a_random_sample_of_the_pool() -> None:
    """Frames that another component took first count as drawn: each of 200 frames is as likely to
    be in the sample as any.
    """
    pool = replace(world(), excluded=np.arange(1000) >= 200, max_per_sequence=0, sequence=np.full(1000, -1))
    drawn, claimed = np.zeros(1000), 0.0
    for seed in range(400):
        chosen = hybrid(pool, 40, np.random.default_rng(seed))
        probability = chosen.contributions["probability"]
        assert (probability[chosen.component == "random"] > 0).all()
        drawn[chosen.indices[probability > 0]] += 1
        claimed += probability.max() / 400
    often = drawn[:200] / 400
    assert abs(often.mean() - claimed) < 0.002
    assert often.std() < 1.25 * np.sqrt(claimed * (1 - claimed) / 400), "no more than chance varies"
    assert drawn[200:].sum() == 0


def test_where_floors_come_first_nothing_is_a_random_sample() -> None:
    pool = replace(world(), floors=np.array([15, 0]))
    chosen = hybrid(pool, 40, np.random.default_rng(0))
    assert not chosen.contributions["probability"].any()


def test_quotas_follow_the_deficit_up_to_the_cap() -> None:
    pool = world(night_deficit=0.02 / 3)
    selection = STRATEGIES["coverage_deficit"](pool, 16, np.random.default_rng(0))
    assert np.bincount(pool.slices[selection.indices]).tolist() == [4, 12]
    capped = world(night_deficit=0.9)
    chosen = STRATEGIES["coverage_deficit"](capped, 16, np.random.default_rng(0)).indices
    assert np.bincount(capped.slices[chosen]).tolist() == [8, 8], "both at .02"


def test_what_a_slice_cannot_fill_goes_to_the_others() -> None:
    pool = world()
    selection = STRATEGIES["coverage_deficit"](pool, 200, np.random.default_rng(0))
    named = pool.slices[selection.indices] >= 0
    assert len(selection) == 200
    assert named.sum() >= 36, "6 sequences of at most 3 for each of two slices"
    assert set(selection.component[-10:]) == {"random"}


def test_discovery_finds_the_mode_nobody_named() -> None:
    found = [
        (hybrid(world(seed), 60, np.random.default_rng(seed)).indices >= 980).sum() for seed in range(10)
    ]
    assert min(found) >= 3


def test_without_deficit_and_novelty_herding_and_chance_remain() -> None:
    pool = Pool.of(np.eye(30), novelty=np.zeros(30), novel_above=0.5)
    assert components(hybrid(pool, 11, np.random.default_rng(0))) == {"herding": 10, "random": 1}


def test_sequences_take_turns_best_first_and_dull_ones_are_left_out() -> None:
    pool = Pool.of(
        np.eye(7),
        sequence=[0, 0, 0, 1, 1, 2, -1],
        slices=[0] * 7,
        names=("night",),
        deficit=[0.1],
        novelty=[1, 1, 1, 1, 1, 0.1, 1],
    )
    value = np.array([0.9, 0.8, 0.7, 0.6, 0.95, 0.99, 0.1])
    assert slice_order(pool, 0, value, CoverageSettings()).tolist() == [4, 0, 6, 3, 1, 2]


def test_reasons_accompany_every_pick() -> None:
    pool = world()
    selection = hybrid(pool, 12, np.random.default_rng(0))
    assert set(selection.contributions) == {"novelty", "expected_loss", "deficit", "probability"}
    np.testing.assert_array_equal(selection.contributions["novelty"], pool.novelty[selection.indices])


def test_a_negative_share_is_named() -> None:
    with pytest.raises(ValueError, match="discovery: expected a share >= 0, got -1"):
        HybridSettings(discovery=-1)
    with pytest.raises(ValueError, match="random: expected a share >= 0, got nan"):
        HybridSettings(random=float("nan"))
    with pytest.raises(ValueError, match="expected shares of which one is above 0"):
        HybridSettings(0, 0, 0, 0)
