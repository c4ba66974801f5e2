"""Near-duplicates as a page: what counts as the same, and the pairs just inside and just outside of it. One file, dark and light."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, select_autoescape

from db.engine import read
from db.frames import FrameRow, frames
from db.tables import utcnow
from loop.ingest.ingest import write_atomically
from loop.insights.duplicates import CameraRepeats, Cluster, Pair, Survey
from loop.project.project import Project
from loop.web.thumbnails import thumbnail

STRIP = 10
CAMERAS = 8
WIDTH = 180


@dataclass(frozen=True)
class Picture:
    """data: a URI, "" for a file that cannot be read."""

    data: str
    caption: str


@dataclass(frozen=True)
class PairCard:
    """Two frames side by side. share: of the distance within which they would be the same, 1 for just."""

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
    target = path.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, render(project, found).encode("utf-8"))


def render(project: Project, found: Survey) -> str:
    """The page as HTML."""
    pages = Environment(loader=PackageLoader("loop.web"), autoescape=select_autoescape())
    shown = [camera for camera in found.cameras if camera.inside or camera.outside][:CAMERAS]
    shots = _shots(project, found.biggest, shown)
    return pages.get_template("duplicates.html").render(
        name=project.settings.name,
        made=utcnow(),
        found=found,
        most=max((camera.redundancy for camera in found.cameras), default=1.0),
        strips=[Strip(each, [shots[seq] for seq in spread(each.frames)]) for each in found.biggest],
        pairs=[(camera, _cards(camera.inside, shots), _cards(camera.outside, shots)) for camera in shown],
    )


def spread(seqs: Sequence[int], most: int = STRIP) -> list[int]:
    """At most `most` of them, evenly spread, the first and the last among them."""
    places = np.unique(np.linspace(0, len(seqs) - 1, min(most, len(seqs))).astype(int))
    return [seqs[place] for place in places]


def _cards(pairs: Sequence[Pair], shots: dict[int, Picture]) -> list[PairCard]:
    return [PairCard(pair, shots[pair.left], shots[pair.right]) for pair in pairs]


def _shots(
    project: Project, clusters: Sequence[Cluster], cameras: Sequence[CameraRepeats]
) -> dict[int, Picture]:
    wanted = {seq for cluster in clusters for seq in spread(cluster.frames)}
    wanted |= {
        seq for each in cameras for pair in (*each.inside, *each.outside) for seq in (pair.left, pair.right)
    }
    with read(project.engine) as session:
        rows = frames(session, seqs=sorted(wanted))
    return {row.seq: Picture(thumbnail(project.store / row.path, width=WIDTH), _caption(row)) for row in rows}


def _caption(row: FrameRow) -> str:
    return f"{row.captured_at:%Y-%m-%d %H:%M:%S}" if row.captured_at else f"frame {row.seq}"
