"""Who may use the API: what the guard refuses is a problem body, and nothing was done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from loop.project.project import Project
from loop.web.guard import TOKEN
from tests.loop.ingest.test_inbox import files, picture, production, watched
from tests.loop.web.api.test_push import digest, problem
from tests.loop.web.worker import OUTSIDE, SECRET, client, exposed

BEARER = {"Authorization": f"Bearer {SECRET}"}


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = watched(tmp_path)
    yield made
    made.engine.dispose()


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, SECRET)


def test_without_the_token_no_frame_is_taken(project: Project, secret: None) -> None:
    outside = client(exposed(project), base_url=OUTSIDE)
    data = picture(1)
    body = problem(outside.post("/api/frames", content=data), 401, "unauthorized")
    assert SECRET not in str(body)
    wrong = {"Authorization": "Bearer wrong"}
    problem(outside.post("/api/frames", content=data, headers=wrong), 401, "unauthorized")
    problem(outside.get(f"/api/frames/by-hash/{digest(data)}"), 401, "unauthorized")
    problem(outside.get("/api/openapi.json"), 401, "unauthorized")
    assert files(project) == []
    assert outside.post("/api/frames", content=data, headers=BEARER).status_code == 201


def test_the_name_beside_the_token_stands_in_the_audit_log(project: Project, secret: None) -> None:
    outside = client(exposed(project), base_url=OUTSIDE)
    named = BEARER | {"X-Fieldloop-Name": "night script"}
    assert outside.post("/api/jobs/ingest/pause", headers=named).status_code == 200
    (row,) = outside.get("/api/changes", headers=BEARER).json()["changes"]
    assert (row["who"], row["via"], row["subject"]) == ("night script", "api", "job ingest")


def test_many_wrong_tokens_are_told_to_wait(project: Project, secret: None) -> None:
    outside = client(exposed(project), base_url=OUTSIDE)
    wrong = {"Authorization": "Bearer wrong"}
    answers = [outside.get("/api/status", headers=wrong) for _ in range(12)]
    problem(answers[-1], 429, "too-many")
    assert int(answers[-1].headers["retry-after"]) > 0


def test_on_loopback_another_host_is_refused(project: Project) -> None:
    asked = client(project, base_url="http://evil.example")
    problem(asked.post("/api/frames", content=picture(2)), 421, "misdirected-request")
    assert files(project) == []


def test_a_body_that_is_no_frame_is_bounded(project: Project) -> None:
    asked = client(project)
    large = b'{"settings": {"x": "' + b"a" * 1_100_000 + b'"}}'
    problem(asked.post("/api/rounds", content=large), 413, "too-large")
    problem(asked.post("/api/frames/1/reports", content=large), 413, "too-large")


def test_a_browser_of_another_site_pushes_nothing(project: Project) -> None:
    for said in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        problem(client(project).post("/api/frames", content=picture(3), headers=said), 403, "forbidden")
    assert files(project) == []
    assert production(project) == []
