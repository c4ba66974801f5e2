"""A set of frames for the terminal and for programs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connectors.errors import ImageRejected
from connectors.ports import Array
from loop.base.errors import ConfigError
from loop.base.wording import counted
from loop.insights import frame_tiles
from loop.insights.frame_query import FrameQuery
from loop.insights.frame_tiles import FrameTile, tiles
from loop.insights.frames import LONGEST_PAGE, Distribution, FrameSet, Place, frame_sets
from loop.project.wiring import Parts

if TYPE_CHECKING:
    from loop.selection.select import Within


@dataclass(frozen=True)
class FrameCount:
    """How many frames meet a query. note: what is to be known of it, "" for nothing."""

    address: str
    count: int
    note: str = ""

    def lines(self) -> list[str]:
        """For people."""
        return [counted(self.count, "frame"), *([self.note] if self.note else [])]


@dataclass(frozen=True)
class FrameList:
    """The first frames of a set. timezone: in which people see their times."""

    found: FrameCount
    order: str
    tiles: tuple[FrameTile, ...]
    timezone: str

    def lines(self) -> list[str]:
        """For people."""
        left = self.found.count - len(self.tiles)
        more = [f"and {left} more; --limit N shows them, --ids names them"] if left else []
        return [*self.found.lines(), *frame_tiles.lines(self.tiles, self.timezone, self.order), *more]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        own = {"address": self.found.address, "count": self.found.count, "note": self.found.note}
        return own | {"order": self.order, "frames": [frame_tiles.as_json(tile) for tile in self.tiles]}


@dataclass(frozen=True)
class Spread:
    """How a set is spread. unknown: frames of which the value is not known."""

    address: str
    by: str
    count: int
    bars: tuple[SpreadBar, ...]
    left_out: int
    unknown: int

    def lines(self) -> list[str]:
        """For people."""
        rows = [f"{bar.count:>10}  {bar.count / max(self.count, 1):>6.1%}  {bar.name}" for bar in self.bars]
        unknown = [f"{self.unknown:>10}  not known"] if self.unknown else []
        return [f"{counted(self.count, 'frame')} by {self.by}", *rows, *unknown]


@dataclass(frozen=True)
class SpreadBar:
    """address: of the frames that it counts."""

    name: str
    count: int
    address: str


def counted_frames(parts: Parts, query: FrameQuery) -> FrameCount:
    """Raises ConfigError, StateError."""
    return _count(frame_sets(parts).find(query))


def frame_ids(parts: Parts, query: FrameQuery, limit: int | None = None) -> list[int]:
    """Their numbers in the order of the set. Raises ConfigError, StateError."""
    sets = frame_sets(parts)
    return [int(seq) for seq in sets.ids(sets.find(query), limit)]


def within_of(parts: Parts, query: FrameQuery) -> Within:
    """The set as what a batch is chosen from. Raises ConfigError for an empty one, StateError."""
    from loop.selection.select import Within  # large, and few ask for it

    sets = frame_sets(parts)
    found = sets.find(query)
    if not found.count:
        raise ConfigError(
            f"expected frames to choose from, found none by {query.address() or 'this address'!r}; see"
            " `fieldloop frames`"
        )
    return Within(sets.ids(found), query.address())


def listed(parts: Parts, query: FrameQuery, limit: int, like: Path | None = None) -> FrameList:
    """The first of them, or those most like a picture. Raises ConfigError, StateError, OSError."""
    sets = frame_sets(parts)
    if like is None:
        found = sets.find(query)
    else:
        found = sets.find_like(query, vector_of_picture(parts, like.read_bytes()))
    places: list[Place] = []
    after: str | None = ""
    while after is not None and len(places) < limit:
        page = sets.page(found, after=after, size=min(limit - len(places), LONGEST_PAGE))
        places, after = [*places, *page.places], page.after
    timezone = parts.project.settings.frames.timezone
    return FrameList(_count(found), found.order, tuple(tiles(parts.project, places)), timezone)


def vector_of_picture(parts: Parts, data: bytes) -> Array:
    """(D,) unit vector of an image file, as the embedder sees it. Raises ConfigError."""
    from connectors.images import decode, inspect  # large, and few ask for it

    try:
        vector: Array = parts.embedder().embed([decode(data, inspect(data))])[0]
    except ImageRejected as error:
        raise ConfigError(f"picture: expected an image file, got one that is none ({error})") from error
    return vector


def most_alike(parts: Parts, data: bytes) -> Place:
    """The frame most like a picture, with its similarity. Raises ConfigError, also before the first
    analysis.
    """
    sets = frame_sets(parts)
    found = sets.page(sets.find_like(FrameQuery(), vector_of_picture(parts, data)), size=1).places
    if not found or found[0].value is None:
        raise ConfigError("picture: expected analyzed frames, found none; run `fieldloop analyze` first")
    return found[0]


def spread(parts: Parts, query: FrameQuery, by: str) -> Spread:
    """Over every value there is. Raises ConfigError, StateError."""
    sets = frame_sets(parts)
    found = sets.find(query)
    told: Distribution = sets.distribution(found, by, most=10_000)
    bars = tuple(SpreadBar(bar.name, bar.count, bar.query.address()) for bar in told.bars)
    unknown = told.unknown.count if told.unknown else 0
    return Spread(query.address(), by, found.count, bars, told.left_out, unknown)


def _count(found: FrameSet) -> FrameCount:
    return FrameCount(found.query.address(), found.count, found.note)
