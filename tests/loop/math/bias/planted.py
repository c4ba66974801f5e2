"""Frames of camera-days with a class that is tied to a site, or to nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from loop.base.arrays import Bools, Ints
from loop.math.bias.association import Factor

BASE = np.array([-1.5, -2.5, -3.0])
CAMERAS, SITES = 6, 3


@dataclass(frozen=True, eq=False)
class Planted:
    """presence: (N, 3). group, camera, site: (N,)."""

    presence: Bools
    group: Ints
    camera: Ints
    site: Ints

    @property
    def factors(self) -> tuple[Factor, Factor]:
        return factor("camera", self.camera), factor("site", self.site)


def planted(seed: int, odds: float = 0.0, days: int = 10, mean: float = 20.0) -> Planted:
    """Camera-days of uneven sizes that differ by a standard deviation of 1. odds: of class 1 at site
    0.
    """
    rng = np.random.default_rng(seed)
    camera = np.repeat(np.arange(CAMERAS), days)
    size = np.maximum(rng.lognormal(np.log(mean), 0.8, len(camera)).astype(int), 1)
    group = np.repeat(np.arange(len(camera)), size)
    logit = BASE + rng.normal(0, 1, (len(camera), 3))
    logit[:, 1] += odds * (camera % SITES == 0)
    presence = rng.random((len(group), 3)) < 1 / (1 + np.exp(-logit[group]))
    return Planted(presence, group, camera[group], (camera % SITES)[group])


def factor(kind: str, code: Ints) -> Factor:
    names = tuple(f"{kind} {number}" for number in range(int(code.max()) + 1))
    return Factor(kind, kind, names, names, code)
