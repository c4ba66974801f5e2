"""Paired tests: by hand, and beside scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats

from loop.math.statistics.paired import mean_ranks, not_worse, paired, sign_flip

DELTAS = np.array([0.4, -0.1, 0.3, 0.6, 0.2, 0.1, -0.2, 0.5])


def test_the_paired_interval_is_scipys() -> None:
    ours, theirs = DELTAS + 3, np.full(8, 3.0)
    found = paired(ours, theirs)
    interval = scipy_stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    assert (found.low, found.high) == (pytest.approx(interval.low), pytest.approx(interval.high))
    one_sided = scipy_stats.ttest_rel(ours, theirs, alternative="greater").confidence_interval(0.95)
    assert found.lower == pytest.approx(one_sided.low)
    assert found.mean == pytest.approx(DELTAS.mean())


def test_one_seed_is_no_pair() -> None:
    with pytest.raises(ValueError, match="expected two seeds or more, got 1"):
        paired([1.0], [0.0])


def test_sign_flips_by_hand() -> None:
    assert sign_flip([1, 1, 1]) == 2 / 8
    assert sign_flip([1, -1]) == 1.0
    assert sign_flip(np.ones(8)) == 2 / 2**8


def test_sign_flips_are_scipys() -> None:
    oracle = scipy_stats.permutation_test(
        (DELTAS,),
        lambda each: each.sum(),
        permutation_type="samples",
        n_resamples=np.inf,
        alternative="two-sided",
    )
    assert sign_flip(DELTAS) == pytest.approx(oracle.pvalue)


def test_many_seeds_are_sampled() -> None:
    many = np.random.default_rng(1).normal(0.5, 1, 30)
    expected = scipy_stats.wilcoxon(many).pvalue
    assert sign_flip(many) == pytest.approx(expected, abs=0.03)


def test_not_worse_needs_the_bound_and_not_the_mean() -> None:
    steady, shaky = paired([0.1, -0.1, 0.0], [0.0] * 3), paired([5.0, -5.0, 0.0], [0.0] * 3)
    assert not_worse(steady, 0.5)
    assert not not_worse(shaky, 0.5)


def test_ranks_share_ties() -> None:
    assert mean_ranks([[3, 1, 2], [3, 3, 1]]).tolist() == [1.25, 2.25, 2.5]
