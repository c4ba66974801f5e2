"""Near-duplicates as a page: what counts as the same, and the pairs just inside and just outside of
it. One file, dark and light.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from connectors.files import write_atomically
from loop.base.moments import SECOND, shown
from loop.insights.duplicates import CameraRepeats, Cluster, Pair, Shot, Survey, shots
from loop.project.project import Project
from loop.web.environment import page_environment
from loop.web.thumbnails import thumbnail

STRIP = 10
CAMERAS = 8
WIDTH = 180


@dataclass(frozen=True)
class Picture:
    """data: a URI, "" for a file that cannot be read."""

    data: str
    caption: str
    file: str


@dataclass(frozen=True)
class PairCard:
    """Two frames side by side.

    share: of the distance within which they would be the same, 1 for just.
    """

    pair: Pair
    left: Picture
    right: Picture

    @property
    def share(self) -> float:
        return self.pair.distance / self.pair.reach


@dataclass(frozen=True)
class Strip:
    """A cluster, with some of its frames evenly spread over it."""

    cluster: Cluster
    pictures: list[Picture]


def write(project: Project, found: Survey, path: Path) -> None:
    """Writes the page to `path`."""
    write_atomically(path.resolve(), render(project, found))


def render(project: Project, found: Survey) -> str:
    """The page as HTML."""
    pages = page_environment(project.settings.frames.timezone)
    compared = [camera for camera in found.cameras if camera.inside or camera.outside][:CAMERAS]
    taken = _pictures(project, found.biggest, compared)
    return pages.get_template("duplicates.html").render(
        name=project.settings.name,
        made=datetime.now(UTC),
        found=found,
        most=max((camera.redundancy for camera in found.cameras), default=1.0),
        strips=[Strip(each, [taken[seq] for seq in spread(each.frames)]) for each in found.biggest],
        pairs=[(camera, _cards(camera.inside, taken), _cards(camera.outside, taken)) for camera in compared],
    )


def spread(seqs: Sequence[int], most: int = STRIP) -> list[int]:
    """At most `most` of them, evenly spread, the first and the last among them."""
    places = np.unique(np.linspace(0, len(seqs) - 1, min(most, len(seqs))).astype(int))
    return [seqs[place] for place in places]


def _cards(pairs: Sequence[Pair], taken: dict[int, Picture]) -> list[PairCard]:
    return [PairCard(pair, taken[pair.left], taken[pair.right]) for pair in pairs]


def _pictures(
    project: Project, clusters: Sequence[Cluster], cameras: Sequence[CameraRepeats]
) -> dict[int, Picture]:
    wanted = {seq for cluster in clusters for seq in spread(cluster.frames)}
    wanted |= {
        seq for each in cameras for pair in (*each.inside, *each.outside) for seq in (pair.left, pair.right)
    }
    return {
        shot.seq: Picture(
            thumbnail(shot.path, width=WIDTH), _caption(shot, project.settings.frames.timezone), shot.file
        )
        for shot in shots(project, sorted(wanted))
    }


def _caption(shot: Shot, timezone: str) -> str:
    return shown(shot.captured_at, timezone, SECOND) if shot.captured_at else "no time"
