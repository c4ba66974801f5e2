"""Weights of held-out frames: exact where it can be said, and unbiased where chance decides."""

from __future__ import annotations

import numpy as np
import pytest

from loop.math.evaluation.inclusion import inclusion_probability, inclusion_weights
from samplers.evaluation_sample import Need, draw_evaluation


def test_the_probability_to_be_drawn_at_all() -> None:
    chances = np.array([[0.5, 0.1, 0.0], [0.5, 0.2, 0.3], [0.0, 1.0, 0.0]])
    np.testing.assert_allclose(inclusion_probability(chances), [0.75, 1.0, 0.3])


def test_a_frame_counts_by_all_batches_whichever_drew_it() -> None:
    chances = np.array([[0.5, 0.5, 0.25], [0.5, 0.5, 0.2]])
    batch = np.array([0, 1, 1])
    own = chances[batch, np.arange(3)]
    np.testing.assert_allclose(inclusion_weights(chances, batch, own), [4 / 3, 4 / 3, 1 / 0.4])


def test_one_batch_counts_by_its_own_probability_whatever_the_mean_was() -> None:
    weights = inclusion_weights(np.array([[0.3, 0.3]]), np.array([0, 0]), np.array([0.4, 0.1]))
    np.testing.assert_allclose(weights, [2.5, 10])


def test_a_frame_whose_group_had_a_say_in_it_counts_accordingly() -> None:
    """By hand: batches count .5 * .6 / .7 and .4 / .7; the second one's total is what the first drew
    and 1 / own of what it drew itself.
    """
    chances = np.array([[0.5, 0.5], [0.4, 0.4]])
    weights = inclusion_weights(chances, np.array([0, 1]), np.array([0.5, 0.2]))
    np.testing.assert_allclose(weights, [(0.3 / 0.5 + 0.4) / 0.7, 0.4 / 0.2 / 0.7])


STRATA = np.repeat([0, -1], [60, 540])
GROUP = np.concatenate([np.arange(60) // 5, np.arange(540) // 18])
VALUE = np.where(STRATA == 0, 0.8, 0.2) + 0.01 * GROUP
BATCHES = 8


def estimates(seed: int) -> tuple[float, float, float, float]:
    """Over 8 batches of 10 of which the first four go where groups lack: sum of weights, the mean of
    VALUE and the share of the slice; and the mean by the probability in the one batch that drew.
    """
    eligible = np.ones(len(STRATA), dtype=bool)
    rows, own, batch, means = [], [], [], []
    for number in range(BATCHES):
        held = np.unique(GROUP[~eligible & (STRATA == 0)])
        draw = draw_evaluation(
            STRATA,
            GROUP,
            eligible,
            10,
            np.random.default_rng([seed, number]),
            needs={0: Need(groups=12 - len(held)), -1: Need(2)},
            judging=(STRATA == 0) & np.isin(GROUP, held),
        )
        eligible[draw.rows] = False
        rows.append(draw.rows)
        own.append(draw.probability)
        batch.append(np.full(len(draw.rows), number))
        means.append([draw.mean[stratum] for stratum in STRATA.tolist()])
    drawn, probability = np.concatenate(rows), np.concatenate(own)
    weights = inclusion_weights(np.array(means)[:, drawn], np.concatenate(batch), probability)
    by_one = 1 / probability
    return (
        weights.sum(),
        weights @ VALUE[drawn] / weights.sum(),
        weights[STRATA[drawn] == 0].sum() / weights.sum(),
        by_one @ VALUE[drawn] / by_one.sum(),
    )


def test_many_batches_estimate_what_production_holds() -> None:
    found = np.array([estimates(seed) for seed in range(400)])
    total, mean, share, by_one = found.mean(axis=0)
    error = found.std(axis=0) / 20
    assert total == pytest.approx(600, abs=4 * error[0])
    assert mean == pytest.approx(VALUE.mean(), abs=4 * error[1])
    assert share == pytest.approx(0.1, abs=4 * error[2])
    assert error[1] < 0.003
    assert abs(by_one - VALUE.mean()) > 4 * error[3], "what the probability in one batch would say"
