"""/api/labels/agreement: how far people agree who labeled the same frames."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import Field

from connectors.ports import Box
from loop.insights.agreement import Agreement, Row, agreement
from loop.insights.agreement_questions import Picture, Question
from loop.web.api.faces import Drawn, Face, face_of
from loop.web.site import Site


class Value(Face):
    """One figure with its 95 % interval over camera-days."""

    value: float | None = Field(description="null where nothing tells it")
    low: float | None = Field(description="null where too few camera-days tell it")
    high: float | None


class Figures(Face):
    """What pairs of answers tell."""

    tasks: int
    days: int = Field(description="camera-days")
    objects: int = Field(description="drawn by either person")
    missed: int = Field(description="objects that one of two drew alone")
    conflicts: int = Field(description="matched objects with two classes")
    hidden: int = Field(description="matched objects that one alone marked as occluded or truncated")
    alpha: Value = Field(description="mean K-alpha of tasks, -1..1")
    iou: Value = Field(description="mean of matched boxes")
    miss_rate: Value = Field(description="share of a person's objects that the other did not draw")
    conflict_rate: Value
    spread: Value = Field(description="standard deviation of a side, in parts of the object's size")
    hidden_rate: Value


class Line(Face):
    """Figures of a part of the tasks."""

    what: str = Field(description="all, class, people or slice")
    name: str
    figures: Figures
    address: str = Field(description="of its frames, empty where none names them")


class Side(Face):
    """What one person drew of a disputed object."""

    person: str
    box: Drawn | None = Field(description="null where they drew none")


class Example(Face):
    """One disputed object."""

    frame: int
    crop: tuple[float, float, float, float] = Field(description="x, y, width, height in px of the frame")
    said: str
    answers: list[Side]


class Asked(Face):
    """A question for those who write the guideline."""

    kind: str = Field(description="class, missed, box, occlusion, topic or slice")
    text: str
    evidence: str
    disputed: int = Field(description="objects")
    days: int = Field(description="camera-days")
    pictures: list[Example]


class Tie(Face):
    """A frame that people contradict each other on."""

    frame: int
    judges: bool = Field(description="whether its label judges models")
    state: str


class Agreed(Face):
    """How far people agree."""

    rows: list[Line] = Field(description="of all first, then the least agreement first")
    questions: list[Asked]
    ties: list[Tie]
    by_one: int = Field(description="tasks for another person that the same one answered")


def read_agreement(found: Agreement) -> Agreed:
    return Agreed(
        rows=[_line(row) for row in (found.all, *found.rows)],
        questions=[_question(one) for one in found.questions],
        ties=[face_of(Tie, one) for one in found.ties],
        by_one=found.by_one,
    )


def routes(site: Site) -> APIRouter:
    router = APIRouter(prefix="/labels", tags=["labels"])

    @router.get("/agreement")
    def labels_agreement() -> Agreed:
        """How far people agree who labeled the same frames, and what the guideline should settle."""
        return read_agreement(agreement(site.project))

    return router


def _line(row: Row) -> Line:
    return face_of(Line, row, address=row.url)


def _question(one: Question) -> Asked:
    return face_of(Asked, one, pictures=[_example(picture) for picture in one.pictures])


def _example(one: Picture) -> Example:
    sides = [
        Side(person=who, box=None if box is None else Drawn.model_validate(_drawn(box)))
        for who, box in one.answers
    ]
    return face_of(Example, one, frame=one.frame.seq, answers=sides)


def _drawn(box: Box) -> dict[str, object]:
    return {"class_name": box.class_name, "xyxy": box.xyxy}
