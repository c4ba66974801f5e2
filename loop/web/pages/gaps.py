"""The gaps as a page: shares side by side, example frames, and a map of the embedding space. One
file, dark and light.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from connectors.files import write_atomically
from connectors.ports import Box
from loop.base.arrays import Ints
from loop.base.moments import shown
from loop.gaps.coverage_view import CoverageView, certainty
from loop.gaps.kept_map import SpaceMap
from loop.gaps.space_map import map_of
from loop.math.boxes.drawn import predicted_boxes
from loop.math.coverage.facets import UNKNOWN, Facet
from loop.math.coverage.gaps import Gap
from loop.math.coverage.projection import sample_rows
from loop.project.project import Project
from loop.web.environment import page_environment
from loop.web.thumbnails import thumbnail

EXAMPLES = 6
POINTS = 2000
LOOKED_AT = 1000
"""So many frames of a gap, the clearest first, are looked through for examples."""
SHOWN_GAPS = 12
COLORS = (
    "#e4572e",
    "#17bebb",
    "#ffc914",
    "#8e6fd8",
    "#76b041",
    "#e56399",
    "#3f88c5",
    "#f49d37",
    "#5f9ea0",
    "#b56576",
    "#9bc53d",
    "#7d8597",
)


@dataclass(frozen=True)
class Example:
    """One frame of a gap.

    picture: a data URI, "" for a file that cannot be read.
    taken: by which camera, and when.
    """

    picture: str
    taken: str
    file: str


@dataclass(frozen=True)
class GapCard:
    """One gap as the page shows it.

    certainty: how well its share is known, for people.
    """

    gap: Gap
    color: str
    certainty: str
    pictures: list[Example]


@dataclass(frozen=True)
class Bar:
    """One condition's two shares."""

    option: str
    production: float
    training: float


def write(project: Project, view: CoverageView, path: Path) -> None:
    """Writes the page to `path`; within the project it is for its owner alone, as the images in it are."""
    target = path.resolve()
    write_atomically(target, render(project, view), private=target.is_relative_to(project.root))


def render(project: Project, view: CoverageView) -> str:
    """The page as HTML."""
    pages = page_environment(project.settings.frames.timezone)
    cards = [
        _card(project, view, gap, COLORS[i % len(COLORS)]) for i, gap in enumerate(view.gaps[:SHOWN_GAPS])
    ]
    sampled = _sampled(view)
    found = map_of(project, view.embedder, lambda done, total, what: None)
    return pages.get_template("gaps.html").render(
        name=project.settings.name,
        made=datetime.now(UTC),
        view=view,
        cards=cards,
        facets=_by_name(view.facets),
        points=_points(view, sampled, found),
        map=found,
        legend=[(card.gap.name, card.color) for card in cards],
    )


def bars(facet: Facet) -> list[Bar]:
    """Shares of every option that either side shows, most frequent in production first."""
    here = facet.production[facet.production != UNKNOWN]
    there = facet.training[facet.training != UNKNOWN]
    if not len(here) or not len(there):
        return []
    rows = [
        Bar(option, float((here == i).mean()), float((there == i).mean()))
        for i, option in enumerate(facet.options)
    ]
    if facet.kind == "prompt":
        rows.append(Bar("none of these", float((here == -1).mean()), float((there == -1).mean())))
    return sorted((bar for bar in rows if bar.production or bar.training), key=lambda bar: -bar.production)


def _by_name(facets: Sequence[Facet]) -> dict[str, list[Bar]]:
    """The bars of each facet; a measurement with a low and a high limit is one."""
    found: dict[str, list[Bar]] = {}
    for facet in facets:
        if rows := bars(facet):
            found.setdefault(facet.name, []).extend(rows)
    return found


def examples(view: CoverageView, rows: Sequence[int], most: int = EXAMPLES) -> list[int]:
    """At most `most` rows, of different sequences as far as there are any."""
    first: dict[int, int] = {}
    for row in rows:
        first.setdefault(
            int(view.production.sequence[row]) if view.production.sequence[row] >= 0 else -int(row) - 1,
            int(row),
        )
    spread = list(first.values())
    return (spread + [int(row) for row in rows if int(row) not in spread])[:most]


def _card(project: Project, view: CoverageView, gap: Gap, color: str) -> GapCard:
    pictures = []
    rows = examples(view, gap.frames[:LOOKED_AT].tolist())
    for row, frame in zip(rows, view.frames.take(np.array(rows, dtype=np.int64)), strict=True):
        when = shown(frame.captured_at, project.settings.frames.timezone) if frame.captured_at else ""
        picture = thumbnail(project.store / frame.path, _boxes(view, row))
        pictures.append(Example(picture, f"{frame.camera} {when}".strip(), frame.source_key))
    return GapCard(gap, color, certainty(view, gap), pictures)


def _boxes(view: CoverageView, row: int) -> list[Box]:
    return predicted_boxes(view.detections[row], view.classes)


def _sampled(view: CoverageView) -> list[Ints]:
    """Rows of the training set, of ordinary production, and of production in a gap that is shown."""
    gap_of = _gap_of(view)
    parts = [np.arange(len(view.training)), np.flatnonzero(gap_of < 0), np.flatnonzero(gap_of >= 0)]
    seqs = [view.training.seq, *(view.production.seq[rows] for rows in parts[1:])]
    return sample_rows(parts, seqs, POINTS)


def _gap_of(view: CoverageView) -> Ints:
    """(N,) each production frame's rarest gap among those that are shown, -1 for none."""
    return np.where(view.frame_slices.code < SHOWN_GAPS, view.frame_slices.code, -1)


def _points(view: CoverageView, sampled: list[Ints], found: SpaceMap) -> list[tuple[float, float, str, str]]:
    """(x, y, color or kind, title) in 0..1000 of those on the map; training first so that gaps lie on
    top.
    """
    training, ordinary, inside = sampled
    gap_of = _gap_of(view)
    production = np.concatenate([ordinary, inside])
    rows, known = found.rows(np.concatenate([view.training.seq[training], view.production.seq[production]]))
    plane = found.plane[rows].astype(np.float64) * 1000
    kinds = [("training", "training set")] * len(training) + [("production", "production")] * len(ordinary)
    kinds += [(COLORS[gap_of[row] % len(COLORS)], view.gaps[gap_of[row]].name) for row in inside]
    return [
        (round(x, 1), round(y, 1), kind, title)
        for (x, y), (kind, title), on_map in zip(plane.tolist(), kinds, known.tolist(), strict=True)
        if on_map
    ]
