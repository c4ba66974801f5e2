"""The audit log by person, kind and subject: as a page, through the API, and as a command."""

from __future__ import annotations

import json

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from db.engine import write
from loop.changes.audit import Who, note
from loop.cli.app import app
from loop.insights.changes import ChangeQuery, change_lines, choices_of_changes, page_of_changes
from tests.fakes import FakeParts
from tests.loop.web.worker import FakeWorker, browsing

DONE = (
    ("ana", "model promoted", "model 3"),
    ("ben", "model promoted", "model 4"),
    ("ana", "slice renamed", "slice 7"),
    ("<b>eve</b>", "slice renamed", "slice 8"),
)


@pytest.fixture
def noted(parts: FakeParts) -> FakeParts:
    with write(parts.project.engine) as session:
        for number, (who, what, subject) in enumerate(DONE):
            note(session, Who(who, "page"), what, subject, {"name": number}, {"name": number + 1})
    return parts


@pytest.fixture
def asked(noted: FakeParts) -> TestClient:
    return browsing(noted, FakeWorker(noted))


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        (ChangeQuery(), [3, 2, 1, 0]),
        (ChangeQuery(who="ana"), [2, 0]),
        (ChangeQuery(what="model promoted"), [1, 0]),
        (ChangeQuery(who="ana", what="model promoted"), [0]),
        (ChangeQuery(who="ana", subject="slice 8"), []),
        (ChangeQuery(who="<b>eve</b>"), [3]),
    ],
)
def test_all_three_ways_find_the_same(
    noted: FakeParts, asked: TestClient, query: ChangeQuery, rows: list[int]
) -> None:
    wanted = [DONE[row][2] for row in rows]
    assert [row.subject for row in page_of_changes(noted.project, query).changes] == wanted
    given = {key: value for key, value in vars(query).items() if value}
    told = asked.get("/api/changes", params=given).json()["changes"]
    assert [row["subject"] for row in told] == wanted
    text = asked.get(query.address()).text
    assert text.count("<tr data-item>") == len(wanted)
    options = [f"--{ {'who': 'by', 'subject': 'of'}.get(key, key) }={value}" for key, value in given.items()]
    run = CliRunner().invoke(app, ["changes", *options, "--json", "--project", str(noted.project.root)])
    assert [row["subject"] for row in json.loads(run.stdout)["changes"]] == wanted


def test_pages_go_on_within_what_was_asked_for(noted: FakeParts) -> None:
    query = ChangeQuery(who="ana")
    newest = page_of_changes(noted.project, query, limit=1)
    assert newest.older is not None
    assert query.address(newest.older) == f"/changes?who=ana&before={newest.older}"
    oldest = page_of_changes(noted.project, query, str(newest.older), limit=1)
    assert ([row.subject for row in oldest.changes], oldest.older) == (["model 3"], None)


def test_the_page_offers_who_and_what_there_is(noted: FakeParts, asked: TestClient) -> None:
    choices = choices_of_changes(noted.project)
    assert (choices.who, choices.what) == (["<b>eve</b>", "ana", "ben"], ["model promoted", "slice renamed"])
    text = asked.get("/changes?who=ana").text
    assert "<option selected>ana</option>" in text
    assert "&lt;b&gt;eve&lt;/b&gt;" in text
    assert "No change meets this" in asked.get("/changes?who=nobody").text


def test_a_line_says_who_what_and_from_what_to_what(noted: FakeParts) -> None:
    (line,) = change_lines(page_of_changes(noted.project, ChangeQuery(who="ben")).changes, "UTC")
    assert line.endswith("ben by page: model promoted, model 4 (name 1 -> 2)")
    run = CliRunner().invoke(app, ["changes", "--limit", "3", "--project", str(noted.project.root)])
    assert run.stdout.splitlines()[-1] == "--before 2 lists those before"
