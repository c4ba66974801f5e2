"""The benchmark of ties measures what `fieldloop bias` decides, and says it in tables."""

from __future__ import annotations

import json

import numpy as np

from benchmarks.bias.__main__ import NULLS, PLANTED, RESULTS, tables
from benchmarks.bias.locations import bounds_hold
from benchmarks.bias.worlds import FORKLIFT, SITES, drawn, factors_of, found


def test_worlds_are_as_they_are_said_to_be() -> None:
    planted, none = drawn(PLANTED[5], 0), drawn(NULLS[0], 0)
    there = planted.presence[:, FORKLIFT]
    share = [there[planted.site == site].mean() for site in range(SITES)]
    assert share[0] > 2 * max(share[1:])
    assert len(np.unique(none.group)) == 60
    assert all(factor.code.max() >= 1 for factor in factors_of(none, 0))
    again = drawn(PLANTED[5], 0)
    assert (again.presence == planted.presence).all()


def test_a_planted_tie_is_found_and_none_where_there_is_none() -> None:
    assert found(PLANTED[5], 0).planted
    assert not found(NULLS[0], 0).any


def test_bounds_are_counted() -> None:
    (row,) = bounds_hold((5, 10), 5)
    assert row["worlds"] == 5
    assert 0.6 <= row["held"] <= 1
    assert 0 <= row["shown"] <= 1


def test_the_stored_result_makes_tables() -> None:
    text = tables(json.loads(RESULTS.read_text(encoding="utf-8")))
    assert "| null | worlds | any finding | 95 % interval | pairs tested |" in text
    assert "minutes of one core" in text
