"""/api/labels: whether the labels can be trusted."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import Field

from loop.insights.labels import findings
from loop.web.api.faces import Face, face_of
from loop.web.site import Site


class Wrong(Face):
    """One thing that is wrong with labels, or with how they are made."""

    part: str = Field(description="guideline, effort, agreement, suspects or inspection")
    text: str
    action: str = Field(description="what to do")
    address: str = Field(description="of the page that shows more")
    severity: float = Field(description="0 for a note to 1 for labels that must not train")


class Labels(Face):
    """What is wrong, the worst first."""

    findings: list[Wrong]


def routes(site: Site) -> APIRouter:
    router = APIRouter(prefix="/labels", tags=["labels"])

    @router.get("")
    def labels() -> Labels:
        """What is wrong with the labels, the worst first."""
        return Labels(findings=[face_of(Wrong, one) for one in findings(site.project)])

    return router
