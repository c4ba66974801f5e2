"""One side of the comparison, production or training, as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from connectors.ports import Array
from loop.base.arrays import Ints, Reals


@dataclass(frozen=True, eq=False)
class Side:
    """N frames of one side of the comparison, row by row.

    seq: (N,) int64 ids of the frames. vectors: (N, D) float32, unit norm.
    measures: (N,) float64 by name, NaN for unknown.
    camera, site: (N,) int64 index of `cameras` and of `sites`, the names; None is named what nobody knows.
    captured_at: (N,) float64 seconds since 1970, NaN for unknown.
    sequence: (N,) int64 codes, -1 for none. group: (N,) int64 ids of camera-days.
    """

    seq: Ints
    vectors: Array
    measures: Mapping[str, Reals]
    camera: Ints
    cameras: tuple[str | None, ...]
    site: Ints
    sites: tuple[str | None, ...]
    captured_at: Reals
    sequence: Ints
    group: Ints

    def __len__(self) -> int:
        return len(self.seq)

    def camera_names(self) -> list[str | None]:
        """(N,) the camera of each frame, None where nobody knows."""
        return [self.cameras[code] for code in self.camera]

    def site_names(self) -> list[str | None]:
        """(N,) the site of each frame, None where nobody knows."""
        return [self.sites[code] for code in self.site]


def side_of(
    seq: Ints,
    vectors: Array,
    measures: Mapping[str, Reals],
    *,
    camera: Sequence[str],
    site: Sequence[str],
    sequence: Sequence[str | None],
    captured_at: Reals,
    group: Ints,
    unknown: str,
) -> Side:
    """A side from what sources say of its frames.

    camera, site: (N,) names; `unknown` stands for none. sequence: (N,) names, None for none; see `sequences`.
    The rest is as in `Side`.
    """
    cameras, camera_code = coded(camera)
    sites, site_code = coded(site)
    return Side(
        seq,
        vectors,
        measures,
        camera_code,
        _known(cameras, unknown),
        site_code,
        _known(sites, unknown),
        captured_at,
        sequences(sequence, camera_code, group, captured_at),
        group,
    )


def coded(names: Sequence[str]) -> tuple[tuple[str, ...], Ints]:
    """The different names in order, and (N,) int64 the index of each."""
    different, codes = np.unique(np.array(names, dtype=np.str_), return_inverse=True)
    return tuple(different.tolist()), codes.astype(np.int64)


def codes_of(names: Sequence[str]) -> Ints:
    """(N,) a number for each different name."""
    return coded(names)[1]


def sequences(named: Sequence[str | None], camera: Ints, group: Ints, seconds: Reals) -> Ints:
    """(N,) a number for each sequence, -1 for none: those that a source named, in their camera and group, for a name such as
    "morning" comes back every day; where it named none, frames of a camera that follow one another closely.

    seconds: (N,) when each was captured, NaN where nobody knows.
    """
    by_time = bursts(camera, seconds)
    places = zip(named, camera.tolist(), group.tolist(), by_time.tolist(), strict=True)
    codes = codes_of([f"{day}/{own}/{name}" if name else f"#{burst}" for name, own, day, burst in places])
    alone = np.array([not name for name in named], dtype=bool) & (by_time < 0)
    return np.where(alone, -1, codes)


def bursts(camera: Ints, seconds: Reals, gap: float = 30.0) -> Ints:
    """(N,) int64: frames of a camera that follow one another within `gap` seconds share a number;
    NaN times share none (-1).
    """
    order = np.lexsort((seconds, camera))
    breaks = np.diff(camera[order], prepend=-1) != 0
    breaks |= ~(np.diff(seconds[order], prepend=np.nan) <= gap)
    burst = np.empty(len(camera), dtype=np.int64)
    burst[order] = np.cumsum(breaks) - 1
    return np.where(np.isnan(seconds), -1, burst)


def _known(names: tuple[str, ...], unknown: str) -> tuple[str | None, ...]:
    return tuple(None if name == unknown else name for name in names)
