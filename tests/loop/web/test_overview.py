"""The first page: what it says first, and what it does with jobs."""

from __future__ import annotations

import re

import pytest
from starlette.testclient import TestClient

from db.changes import changes
from db.engine import read, write
from db.states import WorkKind
from db.work import end_work
from loop.changes.asking import ask_for
from loop.changes.audit import Who
from loop.project.project import Project
from loop.web.pages.overview import FIRST, sentence
from tests.fakes import FakeParts
from tests.loop.web.worker import FakeWorker, browsing, client, send, well

AWAY = (
    "pull has waited for Label Studio for 95 s: expected a running Label Studio, found none; start ours with"
    " `fieldloop labelstudio start` or set label_studio.url"
)


def main_of(page: str) -> str:
    return page.split("<main", 1)[1]


@pytest.mark.parametrize(
    ("problems", "needs", "said"),
    [
        ([], 0, "All is well, and nothing needs a person"),
        ([], 1, "All runs; 1 thing needs a person"),
        ([], 3, "All runs; 3 things need a person"),
        (["push failed: away"], 3, "Not well: push failed: away"),
        (["push failed: away", "b", "c"], 0, "Not well: push failed: away; and 2 more"),
        ([AWAY], 0, "Not well: pull has waited for Label Studio for 95 s"),
        ([AWAY, "b"], 0, "Not well: pull has waited for Label Studio for 95 s; and 1 more"),
        (["x" * 60 + " " + "y" * 60], 0, "Not well: " + "x" * 60 + " …"),
    ],
)
def test_health_is_a_sentence(problems: list[str], needs: int, said: str) -> None:
    assert sentence({"ok": not problems, "problems": problems}, needs) == said


def test_the_sentence_and_the_needs_come_first(site: TestClient) -> None:
    text = main_of(site.get("/").text)
    order = ["All runs; 1 thing needs a person", "8 tasks wait for an answer", 'href="/queue"', "Last frame"]
    order += ["Analyzed until", "8</b> of 100 frames chosen today", "Run now", "Where everything stands"]
    places = [text.index(said) for said in order]
    assert places == sorted(places)


def test_at_most_five_needs_stand_open(full: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from loop.insights import needs

    many = [needs.Need("reports", f"thing {number}", "see", "/frames") for number in range(FIRST + 2)]
    monkeypatch.setattr(needs, "of_reports", lambda reports: many)
    text = main_of(client(full).get("/").text)
    opened = text[: text.index("And 3 more")]
    assert opened.count('class="need"') == FIRST
    assert text.count('class="need"') == FIRST + 3


def test_a_job_is_paused_with_a_way_back_and_on_record(full: Project) -> None:
    worker = FakeWorker()
    asked = browsing(FakeParts(full), worker)
    send(asked, "/sign-in", name="Anna")
    answer = send(asked, "/jobs/ingest/pause", "/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/#jobs")
    page = asked.get("/").text
    assert "ingest is paused." in page
    assert re.search(r'action="/jobs/ingest/resume">.*?data-undo>Undo', page)
    assert "paused since 2026-05-01 12:00 UTC" in page
    assert 'aria-label="Resume ingest"' in page
    send(asked, "/jobs/ingest/resume", "/")
    send(asked, "/jobs/push/run", "/")
    assert worker.asked == [("pause", "ingest"), ("resume", "ingest"), ("run_now", "push")]
    with read(full.engine) as session:
        rows = changes(session, 3)
    assert [(row.who, row.via, row.what, row.subject) for row in rows] == [
        ("Anna", "page", "job started", "job push"),
        ("Anna", "page", "job resumed", "job ingest"),
        ("Anna", "page", "job paused", "job ingest"),
    ]
    assert "job paused" in asked.get("/changes").text


def test_a_job_that_there_is_not_is_refused_with_what_to_do(full: Project) -> None:
    asked = browsing(FakeParts(full), FakeWorker())
    answer = send(asked, "/jobs/<b>none/pause", "/")
    assert answer.status_code == 400
    assert "expected one of ingest, push, round_at; got &#39;&lt;b&gt;none&#39;" in answer.text
    assert send(asked, "/jobs/ingest/explode", "/").status_code == 404
    assert asked.get("/jobs/ingest/pause").status_code == 405


def test_work_that_was_asked_for_shows_its_result(full: Project) -> None:
    worker = FakeWorker()
    asked = browsing(FakeParts(full), worker)
    number = ask_for(full, Who("ann", "page"), WorkKind.SELECT, "A batch of 12")
    with write(full.engine) as session:
        end_work(session, number, "done", "12 frames chosen")
    text = main_of(asked.get("/").text)
    assert "A batch of 12" in text
    assert '<span class="done">done</span>: 12 frames chosen' in text


def test_a_long_problem_is_short_above_and_whole_below(full: Project) -> None:
    ill = well() | {"ok": False, "problems": [AWAY]}
    text = main_of(client(full, lambda: ill).get("/").text)
    assert "Not well: pull has waited for Label Studio for 95 s</h1>" in text
    assert f'<li class="bad">{AWAY}</li>' in text


def test_several_problems_are_all_said(full: Project) -> None:
    ill = well() | {"ok": False, "problems": ["a <failed>", "b failed"], "notes": ["c is paused"]}
    text = main_of(client(full, lambda: ill).get("/").text)
    assert "Not well: a &lt;failed&gt;; and 1 more" in text
    assert '<li class="bad">b failed</li>' in text
    assert "c is paused" in text


def test_the_page_can_be_refreshed_without_scripts(site: TestClient) -> None:
    text = site.get("/").text
    assert '<noscript><meta http-equiv="refresh" content="10"></noscript>' in text
    assert '<a href="/">Refresh</a>' in text
    assert 'hx-trigger="every 10s"' in text


@pytest.mark.parametrize("checks", [{"database": "", "disk": ""}, {"database": "", "disk": "expected room"}])
def test_readiness(empty: Project, checks: dict[str, str]) -> None:
    answer = browsing(FakeParts(empty), FakeWorker(checks=checks)).get("/readyz")
    ready = not any(checks.values())
    assert answer.status_code == (200 if ready else 503)
    assert answer.json() == {"ready": ready, "checks": checks}


# The audit log


def test_the_log_of_changes_is_paged_and_may_be_of_one_thing(full: Project) -> None:
    from db.engine import write
    from loop.changes.audit import Who, note

    with write(full.engine) as session:
        for number in range(120):
            note(
                session,
                Who("Eve", "api"),
                "model promoted",
                f"model {number}",
                {"status": "a"},
                {"status": "b"},
            )
    asked = client(full)
    first = asked.get("/changes").text
    assert "model 119" in first
    older = re.search(r'href="(/changes\?before=\d+)" rel="next"', first)
    assert older is not None
    second = asked.get(older[1]).text
    assert "model 119" not in second
    assert "model 5<" in second
    assert "<del>a</del> <ins>b</ins>" in second
    of_one = asked.get("/changes?subject=model+7").text
    assert of_one.count("<tr data-item>") == 1
    assert 'name="subject" maxlength="200" value="model 7"' in of_one


def test_a_cursor_that_is_none_is_refused(site: TestClient) -> None:
    for cursor in ("x", "-1", "1" * 30, "1e3"):
        answer = site.get(f"/changes?before={cursor}")
        assert answer.status_code == 400
        assert "expected the number of a change" in answer.text


# Errors


def test_an_error_nobody_expected_has_a_page_and_a_line_in_the_log(
    full: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(project: Project) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr("loop.web.pages.overview.overview", broken)
    answer = client(full).get("/")
    assert answer.status_code == 500
    assert "the log of the service has the details" in answer.text
    assert "secret detail" not in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == ["GET / failed"]


def test_an_address_that_is_none_has_a_page(site: TestClient) -> None:
    answer = site.get("/nothing/here")
    assert answer.status_code == 404
    assert "There is no such page" in answer.text
    assert ">Overview</a>" in answer.text


def test_what_was_typed_is_not_lost(full: Project) -> None:
    asked = browsing(FakeParts(full), FakeWorker())
    csrf = re.search(r'name="csrf" value="([0-9a-f]+)"', asked.get("/sign-in").text)
    assert csrf is not None
    answer = asked.post(
        "/jobs/none/run", data={"csrf": csrf[1]}, headers={"referer": "http://localhost:8765/?x=1"}
    )
    assert answer.status_code == 400
    assert '<a href="/?x=1">Back to the page before</a>' in answer.text
