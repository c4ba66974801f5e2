"""The page and the API of inspections: the plan before anybody starts, drawing a lot, giving it up."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from db.changes import changes
from db.engine import read
from db.lots import lots
from db.states import LotStatus
from loop.insights.lots import LotsPage
from tests.fakes import FakeParts
from tests.loop.web.worker import FakeWorker, browsing, send

HERE = "/labels/lots"


@pytest.fixture
def asked(labeled: FakeParts) -> TestClient:
    return browsing(labeled, FakeWorker(labeled))


def states(parts: FakeParts) -> list[LotStatus]:
    with read(parts.project.engine) as session:
        return [row.status for row in lots(session)]


def test_the_plan_is_shown_before_anybody_starts(labeled: FakeParts, asked: TestClient) -> None:
    assert "No lot was drawn yet." in asked.get(HERE).text
    page = asked.get(f"{HERE}?plan=zero").text
    assert "zero plan: inspect " in page
    assert "accept with none wrong." in page
    assert '<polyline points="0.0,' in page
    assert (
        "expected labels with boxes that no lot holds yet"
        in asked.get(f"{HERE}?plan=zero&frames=labeled%3Dno").text
    )
    assert "frames: expected keys among" in asked.get(f"{HERE}?plan=zero&frames=%3Cb%3E%3D1").text
    assert states(labeled) == []


def test_a_lot_is_drawn_and_withdrawn_on_the_page(labeled: FakeParts, asked: TestClient) -> None:
    send(asked, f"{HERE}/draw", f"{HERE}?plan=double", plan="double", frames="labeled=yes&origin=production")
    assert states(labeled) == [LotStatus.DRAWN]
    page = asked.get(HERE).text
    assert "Under inspection: 0 of " in page
    assert "labeled=yes&amp;origin=production" in page
    assert "waits for inspection" in asked.get("/").text
    assert "waits for inspection" in asked.get("/labels").text
    send(asked, f"{HERE}/withdraw", HERE, lot="1")
    assert states(labeled) == [LotStatus.WITHDRAWN]
    assert "Withdrawn: nothing is known of it" in asked.get(HERE).text
    with read(labeled.project.engine) as session:
        assert [(row.what, row.subject, row.via) for row in changes(session, 2)] == [
            ("lot withdrawn", "lot 1", "page"),
            ("lot drawn", "lot 1", "page"),
        ]


def test_the_api_plans_draws_and_withdraws(labeled: FakeParts, asked: TestClient) -> None:
    plan = asked.get(f"/api{HERE}/plan?plan=zero").json()
    assert (plan["plan"]["kind"], plan["plan"]["second"], plan["plan"]["accept"]) == ("zero", 0, 0)
    made = asked.post(f"/api{HERE}", json={"plan": "zero"})
    lot = made.json()
    assert (made.status_code, lot["status"], lot["plan"]["first"]) == (200, "drawn", plan["plan"]["first"])
    assert lot["labels"] == plan["labels"]
    assert asked.get(f"/api{HERE}").json()["lots"] == [asked.get(f"/api{HERE}/1").json()]
    again = asked.post(f"/api{HERE}", json={"plan": "zero"}).json()
    assert "expected labels with boxes that no lot holds yet" in again["detail"]
    assert (
        asked.post(f"/api{HERE}/1/withdraw", json={"reason": "drawn by mistake"}).json()["status"]
        == "withdrawn"
    )
    gone = asked.get(f"/api{HERE}/7").json()
    assert "expected the number of a lot, got 7" in gone["detail"]


def test_lots_that_are_not_shown_are_counted(asked: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loop.web.pages.labels_lots.lots_page", lambda project: LotsPage((), 3, 0))
    page = asked.get(HERE).text
    assert "3 older lots not shown here; <code>fieldloop labels lots show NUMBER</code> shows one." in page
