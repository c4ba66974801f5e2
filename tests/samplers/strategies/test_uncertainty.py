from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samplers import STRATEGIES, Pool, UncertaintySettings
from samplers.strategies.uncertainty import box_uncertainty, frame_uncertainty, rank_within, without_size
from tests.samplers import plain

TWO_BOXES = [np.array([0.5, 0.9])]


def test_binary_entropy_by_hand() -> None:
    one = np.array([0.5, 0.9])
    np.testing.assert_allclose(box_uncertainty(one, 1 - one, "entropy"), [0.693, 0.325], atol=5e-4)
    np.testing.assert_allclose(box_uncertainty(one, 1 - one, "least_confidence"), [0.5, 0.1])
    np.testing.assert_allclose(box_uncertainty(one, 1 - one, "margin"), [1.0, 0.2])


@pytest.mark.parametrize(
    ("aggregation", "expected"), [("sum", 1.018), ("mean", 0.509), ("max", 0.693), ("top", 0.339)]
)
def test_aggregation_by_hand(aggregation: str, expected: float) -> None:
    settings = UncertaintySettings(aggregation=aggregation)  # type: ignore[arg-type]
    assert frame_uncertainty(TWO_BOXES, settings)[0] == pytest.approx(expected, abs=5e-4)


def test_only_the_top_class_counts_and_background_does_not() -> None:
    boxes = [np.array([[0.9, 0.01, 0.02]]), np.array([[0.02, 0.01, 0.0]]), np.zeros((0, 3))]
    np.testing.assert_allclose(frame_uncertainty(boxes, UncertaintySettings()), [0.325, 0, 0], atol=5e-4)


def test_margin_is_between_the_two_best_classes() -> None:
    boxes = [np.array([[0.1, 0.6, 0.5]])]
    assert frame_uncertainty(boxes, UncertaintySettings(measure="margin"))[0] == pytest.approx(0.9)


def test_top_averages_the_most_unsure_boxes_only() -> None:
    scores = [np.array([0.9, 0.5, 0.9, 0.5]), np.array([0.5])]
    settings = UncertaintySettings(aggregation="top", top=2)
    np.testing.assert_allclose(frame_uncertainty(scores, settings), [0.693, 0.693 / 2], atol=5e-4)


def test_the_most_unsure_frame_comes_first_and_cost_divides() -> None:
    scores = [np.array([0.9]), np.array([0.5]), np.array([0.6])]
    plain = STRATEGIES["entropy"](Pool.of(np.eye(3), scores=scores), 3, np.random.default_rng(0))
    assert plain.indices.tolist() == [1, 2, 0]
    dear = Pool.of(np.eye(3), scores=scores, seconds=[1, 10, 1])
    assert STRATEGIES["entropy"](dear, 3, np.random.default_rng(0)).indices.tolist() == [2, 0, 1]


def test_ties_are_drawn_not_taken_in_order() -> None:
    pool = Pool.of(np.eye(20))
    firsts = {
        int(STRATEGIES["entropy"](pool, 1, np.random.default_rng(seed)).indices[0]) for seed in range(20)
    }
    assert len(firsts) > 5


def test_size_correction_by_hand() -> None:
    """Sums over sqrt(n) of .5, 1, 2 at n = 1, 3, 7, so ln(1 + n) = ln 2 times 1, 2, 3: the line has
    slope .75.
    """
    total = np.array([0.5, 3**0.5, 2 * 7**0.5, 0.0])
    np.testing.assert_allclose(without_size(total, np.array([1, 3, 7, 0])), [1.25, 1.0, 1.25, 0])
    np.testing.assert_allclose(without_size(np.array([0.3, 0.9]), np.array([1, 1])), [0.3, 0.9])
    assert without_size(np.zeros(2), np.zeros(2, dtype=np.int64)).tolist() == [0, 0]


def test_size_correction_prefers_neither_crowded_nor_empty_frames() -> None:
    rng = np.random.default_rng(0)
    boxes = 1 + rng.poisson(7, size=5000)
    scores = [rng.beta(1, 1 + rng.random() * 3, size=count) for count in boxes]
    share = {}
    for aggregation in ("sum", "size_corrected", "mean"):
        settings = UncertaintySettings(aggregation=aggregation, min_score=0.0)  # type: ignore[arg-type]
        top = np.argsort(-frame_uncertainty(scores, settings))[:250]
        share[aggregation] = boxes[top].mean() / boxes.mean()
    assert share["sum"] > 1.5
    assert share["mean"] < 0.85
    assert 0.9 < share["size_corrected"] < 1.1


@given(
    seed=st.integers(0, 999),
    size=st.integers(0, 12),
    classes=st.sampled_from([0, 1, 3]),
    measure=st.sampled_from(["entropy", "least_confidence", "margin"]),
    aggregation=st.sampled_from(["sum", "mean", "max", "top", "size_corrected"]),
)
@settings(max_examples=80, deadline=None)
def test_equals_the_plain_form(seed: int, size: int, classes: int, measure: Any, aggregation: Any) -> None:
    rng = np.random.default_rng(seed)
    scores = [
        rng.random((boxes, classes) if classes else (boxes,)) ** 3 for boxes in rng.integers(0, 6, size)
    ]
    given = UncertaintySettings(measure, aggregation, min_score=0.1, top=2)
    expected = plain.uncertainty(scores, measure, aggregation, 0.1, 2)
    np.testing.assert_allclose(frame_uncertainty(scores, given), expected, atol=1e-12)


def test_rank_within_groups() -> None:
    rank = rank_within(np.array([1, 0, 1, 0, 1]), np.array([0.1, 0.5, 0.3, 0.5, 0.2]))
    assert rank.tolist() == [2, 0, 0, 1, 1]


def test_a_wrong_setting_is_named() -> None:
    with pytest.raises(
        ValueError, match="aggregation: expected one of sum, mean, max, top, size_corrected, got"
    ):
        UncertaintySettings(aggregation="median")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="top: expected 1 or more, got 0"):
        UncertaintySettings(top=0)
