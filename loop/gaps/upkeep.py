"""What pages show of the whole project, brought up to date in the background."""

from __future__ import annotations

from connectors.ports import Progress, Purpose
from db.engine import read, write
from db.facts import get_fact, set_fact
from db.labels import count_labels
from db.vector_scan import VectorScan
from loop.analysis import producers
from loop.base.errors import ProjectError
from loop.base.wording import counted
from loop.gaps import coverage_view
from loop.gaps.coverage_facts import COVERAGE, CROSSED
from loop.gaps.kept_map import kept_map
from loop.gaps.space_map import map_of
from loop.project.wiring import Parts

COMPARED = "coverage_compared"
"""What was there when production was compared last."""
MOSTLY = 0.8
"""Share of production that the current models have seen, from which on a comparison says something."""


def keep_map(parts: Parts, progress: Progress) -> str:
    """Gives frames that came in a place on the map; what was done, "" for nothing. What searches among
    many frames need is made with it.
    """
    project = parts.project
    with read(project.engine) as session:
        embedder = producers.known_embedder(session, project)
        if embedder is None:
            return ""
        VectorScan(project.engine, project.indexes).prepare(session, embedder)
    before = kept_map(project, embedder)
    found = map_of(project, embedder, progress)
    if not len(found):
        return ""
    if before is None or found.made != before.made:
        return f"a map of {counted(len(found), 'frame')} made"
    new = len(found) - int(before.rows(found.frames)[1].sum())
    return f"{counted(new, 'frame')} placed on the map" if new else ""


def make_map_anew(parts: Parts, progress: Progress) -> str:
    """Makes the map from the frames of now, turned to lie as the one before; what was done. Raises
    ProjectError where no frame is analyzed.
    """
    with read(parts.project.engine) as session:
        embedder = producers.known_embedder(session, parts.project)
    found = None if embedder is None else map_of(parts.project, embedder, progress, anew=True)
    if found is None or not len(found):
        raise ProjectError("expected analyzed frames, found none; run `fieldloop analyze` first")
    return f"a map of {counted(len(found), 'frame')} made"


def compare_anew(parts: Parts, progress: Progress) -> str:
    """Compares production with the training set, where frames or labels came in since that was done
    last, or what was kept of it counts no more, and most of production is analyzed; what was done, ""
    for nothing.
    """
    project, backlog = parts.project, producers.backlog_of(parts)
    with read(project.engine) as session:
        labeled = count_labels(session, purpose=Purpose.TRAIN)
        before = get_fact(session, COMPARED)
    now = f"{COVERAGE} {CROSSED} {producers.producers(parts)} {backlog.analyzed} {labeled}"
    if now == before or not labeled or backlog.analyzed < max(1, MOSTLY * backlog.production):
        return ""
    found = compare(parts, progress)
    with write(project.engine) as session:
        set_fact(session, COMPARED, now)
    return found


def compare(parts: Parts, progress: Progress) -> str:
    """Compares production with the training set; what was found. Raises ProjectError where there is
    nothing to compare yet.
    """
    view = coverage_view.build(parts, progress)
    shown = sum(gap.shown for gap in view.gaps)
    return f"{counted(shown, 'gap')} shown, {len(view.gaps) - shown} suspected"
