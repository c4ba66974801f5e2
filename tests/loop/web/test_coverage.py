"""The page Coverage: what it says, where it leads, and what can be done in place."""

from __future__ import annotations

import re

import pytest
from starlette.testclient import TestClient

from db.changes import changes
from db.engine import read, write
from db.page_facts import add_page_fact, latest_page_fact
from loop.gaps.coverage_facts import COVERAGE, CROSSED
from loop.gaps.coverage_view import CoverageView
from loop.insights.coverage import coverage
from loop.insights.frame_query import FrameQuery
from loop.project.project import Project
from loop.web.pages.coverage import LOOKING
from tests.fakes import FakeParts
from tests.loop.web.worker import FakeWorker, browsing, send


@pytest.fixture
def worker() -> FakeWorker:
    return FakeWorker()


@pytest.fixture
def pages(view: CoverageView, parts: FakeParts, worker: FakeWorker) -> TestClient:
    return browsing(parts, worker)


def test_each_gap_is_said_with_all_that_is_known(pages: TestClient, parts: FakeParts) -> None:
    text, found = pages.get("/coverage").text, coverage(parts.project)
    assert found is not None
    for gap in found.gaps:
        assert f'href="{gap.query.url()}"'.replace("&", "&amp;") in text
        for said in (gap.name, gap.certainty, f"{gap.labeled} of {gap.wanted}", "labels still wanted"):
            assert said in text
        assert f"{100 * gap.production_share:.1f} %" in text
        for example in gap.examples:
            assert f"/thumbs/{example.content_hash}.webp" in text
    assert "style=" not in text
    assert len(text) < 60_000


@pytest.mark.parametrize(
    "path", ["/coverage", "/coverage/shares", "/coverage/crossed", "/coverage/compared", "/map"]
)
def test_every_link_to_frames_is_a_set(pages: TestClient, path: str) -> None:
    for address in re.findall(r'href="/frames\?([^"]*)"', pages.get(path).text):
        FrameQuery.parse(address.replace("&amp;", "&"))


def test_pages_stay_small_however_much_there_is(pages: TestClient, parts: FakeParts) -> None:
    with write(parts.project.engine) as session:
        latest = latest_page_fact(session, COVERAGE)
        assert latest is not None
        value = dict(latest.value)
        value["gaps"] = 60 * [dict(value["gaps"][0], name="a condition with a rather long name, at the gate")]
        option = dict(value["facets"][0]["options"][0], name="an option with a rather long name, at the gate")
        facet = dict(value["facets"][0], options=16 * [option])
        value["facets"] = [dict(facet, key=f"facet {n}") for n in range(18)]
        of = add_page_fact(session, COVERAGE, value)
        axis = {"kind": "prompt", "slice_id": 1, "none": True, "left_out": 0, "options": 16 * [option]}
        counts = 18 * [18 * [123_456]]
        tables = {"0 1": {"production": counts, "training": counts}}
        axes = [dict(axis, key=key, name=key) for key in ("a", "b")]
        add_page_fact(session, CROSSED, {"of": of, "axes": axes, "tables": tables})
    seen = 0
    for path in ("/coverage", *(f"/coverage?start={start}" for start in range(10, 60, 10))):
        text = pages.get(path).text
        seen += text.count("<article")
        assert len(text.encode()) < 60_000
    assert seen == 60
    for path in ("/coverage/shares", "/coverage/shares?facet=facet+3", "/coverage/crossed"):
        assert len(pages.get(path).content) < 60_000, path


def test_look_again_compares_in_the_background(pages: TestClient, worker: FakeWorker) -> None:
    answer = send(pages, "/coverage/look", "/coverage")
    assert (answer.status_code, answer.headers["location"]) == (303, "/coverage")
    assert [(work.title, work.detail) for work in worker.works] == [(LOOKING, "0 gaps shown, 1 suspected")]


def test_a_gap_is_named_retired_and_taken_back_in_place(pages: TestClient, parts: FakeParts) -> None:
    found = coverage(parts.project)
    assert found is not None
    number, name = found.gaps[0].slice_id, found.gaps[0].name
    place = f"/coverage/slices/{number}"
    assert send(pages, f"{place}/name", "/coverage", name="<i>the ramp</i>").status_code == 303
    text = pages.get("/coverage").text
    assert "&lt;i&gt;the ramp&lt;/i&gt;" in text
    assert "<i>the ramp" not in text
    assert f'action="{place}/name"' in text.partition('class="flash"')[2]
    assert send(pages, f"{place}/retire", "/coverage").status_code == 303
    assert f'action="{place}/restore"' in pages.get("/coverage").text
    assert send(pages, f"{place}/restore", "/coverage").status_code == 303
    assert send(pages, f"{place}/name", "/coverage", name=name).status_code == 303
    with read(parts.project.engine) as session:
        told = [(row.what, row.via) for row in changes(session, 10)][::-1]
    assert told == [
        ("slice named", "page"),
        ("slice retired", "page"),
        ("slice restored", "page"),
        ("slice named", "page"),
    ]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/coverage/crossed?rows=nothing", 400),
        ("/coverage/crossed?rows=camera&columns=camera", 400),
        ("/coverage/crossed?as=x", 400),
        ("/coverage/compared?then=x", 400),
        ("/coverage/shares?facet=nothing", 200),
        ("/coverage/crossed?rows=camera&columns=brightness&as=training", 200),
    ],
)
def test_what_cannot_be_asked_is_said(pages: TestClient, path: str, status: int) -> None:
    answer = pages.get(path)
    assert answer.status_code == status
    if status == 400:
        assert "expected" in answer.text


def test_a_slice_that_is_none_cannot_be_named(pages: TestClient) -> None:
    assert send(pages, "/coverage/slices/99999/name", "/coverage", name="x").status_code in (404, 409)
    assert send(pages, "/coverage/slices/99999/retire", "/coverage").status_code in (404, 409)


@pytest.mark.parametrize("path", ["/coverage", "/coverage/shares", "/coverage/crossed", "/coverage/compared"])
def test_before_the_first_comparison_it_says_what_to_do(empty: Project, path: str) -> None:
    answer = browsing(FakeParts(empty), FakeWorker()).get(path)
    assert answer.status_code == 200
    assert 'class="empty"' in answer.text


def test_unknown_is_drawn_as_unknown(pages: TestClient) -> None:
    text = pages.get("/coverage/shares").text
    assert 'class="bar unknown"' in text
    assert "not known" in text
    assert "unknown-cell" in pages.get("/coverage/crossed").text
