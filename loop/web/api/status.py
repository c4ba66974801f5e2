"""GET /api/status: where everything stands."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import ConfigDict, Field

from loop.base.errors import ProjectError
from loop.base.jsonable import plain
from loop.insights.overview import overview
from loop.web.api.faces import Face
from loop.web.site import Site


class Status(Face):
    """What `fieldloop status --json` says, and what the service does now."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(description="of the project")
    frames: dict[str, int] = Field(description="counts in all, by origin, by role")
    rejects: dict[str, int] = Field(description="files set aside, by code")
    analyzed: list[dict[str, Any]] = Field(description="frames done by each of the current models")
    batches: list[dict[str, Any]]
    tasks: dict[str, int] = Field(description="by state")
    labels: dict[str, int] = Field(description="by what they are for")
    deployed: dict[str, Any] | None = Field(description="the deployed model")
    models: list[dict[str, Any]]
    rounds: list[dict[str, Any]]
    jobs: dict[str, dict[str, Any]] = Field(description="what came of each job last")
    service: str | None = Field(description="the process that leads, null when none runs")
    timezone: str = Field(description="in which times are shown to people; those here are in UTC")
    service_state: dict[str, Any] = Field(description="as /healthz says it")


def routes(site: Site) -> APIRouter:
    router = APIRouter(tags=["read"])

    @router.get("/status", response_model=Status)
    def status() -> JSONResponse:
        """Where every step of the loop stands."""
        state = {"service_state": plain(site.worker.health())}
        try:
            return JSONResponse(plain(overview(site.project)) | state)
        except ProjectError as error:
            return JSONResponse({"error": str(error)} | state, 503)

    return router
