"""Imported frames beside those of production: collections gather them too, since many of them judge."""

from __future__ import annotations

from dataclasses import dataclass

from connectors.times import zone
from loop.analysis.load import StoredFacts, load_frame_boxes, load_side
from loop.gaps.shown import Described
from loop.math.coverage.comparison import Words, facets_of
from loop.math.coverage.frame_arrays import Side
from loop.project.wiring import Parts


@dataclass(frozen=True, eq=False)
class Imported:
    """Those that the current models have seen. described: None where nobody asked which conditions
    they show.
    """

    side: Side
    described: Described | None


def imported_frames(parts: Parts, facts: StoredFacts, training: Side, words: Words | None) -> Imported:
    """words: the conditions, None where no rule asks for one."""
    side = load_side(facts, facts.all_imported(), lambda: parts.embedder().unlike)
    if words is None or not len(side):
        return Imported(side, None)
    return Imported(side, described(parts, facts, side, training, words))


def described(parts: Parts, facts: StoredFacts, here: Side, there: Side, words: Words) -> Described:
    """What is known of one side's frames, by limits that the training set teaches."""
    settings = parts.project.settings
    facets = facets_of(here, there, words, settings.gaps, zone(settings.frames.timezone))
    boxes, classes = load_frame_boxes(facts, here.seq), parts.project.classes
    return Described(here.seq, here.group, boxes, boxes.class_maxima(len(classes)), classes, facets)
