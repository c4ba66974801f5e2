"""AP50 of one model with its interval over groups."""

from __future__ import annotations

import numpy as np
import pytest

from loop.base.arrays import Ints
from loop.math.evaluation.ap import Matches, average_precision
from loop.math.evaluation.one_model import of_one_model


def world(rng: np.random.Generator, days: int, per_day: int = 4) -> tuple[Matches, Ints]:
    """One class; how many objects are found, and how surely, varies from day to day."""
    image, confidence, hit, truths, group = [], [], [], [], []
    for day in range(days):
        shift = rng.normal(0, 0.6)
        for _ in range(per_day):
            objects = int(rng.poisson(1.5))
            found = int((rng.random(objects) < 1 / (1 + np.exp(-1 - shift))).sum())
            false = int(rng.poisson(0.5))
            image += [len(truths)] * (found + false)
            confidence += [*rng.normal(1.2 + shift, 1, found), *rng.normal(-0.5, 1, false)]
            hit += [True] * found + [False] * false
            truths.append([objects])
            group.append(day)
    order = np.argsort(-np.array(confidence))
    matches = Matches(
        np.array(image)[order],
        np.zeros(len(order), np.int64),
        np.array(confidence)[order],
        np.array(hit)[None, order],
        np.array(truths),
        np.array([0.5]),
    )
    return matches, np.array(group)


def everything(matches: Matches) -> np.ndarray:
    return np.ones(matches.images, np.bool_)


def test_the_value_is_that_of_the_images_that_count() -> None:
    matches, group = world(np.random.default_rng(1), 10)
    told = of_one_model(matches, everything(matches), group)
    assert told.ap50 == pytest.approx(average_precision(matches).ap50)
    half = group < 5
    own = of_one_model(matches, half, group)
    assert own.ap50 == pytest.approx(average_precision(matches, half).ap50)
    assert own.groups == len({int(one) for one in group[half & (matches.truths[:, 0] > 0)]})


def test_classes_count_by_their_objects() -> None:
    """Nine objects that are all found, and one of another class that is not."""
    truths = np.array([[9, 1]])
    nine = np.zeros(9, np.int64)
    matches = Matches(nine, nine, np.full(9, 0.9), np.ones((1, 9), np.bool_), truths, np.array([0.5]))
    assert of_one_model(matches, np.ones(1, np.bool_), nine[:1]).ap50 == pytest.approx(0.9)


def test_nothing_is_promised_of_few_days_or_of_no_objects() -> None:
    matches, group = world(np.random.default_rng(2), 4)
    assert of_one_model(matches, everything(matches), group).interval is None
    matches, group = world(np.random.default_rng(2), 20)
    nothing = of_one_model(matches, np.zeros(matches.images, np.bool_), group)
    assert np.isnan(nothing.ap50)
    assert (nothing.interval, nothing.groups) == (None, 0)
    one_large = np.where(group < 17, 0, group - 16)
    assert of_one_model(matches, everything(matches), one_large).interval is None


@pytest.mark.parametrize("days", [6, 15])
def test_the_interval_holds_the_value_of_many_days(days: int) -> None:
    many, _ = world(np.random.default_rng(0), 2000)
    true = average_precision(many).ap50
    rng = np.random.default_rng(days)
    held = []
    for _ in range(150):
        matches, group = world(rng, days)
        interval = of_one_model(matches, everything(matches), group).interval
        if interval is not None:
            held.append(interval[0] <= true <= interval[1])
    assert len(held) >= 100
    assert np.mean(held) >= 0.92
