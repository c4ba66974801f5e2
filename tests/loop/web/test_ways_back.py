"""Every change of the pages and of the API can be undone, or is confirmed before it is made."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route

import loop.web
from loop.project.project import Project
from loop.web.app import build_app
from tests.fakes import FakeParts
from tests.loop.web.worker import FakeWorker, client

CHANGING = {"POST", "PUT", "PATCH", "DELETE"}
TEMPLATES = Path(loop.web.__file__).parent / "templates"
LOOKS = "looks"
"""It makes anew what is shown, or does what the schedule does anyway; nothing that people made changes."""
CONFIRMED = "confirmed"
"""A second step asks first. A program confirms by its reason, which stands in the audit log."""
ADDS = "adds"
"""It takes in a file of a camera, as the watched folder does."""
SESSION = "session"
WAYS: dict[str, str] = {
    "/bias/decide": "/bias/decide",
    "/bias/look": LOOKS,
    "/bias/try": LOOKS,
    "/collections": "/collections/{number}/{what}",
    "/collections/{number}/{what}": "/collections/{number}/{what}",
    "/coverage/look": LOOKS,
    "/coverage/slices/{id}/name": "/coverage/slices/{id}/name",
    "/coverage/slices/{id}/retire": "/coverage/slices/{id}/restore",
    "/coverage/slices/{id}/restore": "/coverage/slices/{id}/retire",
    "/frames/collect": "/collections/{number}/{what}",
    "/frames/like": LOOKS,
    "/frames/select": "/queue/drop",
    "/frames/desk": "/frames/desk/undo",
    "/frames/desk/undo": "/frames/desk",
    "/frames/{seq}/report": "/frames/{seq}/report/close",
    "/frames/{seq}/report/close": "/frames/{seq}/report/close",
    "/jobs/{job}/run": LOOKS,
    "/jobs/{job}/pause": "/jobs/{job}/resume",
    "/jobs/{job}/resume": "/jobs/{job}/pause",
    "/labels/lots/draw": "/labels/lots/withdraw",
    "/labels/lots/withdraw": CONFIRMED,
    "/labels/suspects/send": "/labels/suspects/undo",
    "/labels/suspects/worst": "/labels/suspects/undo",
    "/labels/suspects/dismiss": "/labels/suspects/undo",
    "/labels/suspects/undo": "/labels/suspects/send",
    "/labels/suspects/run": "/labels/suspects/stop",
    "/labels/suspects/stop": "/labels/suspects/run",
    "/map/anew": CONFIRMED,
    "/map/regions/{id}/name": "/map/regions/{id}/name",
    "/queue/drop": "/queue/undo",
    "/queue/pin": "/queue/unpin",
    "/queue/unpin": "/queue/pin",
    "/queue/hurry": "/queue/undo",
    "/queue/undo": "/queue/drop",
    "/rounds": "/rounds/{number}/cancel",
    "/rounds/start/look": LOOKS,
    "/rounds/roll-back": CONFIRMED,
    "/rounds/promote": CONFIRMED,
    "/rounds/{number}/approve": CONFIRMED,
    "/rounds/{number}/reject": CONFIRMED,
    "/rounds/{number}/cancel": CONFIRMED,
    "/sign-out": SESSION,
    "/api/bias/decisions": "/api/bias/decisions",
    "/api/collections": "/api/collections/{number}",
    "/api/collections/{number}": "/api/collections/{number}",
    "/api/collections/{number}/examples": "/api/collections/{number}/examples",
    "/api/desk": "/api/queue/drop",
    "/api/frames": ADDS,
    "/api/frames/{seq}/reports": "/api/frames/{seq}/reports/{number}/close",
    "/api/frames/{seq}/reports/{number}/close": "/api/frames/{seq}/reports/{number}/reopen",
    "/api/frames/{seq}/reports/{number}/reopen": "/api/frames/{seq}/reports/{number}/close",
    "/api/jobs/{name}/run": LOOKS,
    "/api/jobs/{name}/pause": "/api/jobs/{name}/resume",
    "/api/jobs/{name}/resume": "/api/jobs/{name}/pause",
    "/api/labels/lots": "/api/labels/lots/{lot}/withdraw",
    "/api/labels/lots/{lot}/withdraw": CONFIRMED,
    "/api/labels/suspects/send": "/api/labels/suspects/undo",
    "/api/labels/suspects/send-worst": "/api/labels/suspects/undo",
    "/api/labels/suspects/dismiss": "/api/labels/suspects/undo",
    "/api/labels/suspects/undo": "/api/labels/suspects/send",
    "/api/labels/suspects/run": "/api/labels/suspects/stop",
    "/api/labels/suspects/stop": "/api/labels/suspects/run",
    "/api/models/roll-back": CONFIRMED,
    "/api/models/{number}/promote": CONFIRMED,
    "/api/queue/drop": "/api/queue/undo",
    "/api/queue/pin": "/api/queue/unpin",
    "/api/queue/unpin": "/api/queue/pin",
    "/api/queue/hurry": "/api/queue/undo",
    "/api/queue/undo": "/api/queue/drop",
    "/api/rounds": "/api/rounds/{number}/cancel",
    "/api/rounds/{number}/cancel": CONFIRMED,
    "/api/rounds/{number}/approve": CONFIRMED,
    "/api/rounds/{number}/reject": CONFIRMED,
    "/api/selections": "/api/queue/drop",
    "/api/slices/{number}": "/api/slices/{number}",
}
"""The way back of each change: the address that takes it back, or why it needs none."""


@pytest.fixture(scope="module")
def described(empty: Project) -> dict[str, Any]:
    """What the API says of itself."""
    found: dict[str, Any] = client(empty).get("/api/openapi.json").json()
    return found


@pytest.fixture(scope="module")
def changing(empty: Project, described: dict[str, Any]) -> set[str]:
    """The address of every route that may change something."""
    routes = build_app(FakeParts(empty), FakeWorker()).routes
    of_pages = {
        re.sub(r":\w+\}", "}", one.path)
        for one in routes
        if isinstance(one, Route) and CHANGING & set(one.methods or ())
    }
    paths = described["paths"].items()
    return of_pages | {f"/api{path}" for path, does in paths if {name.upper() for name in does} & CHANGING}


def test_every_change_has_a_way_back(changing: set[str]) -> None:
    assert len(changing) > 50
    assert changing - set(WAYS) == set(), "say how these are taken back, in WAYS"
    assert set(WAYS) - changing == set(), "there is no such change"
    assert {way for way in WAYS.values() if way.startswith("/")} <= changing


@pytest.mark.parametrize(
    "path", [path for path, way in WAYS.items() if way == CONFIRMED and not path.startswith("/api/")]
)
def test_what_cannot_be_undone_is_confirmed_on_the_page(path: str) -> None:
    """The form stands in the part `confirm`, which opens before anything is sent; where there is nothing
    to lose yet (`empty`) it may stand alone.
    """
    text = "".join(file.read_text() for file in sorted(TEMPLATES.glob("*.html")))
    filled = re.sub(r"\{% call parts\.empty\(.*?\{% endcall %\}", "", text, flags=re.DOTALL)
    said = re.escape(path).replace(r"\{number\}", '" ~ [a-z_.]+ ~ "')
    assert re.search(rf'parts\.confirm\("{said}"', filled)
    assert not re.search(rf'(parts\.post\(|action=)"{said}"', filled)


@pytest.mark.parametrize("path", [path for path, way in WAYS.items() if way == CONFIRMED and "/api/" in path])
def test_a_program_says_why_it_does_what_cannot_be_undone(described: dict[str, Any], path: str) -> None:
    body = described["paths"][path.removeprefix("/api")]["post"]["requestBody"]["content"]
    name = body["application/json"]["schema"]["$ref"].rsplit("/", 1)[-1]
    assert "reason" in described["components"]["schemas"][name]["properties"]
