"""Changes happen once under a key, and nobody's work is overwritten."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request, Response
from pydantic import BaseModel
from starlette.testclient import TestClient

from loop.base.errors import RoundError
from loop.changes.audit import Who
from loop.project.project import Project
from loop.web.api.changing import IfMatch, check_match, etag_of, once_route
from loop.web.api.problems import answer_problems
from tests.fakes import make_project
from tests.loop.web.api.test_push import problem


class Counter(BaseModel):
    count: int


class Box:
    """A thing to change."""

    def __init__(self, project: Project) -> None:
        self.counter = Counter(count=0)
        self.refuses = False
        self.entered, self.go = threading.Event(), threading.Event()
        self.go.set()

        def who(request: Request) -> Who:
            return Who(request.headers.get("x-name", ""), "api")

        router = APIRouter(route_class=once_route(project, who))

        @router.get("/counter")
        def read(response: Response) -> Counter:
            response.headers["ETag"] = etag_of(self.counter)
            return self.counter

        @router.post("/counter", status_code=201)
        def add(body: Counter, if_match: IfMatch = None) -> Counter:
            check_match(if_match, etag_of(self.counter))
            self.entered.set()
            self.go.wait(10)
            if self.refuses:
                raise RoundError("round: expected no open round, got one; wait for it")
            self.counter = Counter(count=self.counter.count + body.count)
            return self.counter

        self.app = FastAPI()
        answer_problems(self.app)
        self.app.include_router(router)


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    project = make_project(tmp_path / "project")
    yield Box(project)
    project.engine.dispose()


def add(client: TestClient, key: str | None, count: int = 1, **headers: str) -> httpx.Response:
    named = {"Idempotency-Key": key} if key is not None else {}
    return client.post("/counter", json={"count": count}, headers=named | headers)


def test_the_same_request_under_a_key_happens_once(box: Box) -> None:
    client = TestClient(box.app)
    first, again = add(client, "a"), add(client, "a")
    assert (first.status_code, first.json()) == (again.status_code, again.json()) == (201, {"count": 1})
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert box.counter.count == 1
    assert add(client, "b").json() == {"count": 2}
    assert add(client, None).json() == {"count": 3}


def test_two_people_with_the_same_key_do_not_meet(box: Box) -> None:
    client = TestClient(box.app)
    assert add(client, "a", **{"X-Name": "ana"}).json() == {"count": 1}
    assert add(client, "a", **{"X-Name": "ben"}).json() == {"count": 2}
    assert add(client, "a", 5, **{"X-Name": "cy"}).json() == {"count": 7}
    assert add(client, "a", **{"X-Name": "ana"}).json() == {"count": 1}


def test_another_request_under_the_same_key_is_refused(box: Box) -> None:
    client = TestClient(box.app)
    add(client, "a")
    body = problem(add(client, "a", count=5), 422, "key-used")
    assert body["next"] == "make a new one"
    assert box.counter.count == 1


def test_a_request_that_is_worked_on_is_not_begun_again(box: Box) -> None:
    box.go.clear()
    client = TestClient(box.app)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(add, client, "a")
        assert box.entered.wait(10)
        problem(add(client, "a"), 409, "under-way")
        box.go.set()
        assert first.result().status_code == 201
    assert box.counter.count == 1


def test_what_was_refused_may_be_asked_again_under_its_key(box: Box) -> None:
    client = TestClient(box.app)
    box.refuses = True
    problem(add(client, "a"), 409, "not-now")
    box.refuses = False
    assert add(client, "a").status_code == 201


def test_a_key_is_some_text_of_bounded_length(box: Box) -> None:
    problem(add(TestClient(box.app), "k" * 201), 422, "invalid")
    problem(add(TestClient(box.app), ""), 422, "invalid")


def test_who_read_an_older_version_changes_nothing(box: Box) -> None:
    client = TestClient(box.app)
    tag = client.get("/counter").headers["etag"]
    assert add(client, None, **{"If-Match": tag}).status_code == 201
    problem(add(client, None, **{"If-Match": tag}), 412, "changed-meanwhile")
    assert add(client, None, **{"If-Match": "*"}).status_code == 201
    assert box.counter.count == 2
