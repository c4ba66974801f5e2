"""What is asked for: likeness to queries, balance of classes, shares of slices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samplers import STRATEGIES, Pool, PoolError, StratifiedSettings, TargetedSettings
from samplers.strategies.class_balanced import class_balanced, expected_classes
from samplers.strategies.coverage_deficit import coverage_deficit
from samplers.strategies.stratified import stratified
from samplers.strategies.targeted import targeted
from tests.samplers import plain

RNG = np.random.default_rng


def circle(degrees: Any) -> np.ndarray:
    angle = np.radians(np.asarray(degrees, dtype=np.float64))
    return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


def test_every_query_is_answered_before_one_is_answered_twice() -> None:
    """Rows at 0, 1, 2 and 90 degrees, queries at 0 and 90: a plain sum of similarities would choose
    45, then 2, 1, 0.
    """
    pool = Pool.of(circle([0, 1, 2, 90]), queries=circle([0, 90]))
    chosen = targeted(pool, 3, RNG(0))
    assert set(chosen.indices[:2].tolist()) == {3, 2}
    assert chosen.contributions["similarity"] == pytest.approx([1, np.cos(np.radians(2)), 1], abs=1e-3)


def test_one_text_ranks_by_likeness() -> None:
    pool = Pool.of(circle([80, 10, 40, 200]), queries=circle([0]))
    chosen = targeted(pool, 4, RNG(0))
    assert chosen.indices.tolist() == [1, 2, 0, 3]
    assert chosen.gains == pytest.approx(
        [2 * np.cos(np.radians(10)), np.cos(np.radians(40)), np.cos(np.radians(80)), 0], abs=1e-3
    )


@given(
    seed=st.integers(0, 999),
    size=st.integers(1, 40),
    queries=st.integers(1, 5),
    eta=st.sampled_from([0.1, 1.0, 3.0]),
)
@settings(max_examples=50, deadline=None)
def test_mutual_information_equals_the_plain_greedy_loop(
    seed: int, size: int, queries: int, eta: float
) -> None:
    rng = RNG(seed)
    rows = rng.normal(size=(size + queries, 4))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    seconds = 1 + rng.random(size)
    pool = Pool.of(rows[:size], queries=rows[size:], seconds=seconds)
    similar = np.clip((rows[:size] @ rows[size:].T).astype(np.float64), 0, 1)
    positive = int((similar.max(axis=1) > 0.01).sum())
    expected = plain.greedy(
        lambda chosen: plain.mutual_information(similar, chosen, eta), size, min(positive, 8), seconds
    )
    chosen = targeted(pool, min(positive, 8), rng, TargetedSettings(eta=eta))
    assert chosen.indices.tolist() == expected


def test_without_queries_it_is_k_center() -> None:
    pool = Pool.of(circle([0, 10, 200]), labeled=circle([0]))
    assert targeted(pool, 2, RNG(0)).component.tolist() == ["k_center"] * 2


def test_classes_by_hand() -> None:
    """sqrt(.9), then sqrt(.6) for the other class before sqrt(1.8) - sqrt(.9) for the first one
    again.
    """
    scores = [np.array([[0.9, 0.0]]), np.array([[0.9, 0.0]]), np.array([[0.0, 0.6]]), np.zeros((0, 2))]
    chosen = class_balanced(Pool.of(np.eye(4), scores=scores), 4, RNG(0))
    assert chosen.indices.tolist() == [0, 2, 1, 3]
    assert chosen.gains == pytest.approx([0.949, 0.775, 0.393, 0], abs=1e-3)
    labeled = Pool.of(np.eye(4), scores=scores, class_counts=[0, 100])
    assert class_balanced(labeled, 3, RNG(0)).indices.tolist() == [0, 1, 2]


def test_what_a_frame_is_expected_to_show() -> None:
    scores = [
        np.array([[0.5, 0.1], [0.5, 0.0]]),
        np.zeros((0, 2)),
        np.array([0.3, 0.3])[:, None] @ np.ones((1, 2)),
    ]
    np.testing.assert_allclose(
        expected_classes(Pool.of(np.eye(3), scores=scores)), [[0.75, 0.1], [0, 0], [0.51, 0.51]]
    )
    assert expected_classes(Pool.of(np.eye(2))).tolist() == [[0.0], [0.0]]


@given(seed=st.integers(0, 999), size=st.integers(1, 30), classes=st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_balance_equals_the_plain_greedy_loop(seed: int, size: int, classes: int) -> None:
    rng = RNG(seed)
    scores = [rng.random((1 + count, classes)) for count in rng.integers(0, 3, size)]
    have, seconds = 5 * rng.random(classes), 1 + rng.random(size)
    pool = Pool.of(np.eye(size), scores=scores, class_counts=have, seconds=seconds)
    shown = expected_classes(pool)
    expected = plain.greedy(
        lambda rows: np.sqrt(have + shown[rows].sum(axis=0)).sum(), size, min(size, 6), seconds
    )
    assert class_balanced(pool, min(size, 6), rng).indices.tolist() == expected


def test_classes_that_do_not_fit_are_refused() -> None:
    mixed = Pool.of(np.eye(2), scores=[np.zeros((1, 2)), np.zeros((1, 3))])
    with pytest.raises(PoolError, match=r"scores: expected one number of classes, got \[2, 3\]"):
        class_balanced(mixed, 1, RNG(0))
    short = Pool.of(np.eye(1), scores=[np.zeros((1, 2))], class_counts=[1, 2, 3])
    with pytest.raises(PoolError, match=r"scores: expected one number of classes, got \[2, 3\]"):
        class_balanced(short, 1, RNG(0))


def slices_pool() -> Pool:
    """90 frames by day, 9 by night, one in fog."""
    return Pool.of(
        np.eye(100), slices=np.repeat([0, 1, 2], [90, 9, 1]), names=("day", "night", "fog"), deficit=[0] * 3
    )


@pytest.mark.parametrize(("power", "shares"), [(0.0, [10, 9, 1]), (0.5, [14, 5, 1]), (1.0, [18, 2, 0])])
def test_shares_of_slices_and_what_they_hand_back(power: float, shares: list[int]) -> None:
    pool = slices_pool()
    chosen = stratified(pool, 20, RNG(0), StratifiedSettings(power=power)).indices
    assert np.bincount(pool.slices[chosen], minlength=3).tolist() == shares


@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4), budget=st.integers(0, 12))
@settings(max_examples=40, deadline=None)
def test_the_turns_of_slices_are_websters(sizes: list[int], budget: int) -> None:
    """As long as none of them has run out."""
    slices = np.repeat(np.arange(len(sizes)), sizes)
    pool = Pool.of(
        np.eye(len(slices)),
        slices=slices,
        names=[str(s) for s in range(len(sizes))],
        deficit=[0] * len(sizes),
    )
    chosen = STRATEGIES["stratified"](pool, budget, np.random.default_rng(0)).indices
    turns = plain.webster([size**0.5 for size in sizes], budget)
    until = next(
        (n for n in range(budget + 1) if any(turns[:n].count(s) > sizes[s] for s in turns)), budget + 1
    )
    assert slices[chosen][: until - 1].tolist() == turns[: until - 1]


@given(seed=st.integers(0, 999), size=st.integers(1, 40), limit=st.integers(0, 2))
@settings(max_examples=60, deadline=None)
def test_what_slices_with_a_deficit_choose_equals_the_plain_form(seed: int, size: int, limit: int) -> None:
    """Three slices, the last of which lacks nothing; then chance."""
    rng = RNG(seed)
    novelty, expected_loss, seconds = rng.random(size), rng.random(size), 1 + rng.random(size)
    deficit = [*(0.04 * rng.random(2)).tolist(), 0.0]
    pool = Pool.of(
        np.eye(size),
        slices=rng.integers(-1, 3, size),
        names=("night", "fog", "day"),
        deficit=deficit,
        membership=rng.random(size),
        novelty=novelty,
        expected_loss=expected_loss,
        seconds=seconds,
        cluster=np.where(rng.random(size) < 0.6, -1, rng.integers(0, size, size)),
        sequence=rng.integers(-1, 6, size),
        max_per_sequence=limit,
    )
    worth = [
        (new + 0.3 * unsure) / cost * sure
        for new, unsure, cost, sure in zip(
            plain.average_rank(novelty),
            plain.average_rank(expected_loss),
            seconds,
            pool.membership,
            strict=True,
        )
    ]
    expected = plain.of_deficit(
        pool.slices, deficit, worth, novelty, pool.cluster, pool.sequence, limit, size, cap=0.02, floor=0.5
    )
    chosen = coverage_deficit(pool, size, rng)
    assert chosen.indices[: len(expected)].tolist() == expected
    assert chosen.component.tolist() == ["coverage"] * len(expected) + ["random"] * (
        len(chosen) - len(expected)
    )


def test_within_a_slice_all_are_equally_likely() -> None:
    firsts = [int(stratified(slices_pool(), 99, RNG(seed)).indices[-1]) for seed in range(60)]
    assert len(set(firsts)) > 20


@pytest.mark.parametrize("name", ["random", "k_center", "herding", "coverage_deficit", "hybrid", "streaming"])
def test_floors_come_first_and_quotas_hold(name: str) -> None:
    day = slices_pool()
    pool = Pool.of(
        day.embeddings,
        slices=day.slices,
        names=day.names,
        deficit=[0, 0, 0.1],
        floors=[0, 4, 3],
        quotas=[8, -1, -1],
    )
    chosen = STRATEGIES[name](pool, 30, RNG(0)).indices
    assert np.bincount(pool.slices[chosen[:5]], minlength=3).tolist() == [0, 4, 1]
    assert np.bincount(pool.slices[chosen], minlength=3).tolist() == [8, 9, 1]


def test_a_wrong_setting_is_named() -> None:
    with pytest.raises(ValueError, match=r"power: expected 0\.\.1, got 2"):
        StratifiedSettings(power=2)
    with pytest.raises(ValueError, match="eta: expected a number > 0, got 0"):
        TargetedSettings(eta=0)
