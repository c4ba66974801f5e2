"""Several tests at once, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from loop.math.statistics.multiple_testing import holm


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]).tolist() == [0.03, 0.06, 0.06]
    assert holm([0.6, 0.7]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []


@pytest.mark.parametrize(
    ("p", "refuted"),
    [
        ([0.01, 0.04, 0.02], [True, True, True]),
        ([0.02, 0.04, 0.02], [False, False, False]),
        ([0.001, 0.04, 0.03], [True, False, False]),
    ],
)
def test_holm_stops_at_the_first_that_stands(p: list[float], refuted: list[bool]) -> None:
    assert (holm(p) <= 0.05).tolist() == refuted


def test_a_test_that_says_nothing_refutes_nothing() -> None:
    adjusted = holm([np.nan, 0.02, 0.5])
    assert np.isnan(adjusted[0])
    assert adjusted[1:].tolist() == [0.06, 1.0]
