"""Frames like some examples: found, told from others, and the limit is tested by examples left aside."""

from __future__ import annotations

import numpy as np
import pytest

from connectors.ports import Array
from loop.math.coverage.likeness import ALONE, likeness

DIM = 64


def kinds(inside: int, others: int, apart: float, seed: int = 0) -> tuple[Array, Array]:
    """Unit vectors of frames of a few cameras, which differ more than the kind that is looked for does."""
    dice = np.random.default_rng(seed)
    cameras, kind = dice.normal(size=(3, DIM)), dice.normal(size=DIM)

    def drawn(count: int, shift: float) -> Array:
        rows = 3 * cameras[dice.integers(0, 3, count)] + shift * kind + dice.normal(0, 0.7, (count, DIM))
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    return drawn(inside, apart), drawn(others, 0.0)


def test_what_is_like_the_examples_is_found_whatever_its_camera() -> None:
    inside, others = kinds(200, 2000, apart=1.5)
    found = likeness(inside[:10], np.arange(10), others[:1000])
    recall = (found.of(inside[10:]) > found.limit).mean()
    false = (found.of(others[1000:]) > found.limit).mean()
    assert recall >= 0.9
    assert false <= 0.01
    assert found.found is not None
    assert abs(found.found - recall) <= 0.25


def test_others_are_0_and_examples_1_in_the_mean() -> None:
    inside, others = kinds(50, 500, apart=1.0)
    found = likeness(inside, np.arange(50), others)
    assert found.of(others).mean() == pytest.approx(0, abs=1e-4)
    assert found.of(inside).mean() == pytest.approx(1, abs=1e-4)


def test_examples_with_nothing_in_common_say_so() -> None:
    _, others = kinds(1, 1200, apart=1.0)
    found = likeness(others[:12], np.arange(12), others[12:])
    assert found.found is not None
    assert found.found <= 0.1
    assert (found.of(others[12:]) > found.limit).mean() <= 0.01


def test_a_burst_is_left_aside_as_a_whole() -> None:
    """Its frames would find one another, whatever else they show."""
    _, others = kinds(1, 1200, apart=1.0)
    twins = np.repeat(others[:4], 3, axis=0)
    apart = likeness(twins, np.repeat(np.arange(4), 3), others[4:])
    alone = likeness(twins, np.arange(12), others[4:])
    assert apart.found is not None
    assert alone.found is not None
    assert apart.found < alone.found


def test_one_burst_has_a_limit_that_nothing_tests() -> None:
    inside, others = kinds(40, 500, apart=1.5)
    found = likeness(inside[:1], np.zeros(1, np.int64), others)
    assert found.found is None
    assert found.limit >= ALONE
    assert (found.of(others) > found.limit).mean() <= 0.01


def test_without_examples_or_others_nothing_is_learned() -> None:
    inside, others = kinds(3, 3, apart=1.0)
    with pytest.raises(ValueError, match="got 0 and 3"):
        likeness(inside[:0], np.zeros(0, np.int64), others)
    with pytest.raises(ValueError, match="got 3 and 1"):
        likeness(inside, np.arange(3), others[:1])
