"""The page and the API of what labeling costs, with answers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from connectors.ports import Box
from loop.insights.effort import KINDS, effort
from tests.fakes import FakeParts
from tests.loop.desk import HAT, pull, push
from tests.loop.web.test_hostile_names import HTML_BYTES
from tests.loop.web.test_numbers import Numbers, excepted
from tests.loop.web.worker import FakeWorker, browsing

PAGE = "/labels/effort"


@pytest.fixture
def asked(chosen: FakeParts) -> TestClient:
    """Twelve answers; one of two people is called as nobody is."""
    push(chosen)
    for place, task in enumerate(list(chosen.server.tasks)):
        boxes = [*task.task.predictions, HAT, Box("person", (2.0, 17.0, 9.0, 23.0))]
        author = "<script>alert(1)</script>" if place % 2 else "ann@example.org"
        given = chosen.server.answer(task.task.key, boxes, author=author)
        task.answers = [replace(given, lead_time_s=12.0 + place)]
    pull(chosen)
    return browsing(chosen, FakeWorker(chosen))


def test_the_page_tells_what_labeling_costs(asked: TestClient) -> None:
    said = asked.get(PAGE).text
    assert "<script>alert" not in said
    assert "&lt;script&gt;alert(1)" in said
    for words in ("ann@example.org", "By annotator", "By class", "By model version", "drawn from confidence"):
        assert words in said, words
    assert "not known: there are no answered tasks without drawn boxes" in said or "too few" in said
    assert "16.8 s" in said, "of ann: the longest of six times is cut"
    found = Numbers()
    found.feed(said)
    assert [told for told in found.told if not told.link and not excepted(PAGE, told.around)] == []


def test_the_api_tells_the_same(asked: TestClient) -> None:
    body = asked.get("/api/labels/effort").json()
    assert body["whole"]["tasks"] == 12
    assert body["whole"]["added"] == 24
    assert {row["kind"] for row in body["rows"]} >= {"annotator", "class", "model"}
    assert body["seconds"]["tasks"] == 0
    assert [one["source"] for one in body["drawn_from"]] == ["rule", "rule"]


def test_before_there_are_answers_the_page_says_so(chosen: FakeParts) -> None:
    assert "No answered task yet." in browsing(chosen, FakeWorker(chosen)).get(PAGE).text


def test_the_page_stays_light_with_many_classes(
    chosen: FakeParts, asked: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = effort(chosen.project)
    rows = [replace(found.rows[0], kind=kind, name=f"{kind} {at}") for kind in KINDS for at in range(80)]
    much = replace(found, rows=tuple(rows), drawn_from=found.drawn_from * 40)
    monkeypatch.setattr("loop.web.pages.labels_effort.effort", lambda project: much)
    page = asked.get(PAGE)
    assert len(page.content) <= HTML_BYTES
    assert page.text.count("71 more: ") == 4
    assert "60 more: " in page.text
