"""By how many exchanges a gain is told."""

from __future__ import annotations

import numpy as np
import pytest

from loop.math.evaluation import pair as under_test
from loop.math.evaluation.compare import DRAWS, Slice, p_gain
from loop.math.evaluation.pair import Pair
from loop.settings.settings import load_settings
from tests.loop.math.evaluation.simulated import BLIND, detector, skills, world

STRICT = 1e-4


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many exchanges were asked for, one time after the other."""
    draws: list[int] = []

    def counted(*given, **options) -> float:
        draws.append(options["draws"])
        return p_gain(*given, **options)

    monkeypatch.setattr(under_test, "p_gain", counted)
    return draws


def p_of(after: np.ndarray, alpha: float) -> float:
    rng = np.random.default_rng(2)
    scene = world(rng, 24)
    models = detector(rng, scene, skills(gaps=BLIND)), detector(rng, scene, after)
    pair = Pair(*models, scene.group, np.zeros(96), load_settings(None).gate, seed=0, draws=DRAWS)
    return pair.p_gain([Slice("overall", np.ones(96))], alpha)


def test_no_gain_is_told_by_few_exchanges(asked: list[int]) -> None:
    assert p_of(skills(gaps=BLIND), STRICT) > 0.01
    assert asked == [DRAWS]


def test_a_gain_is_told_by_as_many_as_alpha_needs(asked: list[int]) -> None:
    assert p_of(skills(), STRICT) <= STRICT
    assert asked == [DRAWS, round(8 / STRICT)]


def test_an_alpha_that_few_exchanges_tell_asks_once(asked: list[int]) -> None:
    assert p_of(skills(), 0.05) <= 0.05
    assert asked == [DRAWS]
