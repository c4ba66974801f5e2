"""Which frames show which slices: every facet with its options, classes and regions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from db.slice_members import Counts, Members, together
from db.slices import NewSlice
from db.states import SliceKind
from loop.analysis.producers import Producers
from loop.base.arrays import Bools, Ints, Reals, same
from loop.math.boxes.frame_boxes import FrameBoxes
from loop.math.coverage.comparison import Comparison
from loop.math.coverage.facets import UNKNOWN, Facet, slice_key
from loop.math.coverage.gaps import SUSPECT, suspicion_limit
from loop.math.coverage.regions import Region
from loop.settings.conditions import Conditions
from samplers.expected_loss import expected_loss

CLASS = "class"
OF_CLASSES = NewSlice(CLASS, SliceKind.FACET, CLASS)
OF_REGIONS = NewSlice("region", SliceKind.FACET, "region")
"""Every frame is asked for both, so that the share of a class or a region is one of all frames."""
ABOVE = "above"
"""Of a class, the score from which on a frame shows it."""


@dataclass(frozen=True, eq=False)
class Described:
    """What is known of N production frames.

    seq, group: (N,) int64 ids.
    scores: (N, C) the highest of each class.
    """

    seq: Ints
    group: Ints
    boxes: FrameBoxes
    scores: Reals
    classes: tuple[str, ...]
    facets: Sequence[Facet]

    @classmethod
    def of(cls, found: Comparison) -> Described:
        production = found.production
        return cls(production.seq, production.group, found.boxes, found.scores, found.classes, found.facets)

    def __len__(self) -> int:
        return len(self.seq)

    def take(self, rows: Ints) -> Described:
        """Those of these rows."""
        facets = [
            replace(facet, production=facet.production[rows], strength=facet.strength[rows])
            for facet in self.facets
        ]
        return Described(
            self.seq[rows], self.group[rows], self.boxes.take(rows), self.scores[rows], self.classes, facets
        )


@dataclass(frozen=True, eq=False)
class Shown:
    """A slice and the production frames that show it.

    producer: whose word it is.
    rows: (K,) int64.
    strength: (K,).
    known: (N,) bool, frames of which it is known.
    judged: rows of which it is said anew; the others stay as they were.
    besides: imported frames that show it too. They are not counted: a share is one of production.
    """

    slice: NewSlice
    producer: int
    rows: Ints
    strength: Reals
    known: Bools
    judged: Ints | None = None
    besides: Members | None = None

    def members(self, seqs: Ints) -> Members:
        """All that show it. seqs: (N,) of production."""
        own = Members(seqs[self.rows], self.strength)
        return own if self.besides is None else together(own, self.besides)


def shown_by(
    found: Described,
    regions: Sequence[Region],
    above: Mapping[str, float],
    conditions: Conditions,
    made: Producers,
) -> list[Shown]:
    """Every slice of which something is known, facets first.

    regions: over the same frames.
    above: from which score on a class is suspected, by its name.
    """
    definitions = _definitions(conditions)
    # Several limits of one measurement are several facets here, and one way of dividing frames there.
    rows = np.arange(len(found))
    facets = {facet.key: _of_facet(facet, rows, made) for facet in found.facets}
    options = [one for facet in found.facets for one in _of_options(facet, definitions, made)]
    asked = [OF_CLASSES, OF_REGIONS] if regions else [OF_CLASSES]
    every = [of_all(new, rows, made) for new in asked]
    return [*facets.values(), *every, *options, *_of_classes(found, above, made), *_of_regions(regions, made)]


def limits_of(found: Described) -> dict[str, float]:
    """From which score on each class is suspected, by what the detector finds in all these frames."""
    return {
        name: suspicion_limit(found.scores[:, index], SUSPECT) for index, name in enumerate(found.classes)
    }


def counts_of(found: Described, shown: Sequence[Shown], ids: dict[str, int]) -> Counts:
    """Of every group and slice that a frame of it shows, and of every facet that is known of one."""
    groups, group = np.unique(found.group, return_inverse=True)
    confidence, loss = found.boxes.mean_confidence(), expected_loss(found.boxes.scores)
    parts = []
    for one in shown:
        inside = np.bincount(group[one.rows], minlength=len(groups))
        place = np.flatnonzero(inside)
        known = np.bincount(group[one.known], minlength=len(groups))
        sums = [
            np.bincount(group[one.rows], each[one.rows], len(groups))[place] for each in (confidence, loss)
        ]
        number = np.full(len(place), ids[one.slice.key])
        parts.append((groups[place], number, known[place], inside[place], *sums))
    empty = tuple(np.zeros(0, dtype=np.int64) for _ in range(6))
    columns = [np.concatenate(each) for each in zip(empty, *parts, strict=True)]
    return Counts(*columns[:4], *(each.astype(np.float64) for each in columns[4:]))


def producer_of(kind: SliceKind, made: Producers) -> int:
    """Whose word it is that a frame shows a slice of this kind. A collection draws on all of them: its
    frames are kept under the measurements, which change least.
    """
    match kind:
        case SliceKind.PROMPT | SliceKind.REGION:
            return made.embedder
        case SliceKind.CLASS:
            return made.detector
        case SliceKind.FACET | SliceKind.METADATA | SliceKind.MEASURED | SliceKind.COLLECTION:
            return made.measure
        case SliceKind.JOINT:
            raise ValueError(f"expected a kind of slice that a model decides, got {kind}")


def region_slice(region: Region, embedder: int) -> NewSlice:
    center = [round(float(value), 4) for value in region.center]
    definition = {"embedder": embedder, "center": center}
    return NewSlice(region.key, SliceKind.REGION, region.name, OF_REGIONS.key, definition)


def _definitions(conditions: Conditions) -> dict[str, dict[str, object]]:
    """What decides who shows each condition, by key."""
    found: dict[str, dict[str, object]] = {}
    for group in conditions.groups:
        own, *options = group.ids
        for option, sentences in zip(options, group.prompts, strict=True):
            found[slice_key(own, option)] = {"sentences": list(sentences), "none_below": group.none_below}
    for bin_ in conditions.bins:
        limit = {"of": bin_.measure, bin_.side: bin_.quantile, "per_camera": bin_.per_camera}
        found[slice_key(bin_.measure, bin_.id or bin_.name)] = limit
    for name, start, end in conditions.dayparts:
        found[slice_key("daypart", conditions.daypart_ids.get(name, name))] = {"hours": [start, end]}
    return found


def _of_facet(facet: Facet, every: Ints, made: Producers) -> Shown:
    known = facet.production != UNKNOWN
    rows = every if known.all() else np.flatnonzero(known)
    new = NewSlice(facet.key, SliceKind.FACET, facet.name)
    return Shown(new, producer_of(SliceKind(facet.kind), made), rows, same(1, len(rows)), known)


def of_all(facet: NewSlice, every: Ints, made: Producers) -> Shown:
    """A facet that every frame is asked for. every: (N,) rows."""
    known = np.ones(len(every), dtype=np.bool_)
    return Shown(facet, made.detector, every, same(1, len(every)), known)


def _of_options(facet: Facet, definitions: dict[str, dict[str, object]], made: Producers) -> list[Shown]:
    known = facet.production != UNKNOWN
    found = []
    for index, (option, key) in enumerate(zip(facet.options, facet.keys, strict=True)):
        rows = np.flatnonzero(facet.production == index)
        kind, name = SliceKind(facet.kind), f"{facet.name}: {option}"
        new = NewSlice(key, kind, name, facet.key, definitions.get(key, {}))
        found.append(Shown(new, producer_of(SliceKind(facet.kind), made), rows, facet.strength[rows], known))
    return found


def _of_classes(found: Described, above: Mapping[str, float], made: Producers) -> list[Shown]:
    score = found.scores
    every = np.ones(len(score), dtype=np.bool_)
    shown = []
    for index, name in enumerate(found.classes):
        rows = np.flatnonzero(score[:, index] > above[name])
        limit = {ABOVE: above[name]}
        new = NewSlice(slice_key(CLASS, name), SliceKind.CLASS, f"class: {name}", OF_CLASSES.key, limit)
        shown.append(Shown(new, producer_of(SliceKind.CLASS, made), rows, score[rows, index], every))
    return shown


def _of_regions(regions: Sequence[Region], made: Producers) -> list[Shown]:
    """A frame is in one region at most. One that is unlike training no more, since it was labeled,
    stays in its own.
    """
    if not regions:
        return []
    every = np.ones(len(regions[0].inside), dtype=np.bool_)
    anew = np.flatnonzero(np.any([region.inside for region in regions], axis=0))
    return [
        Shown(
            region_slice(region, made.embedder),
            producer_of(SliceKind.REGION, made),
            np.flatnonzero(region.inside),
            region.typical[region.inside],
            every,
            anew,
        )
        for region in regions
    ]
