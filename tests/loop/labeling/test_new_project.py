"""A Label Studio project that is gone, or left for another: no answer is dropped in silence, open
tasks go on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from connectors.errors import LabelConfigMismatch, LabelStudioDown, LabelStudioError, ProjectGone
from connectors.ports import Box
from db.engine import read
from db.facts import get_fact
from db.states import TaskStatus
from loop.base.errors import ConfigError
from loop.base.lease import holder_id, take
from loop.labeling import push as pushing
from loop.labeling.project import PROJECT_FACT, label_studio_project
from loop.project.project import open_project
from tests.fakes import FakeParts, StudioServer, quiet
from tests.loop.desk import HAT, a_key, label_of, pull, push, row, rows


def test_a_deleted_project_is_an_error_and_a_new_one_goes_on(pushed: FakeParts) -> None:
    done, wrong = pushed.server.task_keys()[:2]
    pushed.server.answer(done, [HAT])
    pushed.server.answer(wrong, [Box("hat", HAT.xyxy)])
    pull(pushed)
    (former,) = pushed.server.projects
    pushed.server.delete_project(former)
    for act in (push, pull):
        with pytest.raises(ProjectGone, match="push with --new-project"):
            act(pushed)
    assert row(pushed, done).status is TaskStatus.DONE
    report = pushing.push(pushed, quiet, new_project=True)
    assert report.renewed == (
        f"project {former} is not there any more, and with it every answer that was not pulled; "
        "11 open tasks go to a new project"
    )
    assert report.project_id != former
    assert report.pushed == 11
    assert done not in pushed.server.task_keys()
    assert row(pushed, wrong).status is TaskStatus.CONFIRMED
    pushed.server.accept(wrong)
    pull(pushed)
    assert row(pushed, wrong).status is TaskStatus.DONE


def test_a_new_project_first_takes_what_the_old_one_holds(pushed: FakeParts) -> None:
    done, skipped = pushed.server.task_keys()[:2]
    pushed.server.answer(done, [HAT])
    pushed.server.answer(skipped, [], cancelled=True)
    report = pushing.push(pushed, quiet, new_project=True)
    assert "its answers were fetched first (1 done, 1 skipped)" in report.renewed
    assert report.pushed == 10
    assert label_of(pushed, done) == (HAT,)
    assert (row(pushed, done).status, row(pushed, skipped).status) == (TaskStatus.DONE, TaskStatus.SKIPPED)
    there = {task.task.key for task in pushed.server.tasks if task.project == report.project_id}
    assert there == set(pushed.server.task_keys()) - {done, skipped}


def unreachable(server: StudioServer) -> type[LabelStudioError]:
    server.down = True
    return LabelStudioDown


def misconfigured(server: StudioServer) -> type[LabelStudioError]:
    ((number, project),) = server.projects.items()
    server.projects[number] = replace(project, classes=("person", "hat"))
    return LabelConfigMismatch


@pytest.mark.parametrize("spoil", [unreachable, misconfigured])
def test_an_old_project_whose_answers_cannot_be_had_is_not_left(
    pushed: FakeParts, spoil: Callable[[StudioServer], type[LabelStudioError]]
) -> None:
    pushed.server.answer(a_key(pushed), [HAT])
    (former,) = pushed.server.projects
    expected = spoil(pushed.server)
    with pytest.raises(
        expected,
        match=rf"fetch the answers of project {former} .*, got: .*; no new project was made\. To give",
    ):
        pushing.push(pushed, quiet, new_project=True)
    assert {task.status for task in rows(pushed)} == {TaskStatus.CONFIRMED}
    assert label_studio_project(pushed.project) == former
    assert [*pushed.server.projects] == [former]


def test_a_new_project_before_the_first_push_is_a_first_push(chosen: FakeParts) -> None:
    report = pushing.push(chosen, quiet, new_project=True)
    assert (report.pushed, report.renewed) == (12, "")


def test_a_new_project_is_refused_where_the_settings_name_one(
    pushed: FakeParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIELDLOOP_LABEL_STUDIO__PROJECT_ID", "7")
    configured = FakeParts(open_project(pushed.project.root), pushed.server)
    with pytest.raises(
        ConfigError, match=r"label_studio\.project_id: expected 0 with --new-project, got 7; set it to"
    ):
        pushing.push(configured, quiet, new_project=True)
    configured.project.engine.dispose()
    assert {task.status for task in rows(pushed)} == {TaskStatus.CONFIRMED}


def test_a_new_project_waits_for_a_push_that_is_under_way(pushed: FakeParts) -> None:
    take(pushed.project.engine, "push", holder_id(), 60)
    assert pushing.push(pushed, quiet, new_project=True).busy
    assert {task.status for task in rows(pushed)} == {TaskStatus.CONFIRMED}
    with read(pushed.project.engine) as session:
        assert get_fact(session, PROJECT_FACT) == "1"
