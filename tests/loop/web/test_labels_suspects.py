"""The page and the API of suspect labels: what they show, and what people do there."""

from __future__ import annotations

import io

import pytest
from PIL import Image
from starlette.testclient import TestClient

from db.changes import changes
from db.engine import read, write
from db.labels import labels
from db.suspects import SuspectRow, begin_run, finish_run, suspects
from db.tasks import tasks
from loop.insights.labels import findings
from loop.insights.suspects import window
from loop.rounds.suspects import judge_labels
from loop.service.scheduler import State
from tests.fakes import FakeParts, quiet
from tests.loop.planted import wrong
from tests.loop.web.worker import FakeWorker, browsing, send, well

HERE = "/labels/suspects"


@pytest.fixture
def judged(labeled: FakeParts) -> FakeParts:
    """Four planted errors, found."""
    wrong(labeled)
    judge_labels(labeled, quiet)
    return labeled


@pytest.fixture
def asked(judged: FakeParts) -> TestClient:
    return browsing(judged, FakeWorker(judged))


def stored(parts: FakeParts) -> list[SuspectRow]:
    with read(parts.project.engine) as session:
        return suspects(session)


def test_the_worst_come_first_with_pictures_of_them(judged: FakeParts, asked: TestClient) -> None:
    page = asked.get(HERE).text
    assert page.index("person here has no box?") < page.index("no person here, though it is labeled?")
    for row in stored(judged)[:4]:
        picture = asked.get(f"{HERE}/{row.id}.webp")
        assert Image.open(io.BytesIO(picture.content)).size == (32, 24), "all of so small a frame"
        again = asked.get(f"{HERE}/{row.id}.webp", headers={"If-None-Match": picture.headers["etag"]})
        assert (picture.headers["content-type"], again.status_code) == ("image/webp", 304)
    assert asked.get(f"{HERE}/999999.webp").status_code == 404


def test_filters_are_the_address(asked: TestClient) -> None:
    only = asked.get(f"{HERE}?kind=class").text
    assert "person here is labeled helmet?" in only
    assert "has no box?" not in only
    assert "No label looks wrong." in asked.get(f"{HERE}?class=nothing").text
    bad = asked.get(f"{HERE}?kind=strange")
    assert bad.status_code == 400
    assert "kind: expected overlooked, class, location, spurious, got &#39;strange&#39;" in bad.text


def test_a_page_that_was_emptied_does_not_say_that_no_label_looks_wrong(asked: TestClient) -> None:
    page = asked.get(f"{HERE}?after=24").text
    assert "No suspect is left on this page." in page
    assert "No label looks wrong." not in page
    assert f'href="{HERE}">First page' in page


def test_a_label_that_is_right_is_dismissed_and_taken_back(judged: FakeParts, asked: TestClient) -> None:
    first = stored(judged)[0]
    send(asked, f"{HERE}/dismiss", HERE, suspect=first.id)
    assert {row.id: row.outcome for row in stored(judged)}[first.id] == "refuted"
    assert "is right</b>" in asked.get(f"{HERE}?state=decided").text
    with read(judged.project.engine) as session:
        line = changes(session, 1)[0]
    assert (line.what, line.subject) == ("suspect dismissed", f"suspect {first.id}")
    send(asked, f"{HERE}/undo", HERE, changes=str(line.id))
    assert {row.id: row.outcome for row in stored(judged)}[first.id] is None


def test_the_worst_go_to_labelers_and_are_taken_back(judged: FakeParts, asked: TestClient) -> None:
    with read(judged.project.engine) as session:
        before = labels(session)
    send(asked, f"{HERE}/worst", HERE)
    sent = [row for row in stored(judged) if row.task_id]
    with read(judged.project.engine) as session:
        made = {task.id: task for task in tasks(session)}
        numbers = [line.id for line in changes(session, 500) if line.what == "suspect sent"]
        assert labels(session) == before, "asking changes no label"
    assert {made[row.task_id or 0].purpose for row in sent} == {"suspect"}
    assert {made[row.task_id or 0].frame for row in sent} == {row.frame for row in sent}
    program = browsing(judged, FakeWorker(judged))
    undone = program.post("/api/labels/suspects/undo", json={"changes": numbers})
    assert undone.json()["refused"] == {}
    assert not any(row.task_id for row in stored(judged))
    with read(judged.project.engine) as session:
        assert {task.status for task in tasks(session)} == {"cancelled"}


def test_programs_see_and_change_the_same(judged: FakeParts, asked: TestClient) -> None:
    told = asked.get("/api/labels/suspects?kind=location").json()
    assert told["suspects"][0]["label"]["class"] == told["suspects"][0]["fix"]["class"] == "person"
    assert told["counts"]["decided"] == 0
    number = told["suspects"][0]["id"]
    made = asked.post("/api/labels/suspects/send", json={"suspects": [number]}).json()
    assert (made["done"], made["frames"]) == ([number], 1)
    again = asked.post("/api/labels/suspects/send", json={"suspects": [number]}).json()
    assert again["refused"] == {str(number): "it stands before people already"}
    assert asked.post("/api/labels/suspects/undo", json={"changes": [10**9]}).status_code == 422


def test_an_open_page_never_names_a_suspect_of_a_later_run(judged: FakeParts, asked: TestClient) -> None:
    old = [row.id for row in stored(judged)]
    judge_labels(judged, quiet)
    new = [row.id for row in stored(judged)]
    assert min(new) > max(old), "a browser keeps pictures by number, and forms send numbers"
    assert asked.get(f"{HERE}/{old[0]}.webp").status_code == 404
    program = browsing(judged, FakeWorker(judged))
    told = program.post("/api/labels/suspects/dismiss", json={"suspects": [old[0]]}).json()
    assert (told["done"], told["refused"]) == ([], {str(old[0]): "it is not known"})
    with write(judged.project.engine) as session:
        finish_run(session, begin_run(session), {}, {}, [])
    assert not stored(judged)
    judge_labels(judged, quiet)
    assert min(row.id for row in stored(judged)) > max(new), "not even after a run that found nothing"


def test_judging_runs_as_a_job_and_stops(judged: FakeParts) -> None:
    jobs = well()["jobs"] | {"suspects": State(now="3/30 epochs: model 1 of 3")}
    worker = FakeWorker(judged, lambda: well() | {"jobs": jobs})
    asked = browsing(judged, worker)
    assert "3/30 epochs: model 1 of 3" in asked.get(HERE).text
    send(asked, f"{HERE}/run", HERE)
    assert worker.asked == [("run_now", "suspects")]
    send(asked, f"{HERE}/stop", HERE)
    with read(judged.project.engine) as session:
        assert [line.what for line in changes(session, 2)] == ["judging of labels stopped", "job started"]


def test_the_finding_leads_here(judged: FakeParts) -> None:
    found = next(one for one in findings(judged.project) if one.part == "suspects")
    assert found.address == HERE
    assert "suspect labels are more likely wrong than right" in found.text


def test_a_crop_lies_in_the_picture() -> None:
    assert window([["a", 0, 0, 40, 20]], 1000, 800) == (0, 0, 100, 100)
    assert window([["a", 900, 700, 1000, 800]], 1000, 800) == (750, 550, 250, 250)
    assert window([["a", 0, 0, 5, 5]], 32, 24) == (0, 0, 32, 24)
