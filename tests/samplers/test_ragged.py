"""Arrays of different lengths as one are what they are apart."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from samplers.ragged import Ragged

LENGTHS = st.lists(st.integers(0, 4), min_size=1, max_size=12)


@given(LENGTHS, st.integers(0, 2**32 - 1))
def test_it_is_what_its_rows_are(lengths: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    apart = [rng.random(length) for length in lengths]
    wide = [rng.random((length, 3)) for length in lengths]
    one, both = Ragged.of(apart), Ragged.of(wide)
    assert len(one) == len(apart)
    assert all(np.array_equal(a, b) for a, b in zip(one, apart, strict=True))
    assert all(np.array_equal(both[n], each) for n, each in enumerate(wide))
    np.testing.assert_allclose(one.sums(), [row.sum() for row in apart])
    assert one.maxima().tolist() == [row.max(initial=0) for row in apart]
    assert both.maxima().tolist() == [row.max(axis=0, initial=0).tolist() for row in wide]
    assert [row.tolist() for row in both.top] == [row.max(axis=1, initial=0).tolist() for row in wide]
    order = rng.permutation(len(apart))[: len(apart) // 2 + 1]
    assert [row.tolist() for row in one.take(order)] == [apart[n].tolist() for n in order]
    assert [row.tolist() for row in one[1:]] == [row.tolist() for row in apart[1:]]
    assert one.row.tolist() == [n for n, row in enumerate(apart) for _ in row]


def test_of_nothing_there_is_nothing() -> None:
    assert len(Ragged.of([])) == 0
    assert Ragged.of([]).sums().tolist() == []
    assert Ragged.of([np.zeros((0, 4)), np.zeros(0)]).lengths.tolist() == [0, 0]
