"""GET /api/frames?ADDRESS: sets of frames by the same address as the page, page by page."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field

from loop.insights.frame_list import counted_frames, frame_ids, spread
from loop.insights.frame_page import frame_view
from loop.insights.frame_query import KEYS, LONGEST, FrameQuery, Key
from loop.insights.frame_tiles import FrameTile, tiles
from loop.insights.frames import LONGEST_PAGE, PAGE, Place, frame_sets
from loop.project.wiring import Parts
from loop.web.api.faces import LARGEST, Cursor, Drawn, Face, Id
from loop.web.site import Site

OWN = {"after", "limit", "by"}
"""Keys of the query string that say nothing of the set."""
MOST_IDS = 1_000_000
EMPTY = {"type": "string", "pattern": r"^\s*$"}
By = Literal["camera", "site", "day", "class", "slice", "task", "origin", "error"]


class Frame(Face):
    """One frame."""

    seq: int = Field(description="its number; /frames/SEQ is its page")
    content_hash: str = Field(description="/thumbs/HASH.webp is its picture, small")
    file: str = Field(description="as its source names it")
    width: int = Field(description="px")
    height: int = Field(description="px")
    camera: str | None
    site: str | None
    captured_at: datetime | None
    origin: str = Field(description="production or imported")
    role: str = Field(description="whether its camera-day may train, or only judges")
    task: str | None = Field(description="state of its newest task")
    reason: str = Field(description="why it was chosen")
    labeled: bool
    boxes_of: str = Field(description="label, model, or nothing where it was seen by neither")
    boxes: list[Drawn]
    value: float | None = Field(description="what the set is sorted by, null where that is its time")


class SliceOfFrame(Face):
    """A slice that a frame shows."""

    id: int
    name: str
    kind: str
    strength: float = Field(description="larger is clearer")
    origin: str = Field(description="by whose word")


class ModelOnFrame(Face):
    """What a model sees in a frame; the counts are null where there is no label to compare with."""

    id: int
    kind: str = Field(description="deployed or candidate")
    boxes: list[Drawn]
    missed: int | None
    false: int | None
    other_class: int | None


class Event(Face):
    """One thing that happened to a frame."""

    at: datetime | None
    text: str


class ReportOfFrame(Face):
    """A mistake that somebody reported."""

    id: int
    kind: str
    class_name: str | None = Field(alias="class")
    box: tuple[float, float, float, float] | None = Field(description="px")
    note: str
    who: str
    at: datetime
    closed_at: datetime | None


class FrameDetail(Frame):
    """One frame with all that is known of it."""

    slices: list[SliceOfFrame]
    models: list[ModelOnFrame]
    like_production: list[int] = Field(description="production frames most like it")
    like_training: list[int] = Field(description="training frames most like it")
    history: list[Event] = Field(description="oldest first")
    reports: list[ReportOfFrame]


class Frames(Face):
    """Frames of a set in its order."""

    address: str = Field(description="of the set, in one form for all that mean the same")
    count: int = Field(description="of the whole set")
    note: str = Field(description="what is to be known of it")
    frames: list[Frame]
    next: str | None = Field(description="`after` of the next page, null at the end")


class FrameCount(Face):
    """How many frames are in a set."""

    address: str
    count: int
    note: str


class FrameIds(Face):
    """Numbers of frames in the order of the set."""

    address: str
    ids: list[int]


class Bar(Face):
    """So many frames of a set have one value."""

    name: str
    count: int
    address: str = Field(description="of those frames")


class Spread(Face):
    """How a set is spread."""

    address: str
    by: str
    count: int = Field(description="of the whole set")
    bars: list[Bar]
    unknown: int = Field(description="frames of which the value is not known")


def read_frames(parts: Parts, query: FrameQuery, after: str = "", limit: int = PAGE) -> Frames:
    sets = frame_sets(parts)
    found = sets.find(query)
    page = sets.page(found, after=after, size=limit)
    return Frames(
        address=query.address(),
        count=found.count,
        note=found.note,
        frames=[shown(tile) for tile in tiles(parts.project, page.places)],
        next=page.after,
    )


def read_spread(parts: Parts, query: FrameQuery, by: By) -> Spread:
    return Spread.model_validate(spread(parts, query, by))


def read_frame(parts: Parts, seq: int) -> FrameDetail:
    """Raises StateError where there is none."""
    view = frame_view(frame_sets(parts), seq)
    (tile,) = tiles(parts.project, [Place(seq, None)])
    return FrameDetail(
        **shown(tile).model_dump(),
        slices=[SliceOfFrame.model_validate(one) for one in view.slices],
        models=[
            ModelOnFrame(
                id=one.model.id,
                kind=one.kind,
                boxes=[Drawn.model_validate(box) for box in one.boxes],
                missed=one.missed,
                false=one.false,
                other_class=one.other_class,
            )
            for one in view.models
        ],
        like_production=[near.seq for near in view.production],
        like_training=[near.seq for near in view.training],
        history=[Event.model_validate(one) for one in view.history],
        reports=[ReportOfFrame.model_validate(one) for one in view.reports],
    )


def shown(tile: FrameTile) -> Frame:
    return Frame.model_validate(tile)


def query_of(request: Request) -> FrameQuery:
    """The set that the query string names. Raises ConfigError."""
    pairs = [(key, value) for key, value in request.query_params.multi_items() if key not in OWN]
    return FrameQuery.parse(pairs)


def _parameters() -> list[dict[str, Any]]:
    """Of an address, for the description of the API."""
    return [
        {
            "name": key.name,
            "in": "query",
            "required": False,
            "description": key.help,
            "schema": _schema(key),
        }
        for key in KEYS
    ]


def _schema(key: Key) -> dict[str, Any]:
    """An empty value asks for nothing."""
    if key.number:
        return {"anyOf": [{"type": "integer", "minimum": 0, "maximum": LARGEST}, EMPTY]}
    if key.options:
        return {"anyOf": [{"type": "string", "enum": list(key.options)}, EMPTY]}
    return {"type": "string", "maxLength": LONGEST}


def routes(site: Site) -> APIRouter:
    router = APIRouter(tags=["read"])
    addressed = {"parameters": _parameters()}

    @router.get("/frames", openapi_extra=addressed)
    def frames(
        request: Request,
        after: Cursor = "",
        limit: Annotated[int, Query(ge=1, le=LONGEST_PAGE, description="how many at most")] = PAGE,
    ) -> Frames:
        """The frames of an address, such as camera=gate&class=helmet&labeled=no."""
        return read_frames(site.parts, query_of(request), after, limit)

    @router.get("/frames/count", openapi_extra=addressed)
    def count(request: Request) -> FrameCount:
        """How many frames an address has."""
        return FrameCount.model_validate(counted_frames(site.parts, query_of(request)))

    @router.get("/frames/ids", openapi_extra=addressed)
    def ids(
        request: Request,
        limit: Annotated[int, Query(ge=1, le=MOST_IDS, description="how many at most")] = MOST_IDS,
    ) -> FrameIds:
        """The numbers of the frames of an address, all at once."""
        query = query_of(request)
        return FrameIds(address=query.address(), ids=frame_ids(site.parts, query, limit))

    @router.get("/frames/spread", openapi_extra=addressed)
    def distribution(request: Request, by: By = "camera") -> Spread:
        """How the frames of an address are spread."""
        return read_spread(site.parts, query_of(request), by)

    @router.get("/frames/{seq}")
    def frame(seq: Id) -> FrameDetail:
        """One frame: its boxes, slices, history, and the frames most like it."""
        return read_frame(site.parts, seq)

    return router
