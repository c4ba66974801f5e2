"""/api/labels/guideline: what the team has settled about labels, and what labelers were shown of it."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from pydantic import Field

from loop.insights.guideline import guideline_view
from loop.web.api.faces import Face, face_of
from loop.web.site import Site


class Wording(Face):
    """One wording that labelers were shown."""

    sha256: str = Field(description="of the text")
    shown_at: datetime = Field(description="since when, UTC")
    answers: int = Field(description="given by it")
    now: bool = Field(description="labelers see it now")


class GuidelineNow(Face):
    """labeling/guideline.md as it is now, and the wordings that were shown."""

    version: str = Field(description="sha256 of the text")
    text: str
    lacking: list[str] = Field(description="topics without an answer")
    undefined: list[str] = Field(description="classes without a definition")
    waiting: bool = Field(description="labelers see another wording until the next push")
    versions: list[Wording] = Field(description="the newest first")
    unknown: int = Field(description="answers given before any was shown")
    outdated: int = Field(description="labels given by another wording than the one shown now")
    outdated_url: str = Field(description="the frames of these")


def routes(site: Site) -> APIRouter:
    router = APIRouter(prefix="/labels", tags=["labels"])

    @router.get("/guideline")
    def guideline() -> GuidelineNow:
        """What the team has settled about labels, and what labelers were shown of it."""
        found = guideline_view(site.project)
        told = {name: getattr(found, name) for name in GuidelineNow.model_fields if name != "versions"}
        versions = [face_of(Wording, one) for one in found.versions]
        return GuidelineNow(**told, versions=versions)

    return router
