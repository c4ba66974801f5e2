"""A Label Studio project is known by its server, its number and our mark in it: no task goes into a
stranger's, none of ours is held to be deleted because a stranger's lacks it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from connectors.errors import ProjectGone, StrangersProject
from connectors.ports import LabelProject
from db.engine import read
from db.facts import get_fact
from db.states import TaskStatus
from loop.base.errors import ConfigError
from loop.labeling import push as pushing
from loop.labeling.project import SERVER_FACT, holding_project, mark_of_ours
from loop.project.project import open_project
from tests.fakes import CLASSES, FakeParts, StudioServer, quiet
from tests.loop.desk import HAT, a_key, label_of, pull, push, row, rows

OTHERS_MARK = "0123456789abcdef" * 2


@pytest.fixture
def settled(pushed: FakeParts, monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeParts]:
    """The same fieldloop project under other settings of Label Studio, and with what is there."""

    def settle(server: StudioServer | None = None, **settings: object) -> FakeParts:
        for name, value in settings.items():
            monkeypatch.setenv(f"FIELDLOOP_LABEL_STUDIO__{name.upper()}", str(value))
        return FakeParts(open_project(pushed.project.root), server or pushed.server)

    return settle


@contextmanager
def untouched(parts: FakeParts, server: StudioServer) -> Iterator[None]:
    """Neither our tasks nor anything on that server changes."""
    before = rows(parts), [*server.tasks], dict(server.marks)
    yield
    assert (rows(parts), [*server.tasks], dict(server.marks)) == before


def with_project(number: int, mark: str = "", server: StudioServer | None = None) -> StudioServer:
    """A server that has a project of that number with our classes, and nothing in it."""
    made = server or StudioServer()
    made.projects[number] = LabelProject(number, f"http://studio/projects/{number}", CLASSES)
    made.titles[number], made.marks[number] = "somebody's", mark
    return made


def refused(parts: FakeParts, why: str) -> None:
    for act in (push, pull):
        with pytest.raises(StrangersProject, match=why), untouched(parts, parts.server):
            act(parts)
    assert {task.status for task in rows(parts)} == {TaskStatus.CONFIRMED}


@pytest.mark.parametrize(
    ("server", "why"),
    [
        (StudioServer(), "got no project of that number at http://elsewhere"),
        (with_project(1), "got one without our mark and without any of our tasks at http://elsewhere"),
        (with_project(1, OTHERS_MARK), "got the mark of another fieldloop project at http://elsewhere"),
    ],
)
def test_another_server_is_refused_and_nothing_is_held_to_be_deleted(
    pushed: FakeParts, settled: Callable[..., FakeParts], server: StudioServer, why: str
) -> None:
    answered = a_key(pushed)
    pushed.server.answer(answered, [HAT])
    elsewhere = settled(server, url="http://elsewhere")
    refused(elsewhere, rf"expected project 1 of our own server, which carries our mark, {why}")
    assert pull(pushed).answers == {TaskStatus.DONE: 1}
    assert label_of(pushed, answered) == (HAT,)


def test_a_server_set_up_anew_is_refused_where_its_number_is_somebody_elses(pushed: FakeParts) -> None:
    refused(FakeParts(pushed.project, with_project(1)), "without our mark and without any of our tasks")


def test_a_server_set_up_anew_without_that_number_lacks_the_project(pushed: FakeParts) -> None:
    anew = FakeParts(pushed.project, StudioServer())
    for act in (push, pull):
        with pytest.raises(ProjectGone), untouched(anew, anew.server):
            act(anew)


def test_the_same_project_under_another_address_is_followed(
    pushed: FakeParts, settled: Callable[..., FakeParts]
) -> None:
    key = a_key(pushed)
    pushed.server.answer(key, [HAT])
    moved = settled(url="https://labels.example.org")
    assert pull(moved).answers == {TaskStatus.DONE: 1}
    with read(moved.project.engine) as session:
        assert get_fact(session, SERVER_FACT) == "https://labels.example.org"
    assert push(moved).pushed == 0
    assert len(moved.server.tasks) == 12


def test_a_changed_number_is_followed_with_open_tasks_and_last_answers(
    pushed: FakeParts, settled: Callable[..., FakeParts]
) -> None:
    early, late = pushed.server.task_keys()[:2]
    with_project(7000, server=pushed.server)
    changed = settled(project_id=7000)
    pushed.server.answer(early, [HAT])
    report = pull(changed)
    assert (report.answers, report.deleted) == ({TaskStatus.DONE: 1}, 0)
    assert report.lines()[1].startswith("label_studio.project_id names project 7000: open tasks follow")
    pushed.server.answer(late, [])
    pushing_report = push(changed)
    assert pushing_report.renewed == (
        "project 1 is left, its answers were fetched first (1 done); what is answered there from now"
        " on is not; 10 open tasks go to project 7000"
    )
    assert (label_of(changed, early), label_of(changed, late)) == ((HAT,), ())
    assert pushing_report.pushed == 10
    assert {task.external_project for task in rows(changed, TaskStatus.CONFIRMED)} == {7000}
    assert changed.server.marks[7000] == f"{mark_of_ours(changed.project)} 1"
    assert (push(changed).renewed, pull(changed).follows) == ("", "")


def test_a_number_of_somebody_elses_is_refused_before_the_former_is_left(
    pushed: FakeParts, settled: Callable[..., FakeParts]
) -> None:
    changed = settled(with_project(7000, OTHERS_MARK, pushed.server), project_id=7000)
    with pytest.raises(StrangersProject, match="expected project 7000"), untouched(changed, changed.server):
        push(changed)
    assert holding_project(changed.project) == 1


def test_a_project_of_before_there_were_marks_gets_ours_by_its_tasks(pushed: FakeParts) -> None:
    pushed.server.marks[1] = ""
    pull(pushed)
    assert pushed.server.marks[1] == mark_of_ours(pushed.project)


def test_a_mark_that_was_lost_with_all_tasks_can_be_written_back(pushed: FakeParts) -> None:
    pushed.server.marks[1] = ""
    pushed.server.tasks.clear()
    with pytest.raises(StrangersProject) as caught:
        pull(pushed)
    said = str(caught.value)
    assert f"write [fieldloop {mark_of_ours(pushed.project)}] into its description" in said
    pushed.server.marks[1] = mark_of_ours(pushed.project)
    assert pull(pushed).deleted == 12


def test_a_new_project_of_the_same_number_is_read_from_its_beginning(pushed: FakeParts) -> None:
    early, late = pushed.server.task_keys()[:2]
    pushed.server.now += timedelta(days=9)
    pushed.server.answer(early, [HAT])
    pull(pushed)
    anew = FakeParts(pushed.project, StudioServer())
    assert pushing.push(anew, quiet, new_project=True).project_id == 1
    anew.server.answer(late, [HAT])
    assert pull(anew).answers == {TaskStatus.DONE: 1}


def test_answers_that_cannot_be_had_any_more_are_given_up_on_purpose(
    pushed: FakeParts, settled: Callable[..., FakeParts]
) -> None:
    elsewhere = settled(with_project(1), url="http://elsewhere")
    with pytest.raises(
        StrangersProject, match=r"[^.]; no new project was made\. To give its answers up, run"
    ):
        pushing.push(elsewhere, quiet, new_project=True)
    report = pushing.push(elsewhere, quiet, new_project=True, give_up_answers=True)
    assert report.renewed == (
        "project 1 is left, and what was answered there and not pulled is given up;"
        " 12 open tasks go to a new project"
    )
    assert {task.project for task in elsewhere.server.tasks} == {report.project_id}
    assert elsewhere.server.marks == {1: "", report.project_id: f"{mark_of_ours(elsewhere.project)} 1"}
    assert row(elsewhere, elsewhere.server.task_keys()[0]).status is TaskStatus.CONFIRMED


def test_back_on_the_first_server_the_advice_leads_there(
    pushed: FakeParts, settled: Callable[..., FakeParts]
) -> None:
    elsewhere = settled(StudioServer(numbers=7), url="http://elsewhere")
    pushing.push(elsewhere, quiet, new_project=True, give_up_answers=True)
    back = settled(pushed.server, url="", project_id=1)
    with pytest.raises(StrangersProject, match=r"To give its answers up, run `fieldloop push --give-up"):
        push(back)
    report = pushing.push(back, quiet, give_up_answers=True)
    assert (report.project_id, report.pushed, report.found) == (1, 0, 12)
    key = a_key(back)
    back.server.answer(key, [HAT])
    assert pull(back).answers == {TaskStatus.DONE: 1}


def test_answers_are_given_up_only_where_a_project_is_left(pushed: FakeParts) -> None:
    with pytest.raises(
        ConfigError, match=r"^--give-up-answers: expected --new-project beside it, or another"
    ):
        pushing.push(pushed, quiet, give_up_answers=True)


@pytest.mark.parametrize(
    ("project_id", "act", "advice"),
    [
        (0, push, "set them as now and run `fieldloop push --new-project --give-up-answers`, which"),
        (
            1,
            push,
            "set label_studio.url as now, project_id to 0, and run `fieldloop push --new-project --give",
        ),
        (5, pull, "set them as now and run `fieldloop push --give-up-answers`, which"),
        (
            5,
            push,
            "last answers wait in project 1 of our own server. Next: correct label_studio.project_id; 0",
        ),
    ],
)
def test_the_advice_can_be_followed_under_these_settings(
    settled: Callable[..., FakeParts], project_id: int, act: Callable[[FakeParts], object], advice: str
) -> None:
    elsewhere = settled(StudioServer(), url="http://elsewhere", project_id=project_id)
    with pytest.raises(StrangersProject) as error:
        act(elsewhere)
    assert advice in str(error.value)
    assert "all the same" not in str(error.value)
