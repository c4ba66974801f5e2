"""Frames of one side as arrays: what counts as one sequence, and names as codes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from loop.math.coverage.frame_arrays import Side, bursts, side_of


@dataclass(frozen=True)
class Shot:
    """after_s: seconds after midnight of the day, None where nobody knows."""

    day: int
    sequence: str | None
    after_s: float | None
    camera: str = "gate"


def side(*shots: Shot, unlike: tuple[int, ...] = ()) -> Side:
    seconds = [np.nan if shot.after_s is None else 86_400 * shot.day + shot.after_s for shot in shots]
    return side_of(
        np.arange(len(shots)),
        np.ones((len(shots), 2), np.float32),
        {},
        camera=[shot.camera for shot in shots],
        site=["yard"] * len(shots),
        sequence=[shot.sequence for shot in shots],
        captured_at=np.array(seconds),
        group=np.array([shot.day for shot in shots]),
        unlike=np.isin(np.arange(len(shots)), unlike),
        unknown="?",
    )


def test_a_name_that_comes_back_every_day_is_a_sequence_of_each() -> None:
    first, second, third = side(
        Shot(1, "morning", 0), Shot(1, "morning", 900), Shot(2, "morning", 0)
    ).sequence.tolist()
    assert first == second != third
    assert -1 not in (first, third)


def test_cameras_share_no_sequence_and_an_empty_name_is_none() -> None:
    here, there = side(Shot(1, "morning", 0), Shot(1, "morning", 0, "dock")).sequence
    assert here != there
    assert side(Shot(1, "", None), Shot(1, None, None)).sequence.tolist() == [-1, -1]


def test_a_side_keeps_the_names_of_cameras_and_sites() -> None:
    made = side(Shot(1, None, 0, "gate"), Shot(1, None, 0, "dock"), Shot(1, None, 0, "gate"))
    assert (made.camera.tolist(), made.cameras) == ([1, 0, 1], ("dock", "gate"))
    assert made.by_camera.listed() == ["gate", "dock", "gate"]
    assert made.by_site.listed() == ["yard"] * 3
    assert (len(made), len(side())) == (3, 0)


def test_an_unknown_camera_has_a_code_and_no_name() -> None:
    made = side(Shot(1, None, 0, "gate"), Shot(1, None, 0, "?"), Shot(1, None, 0, "?"))
    assert made.by_camera.listed() == ["gate", None, None]
    assert made.sequence.tolist()[1:] == [made.sequence[1]] * 2, "frames of one moment of it belong together"


def test_bursts_break_at_pauses_and_cameras() -> None:
    camera = np.array([1, 0, 0, 0, 1, 0])
    seconds = np.array([5.0, 100, 0, 20, 6, np.nan])
    assert bursts(camera, seconds, gap=30).tolist() == [3, 1, 0, 0, 3, -1]


def test_all_of_a_camera_is_doubtful_that_sends_what_the_embedder_never_saw() -> None:
    """One of a hundred is called unlike by mistake, and a short burst says little; a fifth is much."""
    shots = [Shot(1, None, None, camera) for camera in ("yard", "street") for _ in range(100)]
    one = side(*shots, unlike=(3, 7, *range(100, 120)))
    street, yard = one.cameras.index("street"), one.cameras.index("yard")
    assert one.doubtful[one.camera == street].all()
    assert np.flatnonzero(one.doubtful[one.camera == yard]).tolist() == [3, 7]
    nobody = side(*[Shot(1, None, None, "?") for _ in range(100)], unlike=tuple(range(20)))
    assert np.flatnonzero(nobody.doubtful).tolist() == list(range(20)), "frames of many cameras"


def test_too_few_frames_tell_nothing_of_a_camera() -> None:
    few = side(*[Shot(1, None, None)] * 10, unlike=(0,))
    assert few.doubtful.tolist() == [True] + [False] * 9
