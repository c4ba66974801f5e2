"""/api/labels/suspects: labels that look wrong, and what people do with them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field

from loop.changes import suspects
from loop.changes.jobs import run_now
from loop.changes.suspects import SuspectsChanged
from loop.insights.suspects import MOST, PAGE, SuspectQuery, suspect_page
from loop.project.project import Project
from loop.web.api.changing import KEYED, once_route
from loop.web.api.faces import LARGEST, Face, Given, Number, face_of
from loop.web.pages.labels_suspects import JOB
from loop.web.site import Site

State = Literal["open", "asked", "decided"]
Kind = Literal["", "overlooked", "spurious", "class", "location"]
LARGEST_BUDGET = 100_000


class Place(Face):
    """A box, px of the upright frame."""

    class_name: str = Field(alias="class")
    xyxy: tuple[float, float, float, float]


class Suspect(Face):
    """One label, or one place without a label, that looks wrong."""

    id: int
    frame: int
    file: str
    camera: str
    captured_at: datetime | None
    kind: str = Field(description="overlooked, spurious, class or location")
    question: str = Field(description="what a labeler is asked")
    label: Place | None = Field(description="null where no label is there")
    fix: Place | None = Field(description="what it seems to be, null for no box")
    score: float = Field(description="0..1, larger is more suspect within its kind")
    probability: float = Field(description="that the label is wrong")
    gain: float = Field(description="expected errors mended per second of a person")
    seconds: float = Field(description="of a person, expected")
    state: State
    stale: bool = Field(description="whether the label is another one by now")
    judges: bool = Field(description="whether the label judges models")
    task: int | None
    url: str = Field(description="of its task in Label Studio, nothing where it is not there")
    outcome: str = Field(description="confirmed or refuted by a person, nothing before")
    decided_at: datetime | None


class Suspects(Face):
    """A part of the suspects, the largest expected gain first."""

    made_at: datetime | None = Field(description="null before labels were judged")
    judges: list[str] = Field(description="by what, and how much those find")
    suspects: list[Suspect]
    counts: dict[str, int] = Field(description="suspects by state")
    next: int | None = Field(description="`after` of the next page, null at the end")


class Which(Given):
    """Which suspects."""

    suspects: list[Number] = Field(min_length=1, max_length=suspects.MOST)


class HowMany(Given):
    """How many frames."""

    frames: int | None = Field(
        None, ge=1, le=LARGEST_BUDGET, description="at most; null for labels.suspect_budget"
    )


class Undone(Given):
    """Which changes are taken back."""

    changes: list[Number] = Field(min_length=1, max_length=suspects.MOST)


class Changed(Face):
    """What came of it."""

    what: str
    done: list[int] = Field(description="suspects that were changed")
    changes: list[int] = Field(description="numbers in the audit log, by which it is undone")
    refused: dict[int, str] = Field(description="suspects that stay as they are, and why")
    frames: int = Field(description="that labelers are asked about")


def read_suspects(project: Project, query: SuspectQuery) -> Suspects:
    page = suspect_page(project, query)
    found = [
        face_of(Suspect, item, kind=str(item.kind), label=_place(item.box), fix=_place(item.fix))
        for item in page.items
    ]
    return Suspects(
        made_at=page.made_at,
        judges=list(page.judges),
        suspects=found,
        counts=page.counts,
        next=page.next or None,
    )


def routes(site: Site) -> APIRouter:
    router = APIRouter(prefix="/labels/suspects", route_class=once_route(site.project, site.who))

    @router.get("", tags=["read"])
    def read(
        state: State = "open",
        kind: Kind = "",
        class_name: Annotated[str, Query(alias="class", max_length=200)] = "",
        after: Annotated[int, Query(ge=0, le=LARGEST, description="`next` of the page before")] = 0,
        limit: Annotated[int, Query(ge=1, le=MOST, description="how many at most")] = PAGE,
    ) -> Suspects:
        """Labels that look wrong, the largest expected gain first."""
        return read_suspects(site.project, SuspectQuery(state, kind, class_name, after, limit))

    @router.post("/send", tags=["change"], openapi_extra=KEYED)
    def send(request: Request, given: Which) -> Changed:
        """Puts these before labelers, one task for each frame."""
        return _told(suspects.send(site.project, site.who(request), given.suspects))

    @router.post("/send-worst", tags=["change"], openapi_extra=KEYED)
    def send_worst(request: Request, given: HowMany) -> Changed:
        """Puts the frames with the largest expected gain before labelers."""
        return _told(suspects.send_worst(site.project, site.who(request), given.frames or 0))

    @router.post("/dismiss", tags=["change"], openapi_extra=KEYED)
    def dismiss(request: Request, given: Which) -> Changed:
        """These labels are right."""
        return _told(suspects.dismiss(site.project, site.who(request), given.suspects))

    @router.post("/undo", tags=["change"], openapi_extra=KEYED)
    def undo(request: Request, given: Undone) -> Changed:
        """Takes changes back, unless people decided since."""
        return _told(suspects.undo(site.project, site.who(request), given.changes))

    @router.post("/run", tags=["change"], openapi_extra=KEYED)
    def run(request: Request) -> Suspects:
        """Judges all labels anew, in the background; see the job in /api/jobs for what came of it."""
        run_now(site.project, site.worker, site.who(request), JOB)
        return read_suspects(site.project, SuspectQuery())

    @router.post("/stop", tags=["change"], openapi_extra=KEYED)
    def stop(request: Request) -> Suspects:
        """Stops judging; the next run goes on from there."""
        suspects.stop_run(site.project, site.who(request))
        return read_suspects(site.project, SuspectQuery())

    return router


def _place(place: list[object] | None) -> Place | None:
    return None if place is None else Place.model_validate({"class": place[0], "xyxy": place[1:]})


def _told(report: SuspectsChanged) -> Changed:
    return Changed.model_validate(report)
