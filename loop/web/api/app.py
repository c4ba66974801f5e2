"""The API as one application, mounted at /api beside the pages; the same guard stands before it."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from loop.project.project import Project
from loop.web.api import push
from loop.web.api.problems import MEDIA_TYPE, Problem, answer_problems

PLACE = "/api"
TITLE, VERSION = "fieldloop", "1"
REFERENCE = "#/components/schemas/Problem"


def build_api(project: Project) -> FastAPI:
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
    for router in (push.routes(project),):
        app.include_router(router)
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]
    return app


def _described(app: FastAPI) -> dict[str, Any]:
    """OpenAPI, with the problem body as the answer to all that is refused."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, routes=app.routes, summary=__doc__)
        schema["servers"] = [{"url": PLACE}]
        components = schema.setdefault("components", {})
        kinds = components.setdefault("schemas", {})
        for name in ("HTTPValidationError", "ValidationError"):
            kinds.pop(name, None)
        kinds["Problem"] = Problem.model_json_schema()
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
