from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.image_faults import FAULTS
from connectors.ports import Image
from loop.base.arrays import Reals
from loop.math.coverage.facets import measured_facets
from loop.math.coverage.frame_arrays import Named
from loop.math.coverage.image_detail import CELLS, SLANTS
from loop.math.coverage.image_statistics import measure
from loop.math.coverage.usual_frames import against_usual
from loop.settings.conditions import ENOUGH_FRAMES, Bin, load_conditions

DATA = Path(os.environ.get("FIELDLOOP_DATA") or "no data")
real = pytest.mark.skipif(
    not (DATA / "fixed_videos").is_dir(), reason="FIELDLOOP_DATA does not point to the real data sets"
)


def slants(upright: Sequence[float], diagonal: Sequence[float]) -> dict[str, Reals]:
    return dict(zip(SLANTS, (np.array(upright, float), np.array(diagonal, float)), strict=True))


def usual(count: int = ENOUGH_FRAMES) -> dict[str, Reals]:
    return slants([0.9, 1.1] * (count // 2), [0.0] * count)


def test_motion_is_how_far_the_slants_are_from_the_cameras_own() -> None:
    here, there = Named.of(["c"] * 3), Named.of(["c"] * ENOUGH_FRAMES)
    found, known = against_usual("motion", slants([1, 4, np.nan], [0, 4, 0]), usual(), here, there)
    np.testing.assert_allclose(found, [0, 5, np.nan], atol=1e-9)
    np.testing.assert_allclose(known, [0.1] * ENOUGH_FRAMES, rtol=1e-6)


def test_of_a_camera_with_few_training_frames_nothing_is_told() -> None:
    few = usual(ENOUGH_FRAMES - 2)
    training = {name: np.r_[values, usual()[name]] for name, values in few.items()}
    there = Named.of(["few"] * (ENOUGH_FRAMES - 2) + ["many"] * ENOUGH_FRAMES)
    here = Named.of(["few", "many", "new", None])
    found, known = against_usual("motion", slants([4] * 4, [0] * 4), training, here, there)
    np.testing.assert_allclose(found, [np.nan, 3, np.nan, np.nan])
    assert np.isnan(known[there.code == there.names.index("few")]).all()
    moved = Bin("motion blur", "motion", "above", 0.99, per_camera=True)
    (facet,) = measured_facets([moved], slants([4] * 4, [0] * 4), training, here, there)
    assert facet.production.tolist() == [-2, 0, -2, -2]


def test_what_was_not_measured_is_no_facet() -> None:
    names = Named.of(["c"] * ENOUGH_FRAMES)
    moved = Bin("motion blur", "motion", "above", 0.99, per_camera=True)
    half = {SLANTS[0]: np.zeros(ENOUGH_FRAMES)}
    assert measured_facets([moved], usual(), half, names, names) == []


def cells(dice: np.random.Generator, count: int) -> Reals:
    """(count, 24) of a camera that sees twice as much detail now and then, everywhere."""
    own = np.geomspace(0.1, 2, len(CELLS))
    return own * dice.uniform(0.5, 1.5, (count, 1)) * np.exp(dice.normal(0, 0.1, (count, len(CELLS))))


def test_dirt_is_detail_lost_in_some_places_alone() -> None:
    dice = np.random.default_rng(0)
    training, clean = cells(dice, 100), cells(dice, 300)
    dirty, dim = clean.copy(), 0.3 * clean
    dirty[:, [9, 10, 11]] *= 0.3
    sides = [dict(zip(CELLS, side.T, strict=True)) for side in (np.r_[clean, dirty, dim], training)]
    found, known = against_usual("dirt", *sides, Named.of(["c"] * 900), Named.of(["c"] * 100))
    limit = np.quantile(known, 0.99)
    beyond = (found.reshape(3, 300) > limit).mean(axis=1)
    assert beyond[0] < 0.05
    assert beyond[1] > 0.95
    assert beyond[2] < 0.1


def test_cells_without_detail_are_no_error() -> None:
    nothing = {name: np.zeros(ENOUGH_FRAMES) for name in CELLS}
    names = Named.of(["c"] * ENOUGH_FRAMES)
    for side in against_usual("dirt", nothing, nothing, names, names):
        np.testing.assert_array_equal(side, np.zeros(ENOUGH_FRAMES))


def frames(name: str, every: int) -> list[Image]:
    video, found = cv2.VideoCapture(str(DATA / "fixed_videos" / name)), []
    while (read := video.read())[0]:
        found.append(read[1])
    return [np.ascontiguousarray(frame[..., ::-1], dtype=np.uint8) for frame in found[::every]]


def rates(training: Sequence[Image], production: Sequence[Image]) -> dict[str, float]:
    """Share of the production frames of which each built-in condition is said."""
    sides = [[measure(image) for image in side] for side in (production, training)]
    values = [{name: np.array([row[name] for row in side]) for name in side[0]} for side in sides]
    cameras = [Named.of(["highway"] * len(side)) for side in sides]
    facets = measured_facets(load_conditions().bins, *values, *cameras)
    return {facet.options[0]: float((facet.production == 0).mean()) for facet in facets}


@real
def test_real_frames_of_a_camera_show_the_conditions_that_were_planted() -> None:
    """The first half of the clip is the training set. Its light grows, so its later frames are in
    truth somewhat glaring.
    """
    every = frames("video03.avi", 10)
    training, clean = every[: len(every) // 2], every[len(every) * 11 // 20 :: 3]
    dice = np.random.default_rng(0)

    def planted(name: str) -> dict[str, float]:
        return rates(training, [FAULTS[name](image, dice) for image in clean])

    unplanted = rates(training, clean)
    assert all(share <= 0.15 for name, share in unplanted.items() if name != "glaring")
    assert planted("blurred night")["blurry"] >= 0.9
    assert planted("night")["blurry"] <= 0.15
    assert planted("moved")["motion blur"] >= 0.8
    assert planted("defocused")["motion blur"] <= 0.5
    assert planted("fogged")["foggy"] >= 0.9
    assert planted("dirtied")["dirty lens"] >= 0.6
    assert planted("compressed, x 1/2")["compressed"] >= 0.9
    assert planted("resized")["compressed"] <= 0.1
