"""/api/labels/effort: what labeling costs, and what drawn boxes do to it."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import Field

from loop.insights.effort import effort
from loop.web.api.faces import Face, face_of
from loop.web.site import Site


class Mean(Face):
    """A mean of times of which the longest are cut."""

    value: float
    interval: tuple[float, float] | None = Field(description="95 %, null with too few camera-days")


class Row(Face):
    """The answered tasks of one annotator, class, slice or model version. Null where it is not known."""

    kind: str = Field(description="annotator, class, slice, model, or all")
    name: str
    tasks: int
    boxes: int
    accepted: int | None = Field(description="drawn boxes that stayed as they were")
    moved: int | None = Field(description="drawn boxes of which place or class was changed")
    deleted: int | None = Field(description="drawn boxes that were taken away")
    added: int | None = Field(description="boxes that were not drawn")
    seconds_per_task: Mean | None
    seconds_per_box: float | None


class Seconds(Face):
    """Of a labeler, for a task as such and for each edit."""

    task: float
    accepted: float
    moved: float
    deleted: float
    added: float
    tasks: int = Field(description="timed ones that it was learned from, 0 for a rule of thumb")


class From(Face):
    """From which confidence on boxes of a class are drawn; 1 for never."""

    class_name: str
    above: float
    source: str = Field(description="setting, learned or rule")
    edits: int = Field(description="timed edits of the class")


class Apart(Face):
    """Tasks without drawn boxes against those with them."""

    bare: float = Field(description="mean without drawn boxes")
    drawn: float = Field(description="mean with them")
    difference: float = Field(description="bare less drawn")
    interval: tuple[float, float] | None = Field(description="95 %, null with too few camera-days")
    bare_tasks: int
    drawn_tasks: int
    groups: int = Field(description="camera-days with bare tasks")


class Effort(Face):
    """What labeling costs, and what drawn boxes do to it."""

    whole: Row
    rows: list[Row]
    seconds: Seconds
    drawn_from: list[From]
    objects: Apart | None = Field(description="objects per frame to train on")
    saved: Apart | None = Field(description="seconds per task to train on")


def routes(site: Site) -> APIRouter:
    router = APIRouter(prefix="/labels", tags=["labels"])

    @router.get("/effort")
    def labels_effort() -> Effort:
        """Seconds per task and box, what became of drawn boxes, and from where on they are drawn."""
        return face_of(Effort, effort(site.project))

    return router
