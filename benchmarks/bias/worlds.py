"""Projects as arrays: camera-days with classes that are tied to a site, or to nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.scale.world import Array
from loop.base.arrays import Bools, Ints, Reals
from loop.math.bias.association import UNKNOWN, Factor, assessed, exchanged_units, wanted_draws
from loop.math.bias.scene_clusters import scene_clusters
from loop.math.statistics.multiple_testing import benjamini_hochberg

LEVEL = 0.05
MOST_DRAWS = 4999
FORKLIFT = 2
BASE = np.array([-1.0, -2.0, -3.0, -3.0, -4.0, -5.0])
"""Log-odds of six classes: in .27 to .007 of the frames."""
CAMERAS, SITES = 6, 3
DIM = 32


@dataclass(frozen=True)
class Case:
    """days: of each of six cameras at three sites. frames: of a camera-day in the mean, unevenly.

    by_day: standard deviation of the log-odds of a class between camera-days. shared: the same
    between days of a site, for all its cameras alike. everywhere: the same between days, for all sites
    alike, and twice as much of a fourth slice. bursts: a class comes in runs within a day, and
    not frame by frame. odds: of the forklift at site A, which is the third class.
    sizes: camera-days of some cameras are four times as long.
    """

    name: str
    days: int
    frames: float
    by_day: float = 1.0
    shared: float = 0.0
    bursts: bool = False
    odds: float = 0.0
    sizes: bool = False
    everywhere: float = 0.0


@dataclass(frozen=True, eq=False)
class Frames:
    """presence: (N, C). vectors: (N, D). group, camera, site, day: (N,). slices: (N, S) 0 or 1."""

    presence: Bools
    vectors: Array
    group: Ints
    camera: Ints
    site: Ints
    day: Reals
    slices: Ints


def drawn(case: Case, seed: int) -> Frames:
    """A project. Three slices come in runs within a day: one as often everywhere, one by camera, one by
    day. Vectors are those of the camera and the day, and the forklift's where there is one.
    """
    rng = np.random.default_rng([seed, 29])
    camera = np.repeat(np.arange(CAMERAS), case.days)
    day, site, days = np.tile(np.arange(case.days), CAMERAS), camera % SITES, len(camera)
    mean = case.frames * np.where(case.sizes & (camera < 3), 4.0, 1.0)
    size = np.maximum(rng.lognormal(np.log(mean), 0.8, days).astype(np.int64), 1)
    group = np.repeat(np.arange(days), size)
    logit = BASE + rng.normal(0, case.by_day, (days, len(BASE)))
    logit += rng.normal(0, case.shared, (SITES, case.days, len(BASE)))[site, day]
    if case.everywhere:
        logit += rng.normal(0, case.everywhere, (case.days, len(BASE)))[day]
    logit[:, FORKLIFT] += case.odds * (site == 0)
    chance = 1 / (1 + np.exp(-logit[group]))
    draws = rng.random((len(group), len(BASE)))
    presence = (_runs(rng, group, len(BASE)) if case.bursts else draws) < chance
    shares = [np.full(days, 0.2), np.array([0.05, 0.1, 0.2, 0.3, 0.4, 0.5])[camera], rng.beta(1, 3, days)]
    slices = (_runs(rng, group, 3) < np.stack(shares, axis=1)[group]).astype(np.int64)
    if case.everywhere:
        weather = rng.normal(-1, 2 * case.everywhere, case.days)[day] + rng.normal(0, 1, days)
        rain = rng.random(len(group)) < 1 / (1 + np.exp(-weather[group]))
        slices = np.concatenate([slices, rain[:, None]], axis=1).astype(np.int64)
    vectors = 2 * rng.normal(size=(CAMERAS, DIM))[camera[group]] + rng.normal(size=(days, DIM))[group]
    vectors += 0.7 * rng.normal(size=(len(group), DIM))
    vectors += 2 * presence[:, FORKLIFT, None] * rng.normal(size=DIM)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Frames(
        presence,
        vectors.astype(np.float32),
        group,
        camera[group],
        site[group],
        day[group].astype(np.float64),
        slices,
    )


def _runs(rng: np.random.Generator, group: Ints, many: int) -> Reals:
    """(N, many) uniform, the same along runs of about eight frames of a group."""
    new = (rng.random((len(group), many)) < 1 / 8) | (np.diff(group, prepend=-1) != 0)[:, None]
    run = np.cumsum(new, axis=0)
    columns = [rng.random(int(run[-1, column]) + 1)[run[:, column]] for column in range(many)]
    return np.stack(columns, axis=1)


def factors_of(frames: Frames, seed: int) -> list[Factor]:
    """Camera, site, scene and the slices."""
    scene = scene_clusters(frames.vectors, frames.presence, frames.group, seed)
    codes = [frames.camera, frames.site, scene, *frames.slices.T]
    kinds = ["camera", "site", "scene", *["slice"] * frames.slices.shape[1]]
    return [_factor(kind, code) for kind, code in zip(kinds, codes, strict=True)]


def _factor(kind: str, code: Ints) -> Factor:
    names = tuple(str(number) for number in range(int(code.max(initial=UNKNOWN)) + 1))
    return Factor(kind, kind, names, names, code)


def _units(frames: Frames, factor: Factor) -> Ints:
    return exchanged_units(factor.kind, frames.site, frames.day, frames.group)


@dataclass(frozen=True)
class Found:
    """any: whether any pair is a finding. planted: whether the forklift and camera, site or scene is.

    tested: pairs that could be.
    """

    any: bool
    planted: bool
    tested: int


def found(case: Case, seed: int) -> Found:
    """As `fieldloop bias` decides it, of one project."""
    frames = drawn(case, seed)
    factors = factors_of(frames, seed)
    draws = min(wanted_draws(len(factors) * len(BASE), LEVEL), MOST_DRAWS)
    told = [
        assessed(
            frames.presence, factor, frames.group, _units(frames, factor), seed=seed + place, draws=draws
        )
        for place, factor in enumerate(factors)
    ]
    p = np.stack([each.p for each in told])
    known = ~np.isnan(p)
    q = np.ones(p.shape)
    q[known] = benjamini_hochberg(p[known])
    certain = q <= LEVEL
    return Found(bool(certain.any()), bool(certain[:3, FORKLIFT].any()), int(known.sum()))
