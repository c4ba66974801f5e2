"""The API as one application, mounted at /api beside the pages; the same guard stands before it."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from loop.web.api import (
    bias,
    changes,
    collections,
    coverage,
    frames,
    jobs,
    labels,
    labels_agreement,
    labels_effort,
    labels_guideline,
    labels_lots,
    labels_suspects,
    push,
    queue,
    reports,
    rounds,
    slices,
    status,
)
from loop.web.api.problems import MEDIA_TYPE, Problem, answer_problems
from loop.web.bodies import MOST
from loop.web.guard import is_loopback
from loop.web.site import Site

PLACE = "/api"
NOUNS = (
    status,
    push,
    frames,
    reports,
    slices,
    collections,
    coverage,
    bias,
    labels,
    labels_agreement,
    labels_effort,
    labels_guideline,
    labels_lots,
    labels_suspects,
    queue,
    rounds,
    jobs,
    changes,
)
OVER = 1_000_000
"""Bytes over what a route takes that the guard lets through, so that the route itself says what it takes."""
TITLE, VERSION = "fieldloop", "1"
REFERENCE = "#/components/schemas/Problem"


def build_api(site: Site) -> FastAPI:
    """The API of one project; its description is at /api/openapi.json and needs nothing from outside."""
    app = FastAPI(
        title=TITLE,
        version=VERSION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        root_path_in_servers=False,
    )
    answer_problems(app)
    for noun in NOUNS:
        app.include_router(noun.routes(site))
    app.openapi = lambda: _described(app, not is_loopback(site.project.settings.web.host))  # type: ignore[method-assign]
    return app


def bodies(site: Site) -> dict[str, int]:
    """Bytes of a body by the beginning of its path, where more is taken than usual."""
    return {f"{PLACE}/frames": site.project.settings.frames.max_bytes + OVER, f"{PLACE}/frames/": MOST}


def _described(app: FastAPI, needs_token: bool) -> dict[str, Any]:
    """OpenAPI, with the problem body as the answer to all that is refused."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, routes=app.routes, summary=__doc__)
        schema["servers"] = [{"url": PLACE}]
        components = schema.setdefault("components", {})
        kinds = components.setdefault("schemas", {})
        for name in ("HTTPValidationError", "ValidationError"):
            kinds.pop(name, None)
        kinds["Problem"] = Problem.model_json_schema()
        if needs_token:
            components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            schema["security"] = [{"token": []}]
        for operations in schema["paths"].values():
            for operation in operations.values():
                operation["responses"].pop("422", None)
                operation["responses"]["default"] = {
                    "description": "refused",
                    "content": {MEDIA_TYPE: {"schema": {"$ref": REFERENCE}}},
                }
        app.openapi_schema = schema
    return app.openapi_schema
