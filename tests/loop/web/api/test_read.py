"""What the API reads is what the read model says; sets of frames by their address, page by page."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from loop.gaps.coverage_view import CoverageView
from loop.insights.bias import survey
from loop.insights.frame_list import frame_ids
from loop.insights.frame_query import FrameQuery
from loop.project.project import Project
from tests.fakes import FakeParts, make_project, quiet
from tests.loop.judged import run, started
from tests.loop.web.api.test_push import problem
from tests.loop.web.worker import client


def read(asked: TestClient, path: str) -> Any:
    answer = asked.get(f"/api{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(
    "path",
    [
        "/status",
        "/frames",
        "/frames/count",
        "/slices",
        "/collections",
        "/coverage",
        "/coverage/crossed",
        "/bias",
        "/queue",
        "/rounds",
        "/models",
        "/changes",
        "/jobs",
    ],
)
def test_an_empty_project_is_no_error(empty: Project, path: str) -> None:
    assert read(client(empty), path) is not None


def test_pages_of_a_set_have_each_of_its_frames_once(full: Project, site: TestClient) -> None:
    address = "origin=production&order=oldest"
    found: list[int] = []
    after: str | None = ""
    while after is not None:
        page = read(site, f"/frames?{address}&limit=7&after={after}")
        found += [frame["seq"] for frame in page["frames"]]
        after = page["next"]
        assert page["count"] == 42
    assert found == frame_ids(FakeParts(full), FrameQuery.parse(address))
    assert found == read(site, f"/frames/ids?{address}")["ids"]


def test_a_frame_says_where_it_is_from(site: TestClient) -> None:
    first = read(site, "/frames?task=queued&limit=1")["frames"][0]
    told = read(site, f"/frames/{first['seq']}")
    assert {name: told[name] for name in first} == first
    assert first["seq"] not in told["like_production"]
    assert any("taken in as" in event["text"] for event in told["history"])
    assert told["slices"]
    assert first["reason"]
    assert first["file"].endswith(".jpg")
    boxes = [box for frame in read(site, "/frames?labeled=yes&limit=5")["frames"] for box in frame["boxes"]]
    assert {"class", "xyxy", "confidence"} == boxes[0].keys()
    problem(site.get("/api/frames/999999"), 404, "not-known")


def test_a_set_is_counted_and_spread(site: TestClient) -> None:
    told = read(site, "/frames/spread?origin=production&by=camera")
    assert sum(bar["count"] for bar in told["bars"]) == told["count"] == 42
    for bar in told["bars"]:
        assert read(site, f"/frames/count?{bar['address']}")["count"] == bar["count"]


def test_an_address_that_is_none_says_what_is_wrong(site: TestClient) -> None:
    body = problem(site.get("/api/frames?colour=red"), 422, "invalid")
    assert body["got"] == "'colour'"
    assert body["next"] == "leave it out"
    problem(site.get("/api/frames?slice=999999"), 404, "not-known")
    problem(site.get("/api/frames?after=nonsense"), 422, "invalid")


def test_the_queue_is_read_page_by_page(site: TestClient) -> None:
    first = read(site, "/queue?tab=due&limit=3")
    second = read(site, f"/queue?tab=due&limit=100&after={first['next']}")
    ids = [task["id"] for task in first["tasks"] + second["tasks"]]
    assert len(set(ids)) == len(ids) == first["counts"]["due"] == 8
    assert second["next"] is None
    assert all(task["reason"] for task in first["tasks"])


def test_rounds_and_models_are_read(labeled: Any) -> None:
    row = run(started(labeled))
    asked = client(labeled.project)
    (line,) = read(asked, "/rounds")["rounds"]
    assert (line["id"], line["status"]) == (row.id, str(row.status))
    told = read(asked, f"/rounds/{row.id}")
    assert told["verdict"]["lines"]
    assert told["round"]["candidate"] in {model["id"] for model in read(asked, "/models")["models"]}
    problem(asked.get("/api/rounds/99"), 404, "not-known")


def test_gaps_and_conditions_are_read(parts: FakeParts, view: CoverageView) -> None:
    asked = client(parts.project)
    told = read(asked, "/coverage")["compared"]
    assert told["production"] == 42
    for gap in told["gaps"]:
        assert read(asked, f"/frames/count?{gap['address']}")["count"] >= gap["frames"] > 0
    assert {gap["slice_id"] for gap in told["gaps"]} <= {
        one["id"] for one in read(asked, "/slices?every=true")["slices"]
    }
    table = read(asked, "/coverage/crossed")["table"]
    assert table["row"] in table["facets"]
    cells = [cell for row in table["rows"] for cell in row["cells"]]
    assert sum(cell["production"] for cell in cells) == told["production"]
    table = read(asked, "/coverage/crossed?row=camera&column=brightness")["table"]
    cells = [cell for row in table["rows"] for cell in row["cells"]]
    addressed = next(cell for cell in cells if cell["address"] and cell["production"])
    assert read(asked, f"/frames/count?{addressed['address']}&origin=production")["count"] > 0
    problem(asked.get("/api/coverage/crossed?row=nothing"), 422, "invalid")


def test_ties_of_classes_and_places_are_read(analyzed: FakeParts) -> None:
    report = survey(analyzed, quiet)
    told = read(client(analyzed.project), "/bias")
    assert told["made_at"]
    assert [finding["id"] for finding in told["findings"]] == [tie.id for tie in report.shown]
    assert told["lacking"] == list(report.lacking)


def test_jobs_are_read(site: TestClient) -> None:
    told = read(site, "/jobs")
    assert told["ok"] is True
    assert told["jobs"]["ingest"]["now"] == "3/9 frames"


def test_a_database_that_cannot_be_read_is_a_problem(tmp_path: Any) -> None:
    project = make_project(tmp_path / "project")
    project.engine.dispose()
    (project.root / "fieldloop.db").write_bytes(b"noise" * 4096)
    for path in ("/frames", "/slices", "/rounds", "/queue", "/changes"):
        body = problem(client(project).get(f"/api{path}"), 503, "unavailable")
        assert "it is damaged" in body["detail"]
    project.engine.dispose()
