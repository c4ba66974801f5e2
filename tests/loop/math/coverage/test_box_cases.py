"""Edge cases that boxes tell, against plain loops and hand-made frames."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from loop.math.coverage.box_cases import (
    CONTAINED,
    ENOUGH_BOXES,
    OF_A_CROWD,
    SURE,
    Corners,
    box_counts,
    oddness,
    overlapped_share,
    touching_share,
    usual_ratios,
)
from samplers.ragged import Ragged

Box = tuple[float, float, float, float]
SIZE = 640, 480


def corners(
    frames: Sequence[Sequence[Box]],
    classes: Sequence[Sequence[int]] | None = None,
    confidence: Sequence[Sequence[float]] | None = None,
) -> Corners:
    """Of frames of SIZE; class 0 and confidence 0.9 where nothing else is said."""
    counts = [len(frame) for frame in frames]
    ids = [[0] * count for count in counts] if classes is None else classes
    sure = [[0.9] * count for count in counts] if confidence is None else confidence
    xyxy = Ragged.of([np.array(frame, np.float32).reshape(-1, 4) for frame in frames])
    return Corners(
        xyxy,
        np.array([each for own in ids for each in own], np.int64),
        np.array([each for own in sure for each in own], np.float64),
        np.full(len(frames), SIZE[0]),
        np.full(len(frames), SIZE[1]),
    )


def plain_share(boxes: Sequence[Box], classes: Sequence[int], covered: float) -> float:
    hidden = 0
    for i, a in enumerate(boxes):
        most = 0.0
        for j, b in enumerate(boxes):
            wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
            if i == j or wide <= 0 or high <= 0:
                continue
            parts = [wide * high / ((each[2] - each[0]) * (each[3] - each[1])) for each in (a, b)]
            if classes[i] == classes[j] or max(parts) < CONTAINED:
                most = max(most, parts[0])
        hidden += most >= covered
    return hidden / max(len(boxes), 1)


@pytest.mark.parametrize(
    ("other", "class_id", "touches"),
    [
        ((150, 100, 200, 200), 0, True),  # ends where the other begins
        ((154, 110, 210, 205), 0, True),  # a gap of a tenth
        ((160, 100, 210, 200), 0, False),  # a fifth
        ((110, 204, 155, 300), 0, True),  # below it
        ((150, 170, 200, 270), 0, False),  # a corner alone
        ((150, 150, 170, 190), 0, False),  # far smaller
        ((150, 100, 200, 200), 1, False),  # another class
        ((102, 102, 152, 202), 0, False),  # as good as the same place
    ],
)
def test_boxes_touch_where_one_ends_at_the_other(other: Box, class_id: int, touches: bool) -> None:
    found = touching_share(corners([[(100, 100, 150, 200), other], []], [[0, class_id], []]), 0.1)
    assert found.tolist() == [float(touches), 0.0]


def test_of_four_boxes_those_that_touch_are_told() -> None:
    row: list[Box] = [(100, 100, 150, 200), (152, 100, 200, 200), (300, 100, 350, 200), (400, 300, 450, 400)]
    assert touching_share(corners([row]), 0.1).tolist() == [0.5]
    unsure = corners([row], confidence=[[0.9, SURE / 2, 0.9, 0.9]])
    assert touching_share(unsure, 0.1).tolist() == [0.0]


def test_the_share_that_is_covered_is_that_of_plain_loops() -> None:
    dice = np.random.default_rng(3)
    frames, classes = [], []
    for _ in range(200):
        count = int(dice.integers(0, 9))
        left, top = dice.uniform(0, 300, (2, count))
        wide, high = dice.uniform(10, 200, (2, count))
        frames.append([tuple(row) for row in np.stack([left, top, left + wide, top + high], axis=1).tolist()])
        classes.append(dice.integers(0, 2, count).tolist())
    found = overlapped_share(corners(frames, classes), 0.3)
    expected = [plain_share(*each, 0.3) for each in zip(frames, classes, strict=True)]
    np.testing.assert_allclose(found, expected)
    assert 0.2 < np.mean(found > 0) < 0.95


@pytest.mark.parametrize(
    ("frame", "classes", "share"),
    [
        ([(10, 10, 50, 110), (30, 10, 70, 110)], [0, 0], 1.0),
        ([(10, 10, 50, 110), (45, 10, 85, 110)], [0, 0], 0.0),
        ([(10, 10, 50, 110), (15, 12, 35, 30)], [0, 1], 0.0),
        ([(10, 10, 50, 110), (15, 12, 35, 30)], [0, 0], 0.5),
        ([(10, 10, 50, 110), (30, 10, 70, 110), (200, 10, 240, 110), (300, 10, 340, 110)], [0, 1, 0, 1], 0.5),
        ([(10, 10, 50, 110)], [0], 0.0),
        ([], [], 0.0),
    ],
    ids=["half", "a touch", "a helmet on a head", "one of a class in another", "two of four", "one", "none"],
)
def test_what_counts_as_covered(frame: list[Box], classes: list[int], share: float) -> None:
    assert overlapped_share(corners([frame], [classes]), 0.3).tolist() == [share]


def test_boxes_that_the_detector_is_not_sure_of_do_not_count() -> None:
    two = [(10.0, 10.0, 50.0, 110.0), (30.0, 10.0, 70.0, 110.0)]
    unsure = corners([two, two], confidence=[[0.9, SURE - 0.01], [0.9, SURE]])
    assert overlapped_share(unsure, 0.3).tolist() == [0.0, 1.0]
    faint = corners([two, two], confidence=[[0.9, OF_A_CROWD - 0.01], [0.9, OF_A_CROWD]])
    assert box_counts(faint).tolist() == [1, 2]


def upright(count: int, ratio: float = 0.5, at: float = 100.0) -> list[Box]:
    dice = np.random.default_rng(count)
    found = []
    for _ in range(count):
        high = float(dice.uniform(60, 140))
        wide = high * ratio * math.exp(dice.normal(0, 0.1))
        found.append((at, at, at + wide, at + high))
    return found


def test_how_a_class_usually_lies_needs_enough_boxes() -> None:
    frames = [upright(ENOUGH_BOXES), upright(ENOUGH_BOXES - 1, 2.0)]
    classes = [[0] * ENOUGH_BOXES, [1] * (ENOUGH_BOXES - 1)]
    usual = usual_ratios(corners(frames, classes))
    assert set(usual) == {0}
    middle, spread = usual[0]
    assert middle == pytest.approx(math.log(0.5), abs=0.1)
    assert spread == pytest.approx(0.1, abs=0.05)


def test_a_turned_box_is_odd_and_a_cut_or_small_one_is_not() -> None:
    usual = {0: (math.log(0.5), 0.15)}
    frames = [
        upright(3),
        [(100.0, 100.0, 220.0, 160.0)],
        [(0.0, 100.0, 120.0, 160.0)],
        [(100.0, 100.0, 110.0, 105.0)],
        [],
    ]
    found = oddness(corners(frames), usual)
    assert found[0] < 4 < found[1]
    assert found[1] == pytest.approx((math.log(2) - math.log(0.5)) / 0.15)
    assert found[2:].tolist() == [0.0, 0.0, 0.0]
    assert oddness(corners([frames[1]], [[7]]), usual).tolist() == [0.0]


def test_no_frame_at_all() -> None:
    nothing = corners([])
    assert len(overlapped_share(nothing, 0.3)) == len(oddness(nothing, {})) == len(box_counts(nothing)) == 0
    assert usual_ratios(nothing) == {}
