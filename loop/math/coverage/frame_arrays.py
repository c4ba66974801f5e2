"""One side of the comparison, production or training, as arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from connectors.ports import Array
from loop.base.arrays import Bools, Ints, Reals

BLOCK = 8192
FALSELY_UNLIKE = 0.02
"""An embedder that can tell calls at most so many frames unlike that it knows."""
MANY_UNLIKE = 0.1
"""Share of a camera's frames from which on it is doubted, if chance does not explain it."""
SURE = 0.01


class Vectors(Protocol):
    """(N, D) float32 of unit norm, in memory or fetched when some are asked for."""

    def __len__(self) -> int: ...
    def __getitem__(self, rows: NDArray[np.integer] | Bools | slice, /) -> Array: ...


def blocks(vectors: Vectors, size: int = BLOCK) -> Iterator[tuple[slice, Array]]:
    """All rows in order, at most `size` at a time: where they lie, and (B, D)."""
    for start in range(0, len(vectors), size):
        rows = slice(start, min(start + size, len(vectors)))
        yield rows, vectors[rows]


def mean_vector(vectors: Vectors, most: int = 20_000) -> Array:
    """(D,) of at least one vector; of more than `most`, as many of them, evenly spread."""
    rows = np.linspace(0, len(vectors) - 1, min(len(vectors), most)).astype(np.int64)
    mean: Array = vectors[rows].mean(axis=0)
    return mean


@dataclass(frozen=True, eq=False)
class Named:
    """A name for each of N frames. code: (N,) int64 index of `names`; None is no name."""

    code: Ints
    names: tuple[str | None, ...]

    @classmethod
    def of(cls, values: Sequence[str | None]) -> Named:
        """From (N,) names."""
        names = tuple(dict.fromkeys(values))
        row = {name: index for index, name in enumerate(names)}
        return cls(np.array([row[value] for value in values], dtype=np.int64), names)

    def listed(self) -> list[str | None]:
        """(N,) names."""
        return [self.names[code] for code in self.code.tolist()]


@dataclass(frozen=True, eq=False)
class Side:
    """N frames of one side of the comparison, row by row.

    seq: (N,) int64 ids of the frames.
    vectors: (N, D), unit norm.
    measures: (N,) float64 by name, NaN for unknown.
    camera, site: (N,) int64 index of `cameras` and of `sites`, the names; None is named what nobody
    knows.
    captured_at: (N,) float64 seconds since 1970, NaN for unknown.
    sequence: (N,) int64 codes, -1 for none.
    group: (N,) int64 ids of camera-days.
    unlike: (N,) bool, frames unlike all that the embedder was trained on: no sentence says anything
    of them.
    doubted: (C,) bool, cameras that send many such frames, see `doubted_cameras`.
    """

    seq: Ints
    vectors: Vectors
    measures: Mapping[str, Reals]
    camera: Ints
    cameras: tuple[str | None, ...]
    site: Ints
    sites: tuple[str | None, ...]
    captured_at: Reals
    sequence: Ints
    group: Ints
    unlike: Bools
    doubted: Bools

    def __len__(self) -> int:
        return len(self.seq)

    @property
    def doubtful(self) -> Bools:
        """(N,) frames of which sentences say nothing, or nothing that can be trusted: those that are
        unlike all that the embedder was trained on, and all of a doubted camera.
        """
        found: Bools = self.unlike | self.doubted[self.camera]
        return found

    @property
    def by_camera(self) -> Named:
        """The camera of each frame, None where nobody knows."""
        return Named(self.camera, self.cameras)

    @property
    def by_site(self) -> Named:
        """The site of each frame, None where nobody knows."""
        return Named(self.site, self.sites)


def side_of(
    seq: Ints,
    vectors: Vectors,
    measures: Mapping[str, Reals],
    *,
    camera: Sequence[str],
    site: Sequence[str],
    sequence: Sequence[str | None],
    captured_at: Reals,
    group: Ints,
    unlike: Bools,
    unknown: str,
) -> Side:
    """A side from what sources say of its frames.

    camera, site: (N,) names; `unknown` stands for none.
    sequence: (N,) names, None for none; see `sequences`. The rest is as in `Side`.
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
        unlike,
        doubted_cameras(
            np.bincount(camera_code, minlength=len(cameras)),
            np.bincount(camera_code[unlike], minlength=len(cameras)),
            np.array([name != unknown for name in cameras], dtype=np.bool_),
        ),
    )


def doubted_cameras(frames: Ints, unlike: Ints, named: Bools) -> Bools:
    """(C,) which cameras send so much that the embedder does not know that its answers to their other
    frames are doubtful as well.

    frames, unlike: (C,) frames of each, and those of them that are unlike all that it knows.
    named: (C,) whether it is a camera: frames of which nobody knows the camera are of many.
    """
    many = unlike > MANY_UNLIKE * frames
    by_chance = stats.binom.sf(unlike - 1, np.maximum(frames, 1), FALSELY_UNLIKE)
    found: Bools = named & many & (by_chance < SURE / max(len(frames), 1))
    return found


def coded(names: Sequence[str]) -> tuple[tuple[str, ...], Ints]:
    """The different names in order, and (N,) int64 the index of each."""
    different, codes = np.unique(np.array(names, dtype=np.str_), return_inverse=True)
    return tuple(different.tolist()), codes.astype(np.int64)


def codes_of(names: Sequence[str]) -> Ints:
    """(N,) a number for each different name."""
    return coded(names)[1]


def sequences(named: Sequence[str | None], camera: Ints, group: Ints, seconds: Reals) -> Ints:
    """(N,) a number for each sequence, -1 for none: those that a source named, in their camera and
    group, for a name such as "morning" comes back every day; where it named none, frames of a
    camera that follow one another closely.

    seconds: (N,) when each was captured, NaN where nobody knows.
    """
    return sequences_of(Named.of(named), camera, group, seconds)


def sequences_of(named: Named, camera: Ints, group: Ints, seconds: Reals) -> Ints:
    """The same from names by code."""
    by_time = bursts(camera, seconds)
    has_name = np.array([bool(name) for name in named.names] or [False])[named.code]
    places = np.stack(
        [
            np.where(has_name, group, 0),
            np.where(has_name, camera, 0),
            np.where(has_name, named.code, -1),
            np.where(has_name, 0, by_time),
        ]
    )
    return np.where(~has_name & (by_time < 0), -1, _numbered(places))


def _numbered(columns: Ints) -> Ints:
    """(N,) a number for each different one of the columns (F, N)."""
    order = np.lexsort(columns)
    ordered = columns[:, order]
    new = np.ones(ordered.shape[1], dtype=np.bool_)
    new[1:] = (ordered[:, 1:] != ordered[:, :-1]).any(axis=0)
    number = np.empty(len(order), dtype=np.int64)
    number[order] = np.cumsum(new) - 1
    return number


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
