"""Two persons with accounts of their own at the real Label Studio: neither sees what the other drew."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

from connectors.label_studio.backend import LabelStudio
from db.engine import read
from db.labels import labels
from db.states import TaskStatus
from loop.analysis.analyze import analyze
from loop.ingest.ingest import ingest
from loop.labeling.project import holding_project
from loop.selection.select import select
from tests.fakes import FakeParts, quiet
from tests.loop.desk import asking, pull, push, row, rows
from tests.studio import Colleague, Person, Studio, chromium, drawn

pytestmark = [pytest.mark.slow, pytest.mark.studio, pytest.mark.browser]

OWN, THEIRS = (2.0, 3.0, 11.0, 13.0), (3.0, 3.0, 12.0, 13.0)


@pytest.fixture(scope="module")
def other(label_studio: Studio) -> Iterator[Colleague]:
    made = Colleague.join(label_studio, "second@example.org")
    yield made
    made.client.close()


@pytest.fixture
def two(
    parts: FakeParts, other: Colleague, label_studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[FakeParts, Colleague]]:
    """Four tasks, each of them before two persons."""
    backend = LabelStudio(label_studio.server.url, label_studio.server.token, images="upload")
    monkeypatch.setattr(asking(parts), "_studio", backend)
    ingest(parts, quiet)
    analyze(parts, quiet)
    select(parts, quiet, budget=4)
    push(parts)
    yield parts, other
    for slot in (0, 1, 2):
        if (number := holding_project(parts.project, slot)) is not None:
            label_studio.call("DELETE", f"projects/{number}")


def test_neither_sees_what_the_other_drew(two: tuple[FakeParts, Colleague], label_studio: Studio) -> None:
    parts, other = two
    first = next(task for task in rows(parts) if task.slot == 0)
    second = next(task for task in rows(parts) if task.slot == 1 and task.frame == first.frame)
    assert first.external_id
    assert second.external_id
    person = Person(label_studio)
    box = [drawn("helmet", OWN, (32, 24))]
    given = person.submit(first.external_id, box)

    seen = all_that_shows(other.call, second.external_project or 0, second.external_id)
    assert second.key in seen["list"], "the list shows the second task itself"
    trace = f'"annotation_id": {given}', label_studio.server.username, box[0]["id"]
    for place, text in seen.items():
        assert [word for word in trace if word in text] == [], place
    fresh = on_screen(other, second.external_project or 0, second.external_id)
    assert [word for word in trace if word in fresh] == []
    assert {"Submit", "Update"} & {*fresh.splitlines()} == {"Submit"}, "nothing is answered here yet"

    theirs = [{**drawn("helmet", THEIRS, (32, 24)), "id": "theirs"}]
    other.submit(second.external_id, theirs)
    own = on_screen(other, second.external_project or 0, second.external_id)
    assert {"Submit", "Update"} & {*own.splitlines()} == {"Update"}, "their own answer shows"
    for place, text in all_that_shows(
        label_studio.call, first.external_project or 0, first.external_id
    ).items():
        assert [word for word in ("theirs", other.email) if word in text] == [], place

    pull(parts)
    assert (row(parts, second.key).status, row(parts, first.key).status) == (TaskStatus.DONE, TaskStatus.DONE)
    with read(parts.project.engine) as session:
        label = labels(session)[first.frame]
    assert label.rule == "two agree, fused"
    assert label.boxes[0].xyxy == pytest.approx((2.5, 3.0, 11.5, 13.0), abs=0.02)


def test_the_same_person_in_both_projects_is_no_second_opinion(
    two: tuple[FakeParts, Colleague], label_studio: Studio
) -> None:
    parts, other = two
    first = next(task for task in rows(parts) if task.slot == 0)
    second = next(task for task in rows(parts) if task.slot == 1 and task.frame == first.frame)
    for task in (first, second):
        other.submit(task.external_id or 0, [drawn("helmet", OWN, (32, 24))])
    pull(parts)
    assert row(parts, second.key).status is TaskStatus.QUARANTINED
    assert row(parts, second.key).problem.startswith(f"no second opinion: {other.email} answered")


Call = Callable[..., Any]


def all_that_shows(call: Call, project: int, task: int) -> dict[str, str]:
    """Everything that the API tells of a project to who works in it: its list of tasks, one task, what
    they are handed next, and the project itself.
    """
    listed = call("GET", "tasks", params={"project": project, "fields": "all", "page_size": 100})
    return {
        "list": json.dumps(listed),
        "task": json.dumps(call("GET", f"tasks/{task}", params={"project": project})),
        "answers": json.dumps(call("GET", f"tasks/{task}/annotations/")),
        "next": json.dumps(call("GET", f"projects/{project}/next")),
    }


def on_screen(who: Colleague, project: int, task: int) -> str:
    """What the page of a task says to this person, in a real browser."""
    url = who.studio.server.url
    cookies = [{"name": name, "value": value, "url": url} for name, value in who.client.cookies.items()]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1400, "height": 900})
        context.add_cookies(cookies)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.goto(f"{url}/projects/{project}/data?task={task}")
        page.locator("img[alt=image]").first.wait_for(state="visible")
        page.wait_for_timeout(1500)
        said = page.locator("body").inner_text()
        browser.close()
    return said
