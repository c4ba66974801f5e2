"""A part of the map in an address: what stands there is what is found."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from matplotlib.path import Path as Polygon

from loop.base.errors import ConfigError
from loop.insights.frame_query import FrameQuery
from loop.insights.map_area import MOST_CORNERS, area_of, corners_of, drawn_on, inside, stamp_of


def test_the_corners_of_an_address_are_those_that_were_drawn() -> None:
    corners = np.array([[0, 0], [1, 0.5], [0.25, 1]])
    assert area_of(corners) == "0-0_1000-500_250-1000"
    np.testing.assert_array_equal(corners_of(area_of(corners)), corners)
    query = FrameQuery.parse("in=0-0_1000-500_250-1000&camera=gate")
    assert query.area == "0-0_1000-500_250-1000"
    assert query.address() == "camera=gate&in=0-0_1000-500_250-1000"


def test_an_area_says_on_which_map_it_was_drawn() -> None:
    made = datetime(2026, 11, 30, 12, tzinfo=UTC)
    area = area_of(np.array([[0, 0], [1, 0.5], [0.25, 1]]), made)
    assert area == f"0-0_1000-500_250-1000.{int(made.timestamp()):x}"
    assert drawn_on(area) == stamp_of(made)
    assert drawn_on("0-0_1000-500_250-1000") is None
    np.testing.assert_array_equal(corners_of(area), corners_of("0-0_1000-500_250-1000"))
    assert FrameQuery.parse(f"in={area}").area == area


@pytest.mark.parametrize(
    "text",
    [
        "0-0_1-1",
        "a",
        "0-0_5-5_1001-0",
        "0-0_5-5_-1-0",
        "0-0 5-5 1-0",
        "0.5-0_1-1_2-0",
        "0-0_1-1_2-0_",
        "0-0_1-1_2-0.6b1f",
        "0-0_1-1_2-0.6b1f0a3g",
        "9" * 500,
        "_".join(["1-1"] * (MOST_CORNERS + 1)),
    ],
)
def test_what_is_no_part_of_a_map_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="in: expected 3 to 40 corners on the map such as"):
        FrameQuery.parse({"in": text})


def test_points_are_inside_as_another_implementation_says() -> None:
    rng = np.random.default_rng(0)
    plane = rng.random((5000, 2))
    around = np.linspace(0, 2 * np.pi, 30, endpoint=False)
    blob = 0.5 + (0.2 + 0.2 * rng.random((30, 1))) * np.column_stack([np.cos(around), np.sin(around)])
    for corners in (rng.random((3, 2)), blob):
        found = inside(plane, corners)
        np.testing.assert_array_equal(found, Polygon(corners).contains_points(plane))
        assert 0 < found.sum() < len(plane)


def test_a_lasso_that_crosses_itself_leaves_out_what_it_goes_around_twice() -> None:
    star = np.array([[0.5, 0.0], [0.8, 0.9], [0.0, 0.35], [1.0, 0.35], [0.2, 0.9]])
    points = np.array([[0.5, 0.5], [0.5, 0.1], [0.02, 0.02]])
    assert inside(points, star).tolist() == [False, True, False]


def test_squares_hold_every_point_once_those_on_the_far_edges_too() -> None:
    plane = np.array([[0.0, 0.0], [0.5, 0.5], [1.0, 0.2], [0.3, 1.0], [1.0, 1.0], [0.999, 0.5]])
    squares = [
        np.array([[x, y], [x + 1, y], [x + 1, y + 1], [x, y + 1]]) / 2 for x in range(2) for y in range(2)
    ]
    held = np.sum([inside(plane, square) for square in squares], axis=0)
    assert held.tolist() == [1] * len(plane)
