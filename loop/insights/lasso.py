"""The frames in a part of the map of the embedding space."""

from __future__ import annotations

import numpy as np

from db.engine import read
from loop.base.arrays import Ints
from loop.gaps.kept_map import SpaceMap, kept_map
from loop.insights.frame_facts import known_producers
from loop.insights.map_area import corners_of, drawn_on, inside, stamp_of
from loop.project.project import Project

KEPT = "a collection of them keeps them when the map is made anew"


def frames_in(project: Project, area: str) -> Ints:
    """Ids of the frames in a part of the map, ascending; none where there is no map. Raises ValueError
    for what is no part of it.
    """
    corners, found = corners_of(area), _map(project)
    return np.zeros(0, np.int64) if found is None else found.frames[inside(found.plane, corners)]


def note_of(project: Project, area: str) -> str:
    """What is to be known of the frames in a part of the map."""
    found, drawn = _map(project), drawn_on(area)
    if found is None:
        return "there is no map yet; `fieldloop map` makes it"
    if drawn is not None and drawn != stamp_of(found.made):
        return f"the map was made anew since this part of it was drawn, so other frames lie in it; {KEPT}"
    return f"these lie in that part of the map as it is now; {KEPT}"


def _map(project: Project) -> SpaceMap | None:
    with read(project.engine) as session:
        embedder = known_producers(session, project).embedder
    return None if embedder is None else kept_map(project, embedder)
