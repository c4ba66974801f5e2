"""Every strategy, whatever it prefers, keeps one contract."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from samplers import STRATEGIES, Pool, PoolError, Strategy
from samplers.engine import covering
from samplers.engine.covering import Cells
from samplers.strategies import hybrid as hybrid_module
from samplers.strategies.herding import HerdingSettings, facility_location, herding, uncertainty_herding
from samplers.strategies.prob_cover import ProbCoverSettings, prob_cover

SHAPED_BY_BUDGET = ("typiclust", "ppal", "streaming")
"""A smaller budget is no prefix of a larger one."""
BLIND_TO_COST = ("random", "stratified", "k_center", "typiclust", "streaming")
"""Seconds play no part in what they choose. Chance must not ask, or it would be no sample;
farthest-first and typical frames are chosen by distances alone, as published, and a distance over
seconds would have no bound; a stream has one threshold for all. Of `hybrid` and `coverage_deficit`
only what is drawn or looked for as these do is blind.
"""
EVERY = pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES.keys())
CORNERS = np.array(
    [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0.6, 0.8, 0], [0, -0.6, 0.8]], dtype=np.float32
)


@st.composite
def pools(draw: st.DrawFn) -> Pool:
    """Small pools full of duplicates, zero vectors, shared clusters and crowded sequences."""
    size = draw(st.integers(0, 18))

    def ints(low: int, high: int) -> Any:
        return np.array(draw(st.lists(st.integers(low, high), min_size=size, max_size=size)), dtype=np.int64)

    rng = np.random.default_rng(draw(st.integers(0, 999)))
    classes = draw(st.sampled_from([0, 1, 3]))
    shape = (lambda boxes: (boxes, classes)) if classes else (lambda boxes: (boxes,))
    return Pool.of(
        CORNERS[ints(0, len(CORNERS) - 1)],
        ids=np.arange(size) + 100,
        labeled=CORNERS[: draw(st.integers(0, 3))],
        scores=[rng.random(shape(boxes)) for boxes in ints(0, 3)],
        cluster=ints(-1, draw(st.sampled_from([-1, 0, 12]))),
        sequence=ints(-1, draw(st.sampled_from([-1, 0, 4]))),
        slices=ints(-1, 1),
        names=("night", "fog"),
        deficit=draw(st.sampled_from([(0, 0), (0.03, 0), (0.02, 0.4)])),
        excluded=ints(0, 5) == 0,
        seconds=1 + rng.random(size),
        max_per_sequence=draw(st.integers(0, 2)),
        floors=draw(st.sampled_from([(0, 0), (0, 0), (2, 1), (0, 9)])),
        quotas=draw(st.sampled_from([(-1, -1), (-1, -1), (1, -1), (0, 3)])),
        queries=CORNERS[: draw(st.integers(0, 3))],
        class_counts=draw(st.sampled_from([(), (4.0,) * max(classes, 1)])),
        membership=draw(st.sampled_from([None, rng.random(size)])),
        wanted=draw(st.sampled_from([(-1, -1), (0, 3)])),
        expected_loss=draw(st.sampled_from([None, rng.random(size), np.zeros(size)])),
        trust=draw(st.sampled_from([0.0, 0.4, 1.0])),
    )


@pytest.mark.slow
@given(pool=pools(), budget=st.integers(0, 20), seed=st.integers(0, 99))
@settings(max_examples=120, deadline=None)
def test_contract(pool: Pool, budget: int, seed: int) -> None:
    """Of every strategy, for the same pools: to make those up takes longer than to choose."""
    for name in STRATEGIES:
        note(f"strategy: {name}")
        assert_contract(name, pool, budget, seed)


def assert_contract(name: str, pool: Pool, budget: int, seed: int) -> None:
    strategy = STRATEGIES[name]
    selection = strategy(pool, budget, np.random.default_rng(seed))
    chosen = selection.indices

    assert len(chosen) <= budget
    assert len(np.unique(chosen)) == len(chosen)
    assert chosen.dtype == np.int64
    assert selection.gains.shape == selection.component.shape == chosen.shape
    assert all(values.shape == chosen.shape for values in selection.contributions.values())
    assert np.isfinite(selection.gains).all()
    assert (np.diff(selection.gains) <= 1e-9).all(), "best first"
    assert_admissible(pool, chosen)
    if len(chosen) < budget:
        assert not len(still_admissible(pool, chosen)), "a frame was left although the budget was not spent"

    again = strategy(pool, budget, np.random.default_rng(seed))
    np.testing.assert_array_equal(chosen, again.indices)
    scaled = replace(pool, seconds=4 * pool.seconds)
    np.testing.assert_array_equal(chosen, strategy(scaled, budget, np.random.default_rng(seed)).indices)
    if name in SHAPED_BY_BUDGET:
        return
    shorter = strategy(pool, budget // 2, np.random.default_rng(seed))
    np.testing.assert_array_equal(chosen[: budget // 2], shorter.indices)


IN_CELLS = Cells(dense_rows=2, cell_rows=2, wide_cell_rows=3, homes=2, most_rows=3, neighbors=2)
"""As if a pool of a dozen frames were one of millions: cells, candidates, neighbors."""
CELLED: dict[str, Strategy] = {
    "herding": lambda pool, k, rng: herding(pool, k, rng, HerdingSettings(cells=IN_CELLS)),
    "uncertainty_herding": lambda pool, k, rng: uncertainty_herding(
        pool, k, rng, HerdingSettings(lam=0.5, cells=IN_CELLS)
    ),
    "facility_location": lambda pool, k, rng: facility_location(
        pool, k, rng, HerdingSettings(cells=IN_CELLS)
    ),
    "prob_cover": lambda pool, k, rng: prob_cover(pool, k, rng, ProbCoverSettings(cells=IN_CELLS)),
    "hybrid": STRATEGIES["hybrid"],
}


@pytest.mark.slow
@given(pool=pools(), budget=st.integers(0, 20), seed=st.integers(0, 99))
@settings(max_examples=120, deadline=None)
def test_contract_where_the_objective_is_in_cells(pool: Pool, budget: int, seed: int) -> None:
    for name in CELLED:
        note(f"strategy: {name}")
        assert_contract_in_cells(name, pool, budget, seed)


def assert_contract_in_cells(name: str, pool: Pool, budget: int, seed: int) -> None:
    """A smaller budget is no prefix there: how wide the cells are depends on it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hybrid_module, "CELLS", IN_CELLS)
        patch.setattr(covering, "LEAST_CANDIDATES", 1)
        patch.setattr(covering, "ROWS_PER_PICK", 1)
        selection = CELLED[name](pool, budget, np.random.default_rng(seed))
        again = CELLED[name](pool, budget, np.random.default_rng(seed))
    chosen = selection.indices
    assert len(chosen) <= budget
    assert len(np.unique(chosen)) == len(chosen)
    assert np.isfinite(selection.gains).all()
    assert_admissible(pool, chosen)
    if len(chosen) < budget:
        assert not len(still_admissible(pool, chosen)), "a frame was left although the budget was not spent"
    np.testing.assert_array_equal(chosen, again.indices)


def assert_admissible(pool: Pool, chosen: np.ndarray) -> None:
    assert not pool.excluded[chosen].any()
    clusters = pool.cluster[chosen][pool.cluster[chosen] >= 0]
    assert len(np.unique(clusters)) == len(clusters), "two near-duplicates"
    assert not np.isin(clusters, pool.cluster[pool.excluded]).any(), "a near-duplicate of a labeled frame"
    sequences = pool.sequence[chosen][pool.sequence[chosen] >= 0]
    if pool.max_per_sequence and len(sequences):
        assert np.bincount(sequences).max() <= pool.max_per_sequence
    assert_floors_and_quotas(pool, chosen)


def assert_floors_and_quotas(pool: Pool, chosen: np.ndarray) -> None:
    owed = pool.floors.copy()
    for code, quota in enumerate(pool.quotas):
        assert quota < 0 or (pool.slices[chosen] == code).sum() <= quota
    for place, row in enumerate(chosen):
        fillable = {int(pool.slices[left]) for left in still_admissible(pool, chosen[:place])} - {-1}
        if any(owed[code] > 0 for code in fillable):
            assert pool.slices[row] >= 0
            assert owed[pool.slices[row]] > 0, "a floor comes first"
        if pool.slices[row] >= 0:
            owed[pool.slices[row]] -= 1


def still_admissible(pool: Pool, chosen: np.ndarray) -> list[int]:
    rows = []
    for row in set(range(len(pool))) - set(chosen.tolist()):
        taken = np.flatnonzero(pool.excluded).tolist() + chosen.tolist()
        duplicate = pool.cluster[row] >= 0 and pool.cluster[row] in pool.cluster[taken]
        same = (pool.sequence[chosen] == pool.sequence[row]).sum() if pool.sequence[row] >= 0 else 0
        full = bool(pool.max_per_sequence) and same >= pool.max_per_sequence
        code = int(pool.slices[row])
        quota = pool.quotas[code] if code >= 0 else -1
        spent = quota >= 0 and (pool.slices[chosen] == code).sum() >= quota
        if not (pool.excluded[row] or duplicate or full or spent):
            rows.append(row)
    return rows


@EVERY
def test_negative_budget_is_refused(strategy: Strategy) -> None:
    with pytest.raises(ValueError, match="budget: expected 0 or more frames, got -1"):
        strategy(Pool.of(CORNERS), -1, np.random.default_rng(0))


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name not in BLIND_TO_COST])
def test_the_cheaper_of_two_equal_frames_comes_first(name: str) -> None:
    pool = Pool.of(
        np.eye(2),
        scores=[np.array([0.5])] * 2,
        seconds=[3, 1],
        queries=[[0.6, 0.8], [0.8, 0.6]],
        slices=[0, 0],
        names=("night",),
        deficit=[0.1],
    )
    for seed in range(4):
        assert STRATEGIES[name](pool, 1, np.random.default_rng(seed)).indices.tolist() == [1]


@given(pool=pools(), budget=st.integers(0, 20), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_the_blind_choose_the_same_whatever_seconds_are(pool: Pool, budget: int, seed: int) -> None:
    alike = replace(pool, seconds=np.ones(len(pool)))
    for name in BLIND_TO_COST:
        one, other = (STRATEGIES[name](each, budget, np.random.default_rng(seed)) for each in (pool, alike))
        np.testing.assert_array_equal(one.indices, other.indices, err_msg=name)


@pytest.mark.parametrize("name", ["hybrid", "herding"])
def test_herding_takes_the_cheaper_of_two_frames_that_cover_alike(name: str) -> None:
    for seconds, first in (([2, 1], 1), ([1, 2], 0)):
        chosen = STRATEGIES[name](Pool.of(np.eye(2), seconds=seconds), 1, np.random.default_rng(0))
        assert chosen.component.tolist() == ["herding"]
        assert chosen.indices.tolist() == [first]


@pytest.mark.parametrize("name", ["hybrid", "herding"])
@pytest.mark.parametrize(("copies", "dear_first"), [(3, False), (5, True)])
def test_herding_takes_a_frame_twice_as_dear_only_where_it_covers_more_than_twice_as_much(
    name: str, copies: int, dear_first: bool
) -> None:
    """So many near-duplicates are a mass of 1.7 or 2.2, beside a frame of mass 1; what is labeled
    is equally far from both.
    """
    rows = np.eye(3)[[0] * copies + [1]]
    pool = Pool.of(
        rows, labeled=np.eye(3)[[2, 2]], cluster=[0] * copies + [-1], seconds=[2.0] * copies + [1.0]
    )
    chosen = STRATEGIES[name](pool, 1, np.random.default_rng(0))
    assert chosen.component.tolist() == ["herding"]
    assert (chosen.indices[0] < copies) == dear_first


@EVERY
def test_everyone_says_what_it_costs_and_what_seconds_do(strategy: Strategy) -> None:
    said = (inspect.getdoc(strategy) or "").lower()
    assert "cost" in said
    assert "seconds" in said


@EVERY
@pytest.mark.parametrize("kind", ["one row", "all zero", "all equal", "one cluster", "nothing but excluded"])
def test_degenerate_pools(strategy: Strategy, kind: str) -> None:
    rows = {"one row": CORNERS[1:2], "all zero": CORNERS[[0] * 50], "all equal": CORNERS[[4] * 50]}
    excluded = kind == "nothing but excluded"
    vectors = rows.get(kind, CORNERS)
    alike = np.zeros(len(vectors), dtype=np.int64) if kind == "one cluster" else None
    pool = Pool.of(vectors, excluded=[excluded] * len(vectors), cluster=alike)
    chosen = strategy(pool, 30, np.random.default_rng(0))
    most = {"nothing but excluded": 0, "one cluster": 1}
    assert len(chosen) == most.get(kind, min(30, len(pool)))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("embeddings", CORNERS * np.nan, r"embeddings: expected finite numbers, got .*nan.* in row 0"),
        ("embeddings", CORNERS * 2, r"embeddings: expected rows of norm 1 \(or 0\), got 2.000 in row 1"),
        ("embeddings", CORNERS[0], r"embeddings: expected shape \(rows, D\), got \(3,\)"),
        ("labeled", CORNERS * np.nan, "labeled: expected finite numbers"),
        ("labeled", CORNERS[:, :2], r"labeled: expected shape \(rows, 3\), got \(6, 2\)"),
        ("scores", [np.array([np.nan])] * 6, "scores: expected finite numbers, got nan in row 0"),
        (
            "scores",
            [np.array([0.1, 0.2, 0.3]), np.array([np.nan]), *[np.zeros(0)] * 4],
            "scores: expected finite numbers, got nan in row 1; leave that frame out",
        ),
        ("expected_loss", [np.nan] * 6, "expected_loss: expected finite numbers, got nan in row 0"),
        ("membership", [np.nan] * 6, "membership: expected finite numbers, got nan in row 0"),
        ("cluster", [0, 1, 0.2, 0, 0, 0], r"cluster: expected int64, got 0\.2 in row 2"),
        ("scores", [np.array([3.0])] * 6, r"scores: expected sigmoid scores in 0..1, got 3.000..3.000"),
        ("scores", [np.zeros(1)] * 5, "scores: expected one array per frame, 6, got 5"),
        ("scores", [np.zeros((1, 1, 1))] * 6, r"scores: expected \(K,\) or \(K, C\) per frame"),
        ("novelty", [0, 0, np.nan, 0, 0, 0], "novelty: expected finite numbers, got nan in row 2"),
        ("novelty", [-1] * 6, "novelty: expected numbers >= 0"),
        ("novel_above", np.nan, "novel_above: expected a finite number, got nan"),
        ("seconds", [0] * 6, "seconds: expected numbers > 0"),
        ("deficit", [0.5], r"deficit: expected shape \(0,\), got \(1,\)"),
        ("slices", [0] * 6, "slices: expected -1..-1, rows of names"),
        ("cluster", [0], r"cluster: expected shape \(6,\), got \(1,\)"),
        ("sequence", [0.0, np.nan, 0, 0, 0, 0], "sequence: expected finite numbers, got nan in row 1"),
        ("ids", [1] * 6, "ids: expected each frame once"),
        ("floors", [1], r"floors: expected shape \(0,\), got \(1,\)"),
        ("quotas", [1], r"quotas: expected shape \(0,\), got \(1,\)"),
        ("queries", CORNERS * np.nan, "queries: expected finite numbers"),
        ("queries", CORNERS[:, :2], r"queries: expected shape \(rows, 3\), got \(6, 2\)"),
        ("class_counts", [[1.0]], r"class_counts: expected shape \(classes,\), got \(1, 1\)"),
        ("class_counts", [1.0, np.nan], "class_counts: expected finite numbers, got nan in row 1"),
        ("class_counts", [-1.0], "class_counts: expected numbers >= 0"),
        ("max_per_sequence", -1, "max_per_sequence: expected 0"),
    ],
)
def test_a_bad_array_is_refused_by_name(name: str, value: Any, message: str) -> None:
    given: dict[str, Any] = {"embeddings": CORNERS} | {name: value}
    with pytest.raises(PoolError, match=message):
        Pool.of(**given)
