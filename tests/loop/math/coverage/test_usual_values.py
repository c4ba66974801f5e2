"""How far a measurement is from what is usual of its camera."""

from __future__ import annotations

import math

import numpy as np
import pytest

from loop.math.coverage.frame_arrays import Named
from loop.math.coverage.usual_values import ALL, LEAST_SPREAD, OFFSET, spreads_above, usual_values
from loop.settings.conditions import ENOUGH_FRAMES


def test_a_camera_with_enough_frames_has_its_own() -> None:
    dice = np.random.default_rng(0)
    many, few = ENOUGH_FRAMES, ENOUGH_FRAMES - 1
    values = np.concatenate([np.exp(dice.normal(0, 0.2, many)), np.exp(dice.normal(3, 0.2, few)), [np.nan]])
    usual = usual_values(values, Named.of(["a"] * many + ["b"] * few + ["b"]))
    assert set(usual) == {ALL, "a"}
    assert usual["a"][0] == pytest.approx(0, abs=0.15)
    assert usual["a"][1] == pytest.approx(0.2, abs=0.1)
    assert usual[ALL][1] > 1


def test_distances_are_of_logarithms_and_0_where_nothing_is_known() -> None:
    usual = {ALL: (0.0, 0.5), "a": (math.log(2), 0.1)}
    values = np.array([2 * math.exp(0.3) - OFFSET, 2 * math.exp(-0.4) - OFFSET, 1 - OFFSET, np.nan])
    found = spreads_above(values, Named.of(["a", "a", None, "a"]), usual)
    np.testing.assert_allclose(found, [3, -4, 0, 0], atol=1e-9)


def test_a_camera_that_never_changes_has_a_spread() -> None:
    usual = usual_values(np.full(30, 0.5), Named.of(["a"] * 30))
    assert usual["a"][1] == LEAST_SPREAD
    assert usual_values(np.full(3, np.nan), Named.of(["a"] * 3)) == {}
