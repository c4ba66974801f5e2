"""The frames in a part of the map of the embedding space."""

from __future__ import annotations

import numpy as np

from db.engine import read
from loop.base.arrays import Ints
from loop.gaps.kept_map import kept_map
from loop.insights.frame_facts import known_producers
from loop.insights.map_area import corners_of, inside
from loop.project.project import Project


def frames_in(project: Project, area: str) -> Ints:
    """Ids of the frames in a part of the map, ascending; none where there is no map. Raises ValueError
    for what is no part of it.
    """
    corners = corners_of(area)
    with read(project.engine) as session:
        embedder = known_producers(session, project).embedder
    found = None if embedder is None else kept_map(project, embedder)
    return np.zeros(0, np.int64) if found is None else found.frames[inside(found.plane, corners)]
