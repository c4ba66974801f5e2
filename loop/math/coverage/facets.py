"""One way of dividing frames into conditions, for production and training set alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from loop.base.arrays import Codes, Ints, Reals, same
from loop.math.coverage.frame_arrays import Named
from loop.math.coverage.prompts import Assignment
from loop.math.coverage.usual_frames import AGAINST_USUAL, against_usual
from loop.settings.conditions import ENOUGH_FRAMES, Bin, PromptGroup

Kind = Literal["metadata", "measured", "prompt", "class", "region", "collection"]

NONE = -1
"""None of the options."""
MUCH = 0.02
"""Part of a camera's training frames from which on a camera-day sways the camera's limit."""
UNKNOWN = -2
"""Nothing is known; such frames are left out of both shares."""


@dataclass(frozen=True, eq=False)
class Facet:
    """production: (N,) and training: (M,) int32 index of `options`, -1 none of them, -2 unknown.

    strength: (N,) float64, how clearly a production frame shows its option; examples are ordered by
    it.
    id, option_ids: what stays when facet and options are called otherwise; their names where left
    out.
    """

    name: str
    kind: Kind
    options: tuple[str, ...]
    production: Codes
    training: Codes
    strength: Reals
    id: str = ""
    option_ids: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Of the slice of all frames of which it is known."""
        return slice_key(self.id or self.name)

    @property
    def keys(self) -> tuple[str, ...]:
        """Of the slice of each option."""
        facet = self.id or self.name
        return tuple(slice_key(facet, option) for option in self.option_ids or self.options)


def slice_key(*parts: str) -> str:
    """The key of a facet, or of one option of it, such as "time of day/night"."""
    return "/".join(part.replace("%", "%25").replace("/", "%2F") for part in parts)


def metadata_facet(
    name: str,
    production: Named,
    training: Named,
    ids: Mapping[str, str] | None = None,
) -> Facet:
    """Options are the names that production shows; None and the empty one are unknown.

    ids: of options that are called otherwise.
    """
    shown = [production.names[code] for code in np.unique(production.code).tolist()]
    options = tuple(sorted({name for name in shown if name}))
    row = {option: index for index, option in enumerate(options)}
    codes = _codes(production, row), _codes(training, row)
    own = tuple((ids or {}).get(option, option) for option in options)
    return Facet(name, "metadata", options, *codes, same(1, len(production.code)), option_ids=own)


def by_daypart(hours: Reals, dayparts: Sequence[tuple[str, float, float]]) -> Named:
    """The part of the day of each hour (N,) in 0..24; None for NaN and for hours of no part."""
    code = np.full(len(hours), len(dayparts), dtype=np.int64)
    for place, (_, start, end) in enumerate(dayparts):
        inside = (hours >= start) & (hours < end) if start < end else (hours >= start) | (hours < end)
        code[inside] = place
    return Named(code, (*(name for name, _, _ in dayparts), None))


def prompt_facet(group: PromptGroup, production: Assignment, training: Assignment) -> Facet:
    strength = production.probability.max(axis=1, initial=0.0)
    own, *options = group.ids
    return Facet(
        group.name,
        "prompt",
        group.options,
        production.option.astype(np.int32),
        training.option.astype(np.int32),
        strength,
        own,
        tuple(options),
    )


def measured_facets(
    bins: Sequence[Bin],
    production: Mapping[str, Reals],
    training: Mapping[str, Reals],
    production_camera: Named,
    training_camera: Named,
    training_group: Ints | None = None,
) -> list[Facet]:
    """One facet per bin whose measurement both sides have; limits are quantiles of the training
    set.

    A training frame of a camera-day that makes up much of its camera is told by the limit of the
    camera's other days, as production is; it is unknown where these have too few frames. Else
    training would pass its own limit in 1 % of its frames, and every new day in more.
    training_group: (M,) int, camera-days; each frame alone where left out.

    A camera with 20 training frames or more has its own limits where the bin says so: sharpness of
    good frames differs several times between cameras. Motion and dirt are told against the usual
    frame of such a camera and unknown of others. Frames of which nobody knows the camera (None)
    count as one camera. NaN is unknown.
    """
    here, there = production_camera, training_camera
    facets = []
    for bin_ in bins:
        values, known = _compared(bin_.measure, production, training, here, there)
        if not len(values) or not np.isfinite(known).any():
            continue
        limits = _limits(bin_, known, there)
        beyond, margin = _beyond(bin_, values, here, limits)
        inside, _ = _beyond(bin_, known, there, limits)
        if training_group is not None:
            _leave_days_out(inside, bin_, known, there, training_group, limits)
        options = (bin_.name,)
        own = (bin_.id or bin_.name,)
        facets.append(Facet(bin_.measure, "measured", options, beyond, inside, margin, option_ids=own))
    return facets


def _compared(
    measure: str, production: Mapping[str, Reals], training: Mapping[str, Reals], here: Named, there: Named
) -> tuple[Reals, Reals]:
    """(N,) and (M,), or two empty ones where a side has none."""
    if measure in AGAINST_USUAL:
        return against_usual(measure, production, training, here, there)
    if measure not in production or measure not in training:
        return np.zeros(0), np.zeros(0)
    return production[measure], training[measure]


@dataclass(frozen=True)
class _Limits:
    """overall: for cameras without one of their own."""

    overall: float
    own: Mapping[str | None, float]


def _limits(bin_: Bin, training: Reals, camera: Named) -> _Limits:
    own: dict[str | None, float] = {}
    for code in np.unique(camera.code).tolist() if bin_.per_camera else ():
        values = training[(camera.code == code) & np.isfinite(training)]
        if len(values) >= ENOUGH_FRAMES:
            own[camera.names[code]] = float(np.quantile(values, bin_.quantile))
    return _Limits(float(np.nanquantile(training, bin_.quantile)), own)


def _beyond(bin_: Bin, values: Reals, camera: Named, limits: _Limits) -> tuple[Codes, Reals]:
    by_name = [limits.own.get(name, limits.overall) for name in camera.names]
    limit = np.array(by_name, dtype=np.float64)[camera.code]
    margin = limit - values if bin_.side == "below" else values - limit
    unknown = np.isnan(margin)
    code = np.where(unknown, UNKNOWN, np.where(margin > 0, 0, NONE)).astype(np.int32)
    return code, np.where(unknown, 0.0, margin)


def _leave_days_out(
    inside: Codes, bin_: Bin, values: Reals, camera: Named, group: Ints, limits: _Limits
) -> None:
    """Of training frames of a large group, what the other frames of their camera tell, in place."""
    known = np.isfinite(values)
    for code, name in enumerate(camera.names):
        of_camera = camera.code == code if name in limits.own else np.ones(len(values), dtype=bool)
        own = np.flatnonzero((camera.code == code) & known)
        rest = np.flatnonzero(of_camera & known)
        groups, counts = np.unique(group[own], return_counts=True)
        for one in groups[counts > MUCH * len(rest)]:
            inner, others = own[group[own] == one], values[rest[group[rest] != one]]
            if len(others) < ENOUGH_FRAMES:
                inside[inner] = UNKNOWN
                continue
            limit = np.quantile(others, bin_.quantile)
            beyond = values[inner] < limit if bin_.side == "below" else values[inner] > limit
            inside[inner] = np.where(beyond, 0, NONE)


def _codes(named: Named, row: Mapping[str, int]) -> Codes:
    by_name = np.array([row.get(name, NONE) if name else UNKNOWN for name in named.names], dtype=np.int32)
    codes: Codes = by_name[named.code]
    return codes
