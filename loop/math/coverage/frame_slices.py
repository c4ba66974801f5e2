"""From gaps to what a sampler works with: one slice per frame, and its deficit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loop.base.arrays import Ints, Reals
from loop.math.coverage.gaps import Gap

NO_SLICE = -1
LESS_SURE = 0.5
"""A gap that is suspected counts so much of one that is shown."""


@dataclass(frozen=True, eq=False)
class FrameSlices:
    """code: (N,) int64 row of the others, or -1.
    deficit: (S,) float64.
    names, keys: (S,).

    sure: (N,) float64 in 0..1, how far a frame can be told to belong to its slice.
    """

    code: Ints
    deficit: Reals
    sure: Reals
    names: tuple[str, ...]
    keys: tuple[str, ...]


def frame_slices_of(gaps: Sequence[Gap], size: int) -> FrameSlices:
    """A frame in several gaps belongs to the rarest of them, so that a broad gap does not swallow a
    narrow one.

    A slice's deficit is its gap's score, shrunk by the share of its frames that went elsewhere, and
    half as much where it is suspected: what production lacks counts by how much worse the detector
    sees there. A detector only suspects the frames of a class, the surest first.
    size: N production frames.
    """
    code, sure = np.full(size, NO_SLICE, dtype=np.int64), np.ones(size)
    for index in reversed(rarest_first(gaps)):
        frames = gaps[index].frames
        code[frames] = index
        sure[frames] = np.linspace(1, 0, len(frames), endpoint=False) if gaps[index].kind == "class" else 1.0
    kept = np.bincount(code[code >= 0], minlength=len(gaps))
    own = [kept[i] / max(gap.unexplained * len(gap.frames), 1) for i, gap in enumerate(gaps)]
    sure_of = [1.0 if gap.shown else LESS_SURE for gap in gaps]
    deficit = [
        gap.score * min(share, 1.0) * each for gap, share, each in zip(gaps, own, sure_of, strict=True)
    ]
    return FrameSlices(
        code,
        np.array(deficit, dtype=np.float64),
        sure,
        tuple(gap.name for gap in gaps),
        tuple(gap.key for gap in gaps),
    )


def rarest_first(gaps: Sequence[Gap]) -> list[int]:
    """Places of the gaps; a frame in several belongs to the first of them."""
    broad_first = sorted(range(len(gaps)), key=lambda i: (-gaps[i].production_share, gaps[i].score))
    return broad_first[::-1]
