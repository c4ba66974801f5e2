"""The page of the queue, as a browser without scripts uses it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

import pytest
from starlette.testclient import TestClient

from connectors.ports import Box
from db.changes import changes
from db.engine import read
from db.states import TaskStatus
from loop.base.errors import ConfigError
from loop.insights.queue import QueueItem, QueueQuery, queue
from loop.web.pages.queue import gathered, outline, spread
from tests.fakes import FakeParts
from tests.loop.desk import pull, rows
from tests.loop.web.worker import FakeWorker, browsing, csrf_of


@pytest.fixture
def worker() -> FakeWorker:
    return FakeWorker()


@pytest.fixture
def asked(pushed: FakeParts, worker: FakeWorker) -> TestClient:
    pull(pushed)
    return browsing(pushed, worker)


def post(asked: TestClient, to: str, ids: Sequence[int], **fields: str) -> str:
    """Sends the form; the text of the page that it leads to."""
    data = {"csrf": csrf_of(asked), "task": [str(number) for number in ids], **fields}
    answer = asked.post(to, data=data)
    assert answer.status_code == 303, answer.text
    return asked.get(answer.headers["location"]).text


def due(parts: FakeParts) -> list[QueueItem]:
    return list(queue(parts.project, QueueQuery()).items)


def test_it_shows_each_task_with_picture_boxes_reason_and_a_link(
    asked: TestClient, pushed: FakeParts
) -> None:
    text = asked.get("/queue").text
    items = due(pushed)
    assert text.count('<li class="tile" data-item>') == len(items) == 12
    paths = re.findall(r'<path class="box model" d="([^"]+)"', text)
    assert sum(path.count("M") for path in paths) == sum(len(item.boxes) for item in items) > 0
    for item in items:
        assert f"/thumbs/{item.content_hash}.webp" in text
        assert f'href="/frames/{item.frame}"' in text
        assert item.url.replace("&", "&amp;") in text
        assert f"worth {item.priority:.2f}" in text
    assert "style=" not in text


def test_every_tab_is_there_with_its_count_and_says_so_when_it_is_empty(asked: TestClient) -> None:
    text = asked.get("/queue").text
    assert re.findall(r'href="(/queue[^"]*)"[^>]*>(\w[\w ]*) <span class="soft">(\d+)', text) == [
        ("/queue", "Due", "12"),
        ("/queue?tab=pinned", "Pinned", "0"),
        ("/queue?tab=mend", "To mend", "0"),
        ("/queue?tab=sending", "On their way", "0"),
        ("/queue?tab=answered", "Answered lately", "0"),
        ("/queue?tab=dropped", "Dropped lately", "0"),
    ]
    for tab, said in (("pinned", "No task is pinned."), ("dropped", "Nothing was dropped.")):
        assert said in asked.get(f"/queue?tab={tab}").text


def test_tasks_are_dropped_with_a_reason_and_undone(
    asked: TestClient, pushed: FakeParts, worker: FakeWorker
) -> None:
    first, second = (item.id for item in due(pushed)[:2])
    text = post(asked, "/queue/drop", [first, second], reason="blurred", back="/queue?purpose=train")
    assert "2 tasks dropped" in text
    assert worker.asked == [("run_now", "push")]
    with read(pushed.project.engine) as session:
        noted = changes(session, 5)
    assert {(line.via, line.after["reason"]) for line in noted} == {("page", "blurred")}
    action, undo = re.search(r'action="(/queue/undo)".*?name="changes" value="([^"]+)"', text).groups()  # type: ignore[union-attr]
    assert "2 tasks taken back" in post(asked, action, [], changes=undo, back="/queue")
    states = {row.id: row.status for row in rows(pushed)}
    assert {states[first], states[second]} == {TaskStatus.PENDING}


def test_a_push_that_is_paused_or_never_runs_by_itself_is_not_made(
    asked: TestClient, pushed: FakeParts, worker: FakeWorker
) -> None:
    worker.paused.add("push")
    text = post(asked, "/queue/pin", [due(pushed)[3].id], back="/queue")
    assert "1 task pinned. The job push is paused, so this waits until it is resumed." in text
    schedule = pushed.project.settings.schedule.model_copy(update={"push": ""})
    settings = pushed.project.settings.model_copy(update={"schedule": schedule})
    never = FakeParts(dataclasses.replace(pushed.project, settings=settings), pushed.server)
    text = post(browsing(never, worker), "/queue/pin", [due(pushed)[4].id], back="/queue")
    assert "schedule.push never runs by itself" in text
    assert worker.asked == []


def test_tasks_are_pinned_unpinned_and_hurried(asked: TestClient, pushed: FakeParts) -> None:
    listed = [item.id for item in due(pushed)]
    assert "1 task pinned" in post(asked, "/queue/pin", [listed[5]], back="/queue")
    text = post(asked, "/queue/hurry", [listed[7]], back="/queue")
    assert "1 task hurried" in text
    assert [int(n) for n in re.findall(r'name="task" value="(\d+)"', text)][:3] == [
        listed[5],
        listed[7],
        listed[0],
    ]
    assert ">pinned</b>" in text
    assert ">hurried</b>" in text
    assert 'formaction="/queue/unpin"' in asked.get("/queue?tab=pinned").text
    assert "1 task no longer pinned" in post(asked, "/queue/unpin", [listed[5]], back="/queue?tab=pinned")
    assert [item.id for item in due(pushed)][:2] == [listed[7], listed[0]]


def test_pages_lead_on(asked: TestClient, pushed: FakeParts) -> None:
    text = asked.get("/queue?limit=5").text
    found = re.search(r'href="([^"]+)" rel="next"', text)
    assert found is not None
    second = asked.get(found[1].replace("&amp;", "&")).text
    shown = [int(n) for n in re.findall(r'name="task" value="(\d+)"', text + second)]
    assert shown == [item.id for item in due(pushed)][:10]


def test_what_is_to_mend_says_why(asked: TestClient, pushed: FakeParts) -> None:
    pushed.server.answer(pushed.server.tasks[0].task.key, [Box("<b>unicorn", (1.0, 2.0, 9.0, 10.0))])
    pull(pushed)
    text = asked.get("/queue?tab=mend").text
    assert "unknown class &lt;b&gt;unicorn" in text
    assert "to mend by ann@example.org" in text


def test_a_form_from_elsewhere_leads_back_to_the_queue_alone(asked: TestClient, pushed: FakeParts) -> None:
    data = {"csrf": csrf_of(asked), "task": [str(due(pushed)[0].id)], "back": "https://elsewhere/"}
    assert asked.post("/queue/pin", data=data).headers["location"] == "/queue"
    data["back"] = "/queue?tab=pinned"
    assert asked.post("/queue/pin", data=data).headers["location"] == "/queue?tab=pinned"


@pytest.mark.parametrize(
    ("ids", "said"), [([], "expected at least one task, got none"), (["x"], "task: expected a whole number")]
)
def test_none_and_nonsense_are_said(asked: TestClient, ids: list[str], said: str) -> None:
    answer = asked.post("/queue/drop", data={"csrf": csrf_of(asked), "task": ids})
    assert answer.status_code == 400
    assert said in answer.text


def test_a_wrong_address_says_what_is_wrong(asked: TestClient) -> None:
    answer = asked.get("/queue?tab=all")
    assert answer.status_code == 400
    assert "tab: expected due" in answer.text


def test_a_change_without_the_form_token_is_refused(asked: TestClient, pushed: FakeParts) -> None:
    assert asked.post("/queue/drop", data={"task": [str(due(pushed)[0].id)]}).status_code == 403
    assert len(due(pushed)) == 12


def test_boxes_are_one_path_in_pixels() -> None:
    boxes = [Box("person", (1.2, 2.0, 9.6, 10.0)), Box("helmet", (0.0, 0.0, 4.0, 4.0))]
    assert outline(boxes) == "M1 2H10V10H1zM0 0H4V4H0z"


def test_numbers_are_gathered_in_little_room() -> None:
    assert gathered([7, 9, 8, 12]) == "7-9,12"
    assert spread("7-9,12") == [7, 8, 9, 12]
    with pytest.raises(ConfigError, match="expected those of one page"):
        spread("1-99999")
    with pytest.raises(ConfigError, match="expected a whole number, got ''"):
        spread("")
