"""Styles, scripts and the parts of others, all in memory, each at an address that holds its content's
hash: what was fetched once is never asked for again, and a new version has a new address.
"""

from __future__ import annotations

import hashlib
import mimetypes
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

FOREVER = "public, max-age=31536000, immutable"
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


@cache
def contents() -> dict[str, bytes]:
    """Every file below static/ by its name, such as vendor/htmx.min.js."""
    return _below(files("loop.web") / "static", "")


@cache
def address_of(name: str) -> str:
    """/static/0f3a9c21b7de/style.css. Raises KeyError for a file that is not there."""
    return f"/static/{_hash_of(name)}/{name}"


def routes() -> list[Route]:
    return [Route("/static/{hash}/{name:path}", _answer)]


async def _answer(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in contents() or request.path_params["hash"] != _hash_of(name):
        return PlainTextResponse("expected a file of these pages; reload the page that led here", 404)
    suffix = name[name.rfind(".") :]
    kind = TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "text/plain"
    return Response(contents()[name], media_type=kind, headers={"Cache-Control": FOREVER})


@cache
def _hash_of(name: str) -> str:
    return hashlib.sha256(contents()[name]).hexdigest()[:12]


def _below(folder: Traversable, before: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for entry in folder.iterdir():
        if entry.is_dir():
            found |= _below(entry, f"{before}{entry.name}/")
        else:
            found[before + entry.name] = entry.read_bytes()
    return found
