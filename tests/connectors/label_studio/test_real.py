"""The LabelBackend on the real Label Studio: nothing twice, nothing lost, and only what a person
submitted.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.errors import (
    LabelConfigMismatch,
    LabelStudioDown,
    LabelStudioError,
    ProjectGone,
    TokenRefused,
)
from connectors.label_studio import backend as module
from connectors.label_studio.backend import LabelStudio
from connectors.ports import Annotation, Box, LabelProject, LabelTask
from tests.studio import Corners, Person, Studio, drawn, label_task, picture

pytestmark = [pytest.mark.studio, pytest.mark.slow]

CLASSES = ("person", "helmet", 'a<b> & "c"')
SIZE = (320, 240)
PERSON: Corners = (40, 50, 120, 170)
HELMET: Corners = (60, 50, 100, 80)


@pytest.fixture
def backend(label_studio: Studio) -> LabelStudio:
    return LabelStudio(
        label_studio.server.url, label_studio.server.token, document_root=label_studio.document_root
    )


@pytest.fixture
def project(
    backend: LabelStudio, request: pytest.FixtureRequest, label_studio: Studio
) -> Iterator[LabelProject]:
    made = backend.ensure_project(request.node.name[:50], CLASSES, "Draw every helmet.", None)
    yield made
    httpx.delete(
        f"{label_studio.server.url}/api/projects/{made.external_id}",
        headers={"Authorization": f"Token {label_studio.server.token}"},
        trust_env=False,
    )


@pytest.fixture
def person(label_studio: Studio) -> Person:
    return Person(label_studio)


@pytest.fixture
def task(label_studio: Studio) -> Callable[..., LabelTask]:
    image = picture(label_studio.document_root / "frames" / "a b" / "gate.jpg", [PERSON])
    boxes = [Box("person", PERSON, confidence=0.8), Box("helmet", HELMET, confidence=0.3)]

    def make(key: str, **more: Any) -> LabelTask:
        return label_task(key, image, more.pop("boxes", boxes), **more)

    return make


def by_key(
    backend: LabelStudio, project: LabelProject, since: datetime | None = None
) -> dict[str, Annotation]:
    """The last answer of every task that has one."""
    return {
        answer.key: answer for seen in backend.answers(project.external_id, since) for answer in seen.answers
    }


def test_a_project_is_made_once(backend: LabelStudio, project: LabelProject, label_studio: Studio) -> None:
    title = label_studio.call("GET", f"projects/{project.external_id}")["title"]
    assert backend.ensure_project(title, CLASSES, "Draw every helmet.", None) == project
    assert backend.ensure_project("another title", CLASSES, "", project.external_id) == project
    tabs = label_studio.call("GET", "dm/views/", params={"project": project.external_id})
    assert [tab["data"]["title"] for tab in tabs] == [
        "To label, most valuable first",
        *("Evaluation", "Consensus", "Suspects", "Inspection"),
        *("Labeled", "Skipped"),
    ]


def test_the_server_tells_its_clock(backend: LabelStudio, project: LabelProject) -> None:
    backend.check(project.external_id, CLASSES)
    assert backend.clock is not None
    assert abs((datetime.now(UTC) - backend.clock).total_seconds()) < 30


def test_a_project_has_classes_instructions_and_order(project: LabelProject, label_studio: Studio) -> None:
    settings = label_studio.call("GET", f"projects/{project.external_id}")
    assert settings["parsed_label_config"]["label"]["labels"] == list(CLASSES)
    assert (settings["expert_instruction"], settings["show_instruction"]) == (
        '<section class="fieldloop">\nDraw every helmet.\n</section>',
        True,
    )
    assert settings["sampling"] == "Sequential sampling"
    assert httpx.get(project.url, trust_env=False, follow_redirects=True).status_code == 200


def test_a_project_of_that_title_with_tasks_is_somebody_elses(
    backend: LabelStudio, project: LabelProject, label_studio: Studio, task: Callable[..., LabelTask]
) -> None:
    backend.push(project.external_id, [task("k")])
    title = label_studio.call("GET", f"projects/{project.external_id}")["title"]
    other = backend.ensure_project(title, CLASSES, "", None)
    assert other.external_id != project.external_id
    label_studio.call("DELETE", f"projects/{other.external_id}")


def test_pushed_tasks_are_found_with_boxes_scores_and_version(
    backend: LabelStudio, project: LabelProject, label_studio: Studio, task: Callable[..., LabelTask]
) -> None:
    tasks = [task(f"frame {n}/é", priority=n / 250, model_version="yolo-7") for n in range(250)]
    made = backend.push(project.external_id, tasks)
    assert sorted(made) == sorted(one.key for one in tasks)
    assert backend.find(project.external_id, [*made, "absent"]) == {
        key: [number] for key, number in made.items()
    }
    assert label_studio.call("GET", f"projects/{project.external_id}")["model_version"] == "fieldloop"
    seen = label_studio.call("GET", f"tasks/{made['frame 200/é']}")
    assert seen["data"]["reason"] == "rare class"
    assert (seen["data"]["priority"], seen["data"]["camera"]) == (0.8, "gate")
    prediction = seen["predictions"][0]
    assert (prediction["score"], prediction["model_version"]) == (None, "fieldloop")
    assert seen["data"]["model"] == "yolo-7"
    assert [(r["value"]["rectanglelabels"], r["score"]) for r in prediction["result"]] == [
        (["person"], 0.8),
        (["helmet"], 0.3),
    ]


def test_the_most_valuable_task_comes_first(
    backend: LabelStudio, project: LabelProject, label_studio: Studio, task: Callable[..., LabelTask]
) -> None:
    made = backend.push(
        project.external_id,
        [task("low", priority=0.1), task("high", priority=0.9, boxes=[]), task("mid", priority=0.4)],
    )
    tab = label_studio.call("GET", "dm/views/", params={"project": project.external_id})[0]["id"]
    shown = label_studio.call("GET", "tasks", params={"project": project.external_id, "view": tab})["tasks"]
    assert [one["data"]["fieldloop_key"] for one in shown] == ["high", "mid", "low"]
    for key in ("high", "mid", "low"):
        handed_out = label_studio.call("GET", f"projects/{project.external_id}/next")["id"]
        assert handed_out == made[key]
        label_studio.call("POST", f"tasks/{handed_out}/annotations/", json={"result": [], "lead_time": 1})


def test_a_push_whose_answer_was_lost_is_found_again(
    backend: LabelStudio,
    project: LabelProject,
    task: Callable[..., LabelTask],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tasks = [task(f"k{n}") for n in range(120)]
    original = type(backend._client.projects).import_tasks
    calls = []

    def lost(self: Any, **request: Any) -> Any:
        original(self, **request)
        calls.append(request)
        raise httpx.ReadTimeout("the answer was lost")

    with monkeypatch.context() as patch:
        patch.setattr(type(backend._client.projects), "import_tasks", lost)
        with pytest.raises(LabelStudioDown, match=r"look with `find` before repeating it"):
            backend.push(project.external_id, tasks)
    assert len(calls) == 1
    there = backend.find(project.external_id, [one.key for one in tasks])
    assert sorted(there) == sorted(f"k{n}" for n in range(100))
    backend.push(project.external_id, [one for one in tasks if one.key not in there])
    assert all(
        len(ids) == 1 for ids in backend.find(project.external_id, [one.key for one in tasks]).values()
    )


def test_duplicates_are_visible_and_only_untouched_ones_are_swept(
    backend: LabelStudio, project: LabelProject, person: Person, task: Callable[..., LabelTask]
) -> None:
    first = backend.push(project.external_id, [task("twice"), task("worked on")])
    second = backend.push(project.external_id, [task("twice"), task("worked on")])
    assert backend.find(project.external_id, ["twice"]) == {"twice": [first["twice"], second["twice"]]}
    person.skip(first["worked on"])
    draft = {"result": person.regions(second["worked on"]), "lead_time": 1}
    person.studio.call("POST", f"tasks/{second['worked on']}/drafts", json=draft)
    backend.remove(project.external_id, [second["twice"], *first.values(), second["worked on"]])
    assert backend.find(project.external_id, ["twice"]) == {}
    assert backend.find(project.external_id, ["worked on"])["worked on"] == [
        first["worked on"],
        second["worked on"],
    ]


def test_what_people_do_to_the_boxes_is_what_comes_back(
    backend: LabelStudio, project: LabelProject, person: Person, task: Callable[..., LabelTask]
) -> None:
    keys = ["accepted", "moved", "removed", "added", "skipped", "empty", "never submitted"]
    made = backend.push(project.external_id, [task(key) for key in keys])
    person.accept(made["accepted"])
    person.move(made["moved"], 0, (48, 60, 128, 180), SIZE)
    person.remove(made["removed"], 1)
    person.add(made["added"], CLASSES[2], (200, 20, 260, 60), SIZE)
    person.skip(made["skipped"])
    person.empty(made["empty"])
    got = by_key(backend, project)
    assert sorted(got) == sorted(keys[:-1])
    seen = {key: [(b.class_name, b.origin, b.confidence) for b in got[key].boxes] for key in got}
    kept = [("person", "prediction", 0.8), ("helmet", "prediction", 0.3)]
    assert seen["accepted"] == kept
    assert seen["moved"] == [("person", "prediction-changed", 0.8), kept[1]]
    assert seen["removed"] == kept[:1]
    assert seen["added"] == [*kept, (CLASSES[2], "manual", None)]
    assert seen["empty"] == []
    assert got["accepted"].boxes[0].xyxy == pytest.approx(PERSON)
    assert got["moved"].boxes[0].xyxy == pytest.approx((48, 60, 128, 180))
    assert got["added"].boxes[2].xyxy == pytest.approx((200, 20, 260, 60))
    assert [key for key in got if got[key].cancelled] == ["skipped"]
    assert {one.external_task_id for one in got.values()} == {made[key] for key in keys[:-1]}
    assert {(one.author, one.lead_time_s, tuple(one.unknown_classes)) for one in got.values()} == {
        (person.studio.server.username, 4.5, ())
    }


def test_only_new_and_changed_answers_are_read_again(
    backend: LabelStudio, project: LabelProject, person: Person, task: Callable[..., LabelTask]
) -> None:
    made = backend.push(project.external_id, [task(f"k{n}") for n in range(4)])
    ids = {key: person.accept(made[key]) for key in ("k0", "k1", "k2")}
    first = by_key(backend, project)
    mark = {seen.key: seen.updated_at for seen in backend.answers(project.external_id, None)}
    assert all(mark[key] >= first[key].updated_at for key in first)
    assert [*by_key(backend, project, mark["k2"])] == ["k2"]
    person.change(ids["k0"], [])
    person.empty(made["k3"])
    again = by_key(backend, project, mark["k2"])
    assert sorted(again) == ["k0", "k2", "k3"]
    assert again["k0"].external_id == first["k0"].external_id
    assert again["k0"].updated_at > first["k0"].updated_at
    assert (again["k0"].boxes, again["k2"]) == ([], first["k2"])


def bulk_delete(studio: Studio, project_id: int, task_ids: list[int]) -> None:
    """The data manager's "Delete Annotations" over these tasks."""
    selected = {"selectedItems": {"all": False, "included": task_ids}, "project": project_id}
    wanted = {"id": "delete_tasks_annotations", "project": project_id}
    studio.call("POST", "dm/actions", params=wanted, json=selected)


def test_a_task_whose_answer_was_deleted_skipped_or_withdrawn_is_read_again(
    backend: LabelStudio, project: LabelProject, person: Person, task: Callable[..., LabelTask]
) -> None:
    keys = ["deleted", "deleted in bulk", "skipped", "unskipped", "skip taken back", "untouched"]
    made = backend.push(project.external_id, [task(key) for key in keys])
    skips = ("unskipped", "skip taken back")
    ids = {key: (person.skip if key in skips else person.accept)(made[key]) for key in keys}
    mark = max(seen.updated_at for seen in backend.answers(project.external_id, None))
    after = mark + timedelta(microseconds=1)
    assert [*backend.answers(project.external_id, after)] == []
    call = person.studio.call
    call("DELETE", f"annotations/{ids['deleted']}/")
    bulk_delete(person.studio, project.external_id, [made["deleted in bulk"]])
    call("PATCH", f"annotations/{ids['skipped']}/", json={"was_cancelled": True})
    call("PATCH", f"annotations/{ids['unskipped']}/", json={"was_cancelled": False})
    call("POST", f"annotations/{ids['skip taken back']}/convert-to-draft")
    now = {
        seen.key: [one.cancelled for one in seen.answers]
        for seen in backend.answers(project.external_id, after)
    }
    assert now == {
        "deleted": [],
        "deleted in bulk": [],
        "skipped": [True],
        "unskipped": [False],
        "skip taken back": [],
    }


def test_answers_are_paged_and_every_one_of_a_task_is_read(
    backend: LabelStudio,
    project: LabelProject,
    person: Person,
    task: Callable[..., LabelTask],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PAGE", 3)
    made = backend.push(project.external_id, [task(f"k{n}") for n in range(7)])
    expected = sorted([person.empty(number) for number in made.values()] + [person.accept(made["k3"])])
    seen = [*backend.answers(project.external_id, None)]
    assert sorted(one.external_id for each in seen for one in each.answers) == expected
    assert len(backend.find(project.external_id, [*made])) == 7


def test_answers_that_are_no_boxes_of_our_classes_are_marked(
    backend: LabelStudio, project: LabelProject, person: Person, task: Callable[..., LabelTask]
) -> None:
    made = backend.push(project.external_id, [task("renamed"), task("rotated")])
    person.submit(made["renamed"], [drawn("hard hat", HELMET, SIZE)])
    person.submit(made["rotated"], [drawn("person", PERSON, SIZE, rotation=20)])
    got = by_key(backend, project)
    assert {key: tuple(one.unknown_classes) for key, one in got.items()} == {
        "renamed": ("hard hat",),
        "rotated": ("[rotated person]",),
    }


def test_users_that_were_deleted_are_not_one_person(
    backend: LabelStudio, project: LabelProject, person: Person, task: Callable[..., LabelTask]
) -> None:
    number = backend.push(project.external_id, [task("k")])["k"]
    given = [person.empty(number), person.accept(number)]
    database = person.studio.document_root.with_name("data") / "label_studio.sqlite3"
    with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        connection.execute("UPDATE task_completion SET completed_by_id = NULL WHERE task_id = ?", (number,))
    (seen,) = backend.answers(project.external_id, None)
    assert sorted(one.author for one in seen.answers) == sorted(
        f"deleted user of answer {answer}" for answer in given
    )


def test_tasks_of_other_people_are_left_alone(
    backend: LabelStudio, project: LabelProject, person: Person, task: Callable[..., LabelTask]
) -> None:
    shown = dict.fromkeys(("reason", "priority", "site", "camera", "captured_at", "image"), "x")
    person.studio.call("POST", f"projects/{project.external_id}/import", json=[{"data": shown}])
    listed = person.studio.call("GET", "tasks", params={"project": project.external_id})["tasks"]
    answer = {"result": [drawn("person", PERSON, SIZE)]}
    person.studio.call("POST", f"tasks/{listed[0]['id']}/annotations/", json=answer)
    assert [*backend.answers(project.external_id, None)] == []


def test_a_deleted_task_is_missed(
    backend: LabelStudio, project: LabelProject, label_studio: Studio, task: Callable[..., LabelTask]
) -> None:
    made = backend.push(project.external_id, [task("a"), task("b")])
    label_studio.call("DELETE", f"tasks/{made['a']}")
    assert backend.find(project.external_id, ["a", "b"]) == {"b": [made["b"]]}


def test_one_refused_task_holds_up_no_other(
    backend: LabelStudio,
    project: LabelProject,
    task: Callable[..., LabelTask],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make = module.task_payload

    def without_image(one: LabelTask, url: str, asks: bool) -> dict[str, Any]:
        payload: dict[str, Any] = make(one, url, asks)
        if one.key == "bad":
            del payload["data"]["image"]
        return payload

    monkeypatch.setattr(module, "task_payload", without_image)
    keys = ["a", "b", "bad", "c", "d"]
    with pytest.raises(LabelStudioError, match=r"got 1 refused: \{'bad': .*HTTP 400.* the others were made"):
        backend.push(project.external_id, [task(key) for key in keys])
    assert sorted(backend.find(project.external_id, keys)) == ["a", "b", "c", "d"]


def test_a_wrong_token_is_refused_and_the_right_one_goes_on(
    backend: LabelStudio, project: LabelProject, label_studio: Studio, task: Callable[..., LabelTask]
) -> None:
    wrong = LabelStudio(label_studio.server.url, "f" * 40, document_root=label_studio.document_root)
    for attempt in (
        lambda: wrong.check(project.external_id, CLASSES),
        lambda: wrong.ensure_project("title", CLASSES, "", None),
        lambda: wrong.push(project.external_id, [task("k")]),
        lambda: wrong.find(project.external_id, ["k"]),
        lambda: [*wrong.answers(project.external_id, None)],
    ):
        with pytest.raises(TokenRefused, match=r"got HTTP 401: Invalid token.; next: copy the token"):
            attempt()
    assert backend.push(project.external_id, [task("k")]).keys() == {"k"}


def test_a_deleted_project_is_gone_and_never_made_again(
    backend: LabelStudio, label_studio: Studio, task: Callable[..., LabelTask]
) -> None:
    gone = backend.ensure_project("deleted soon", CLASSES, "", None).external_id
    label_studio.call("DELETE", f"projects/{gone}")
    for attempt in (
        lambda: backend.ensure_project("deleted soon", CLASSES, "", gone),
        lambda: backend.check(gone, CLASSES),
        lambda: backend.push(gone, [task("k")]),
        lambda: backend.find(gone, ["k"]),
        lambda: [*backend.answers(gone, None)],
        lambda: backend.remove(gone, [1]),
    ):
        with pytest.raises(
            ProjectGone, match=rf"expected project {gone} .* got HTTP 404: .*; next: restore it"
        ):
            attempt()
    assert not [p for p in label_studio.call("GET", "projects/")["results"] if p["title"] == "deleted soon"]


def test_a_renamed_class_stops_the_push_until_it_is_named_back(
    backend: LabelStudio, project: LabelProject, label_studio: Studio, task: Callable[..., LabelTask]
) -> None:
    path = f"projects/{project.external_id}"
    before = label_studio.call("GET", path)["label_config"]
    renamed = before.replace('value="helmet"', 'value="hard hat"')
    label_studio.call("PATCH", path, json={"label_config": renamed})
    for attempt in (
        lambda: backend.check(project.external_id, CLASSES),
        lambda: backend.ensure_project("t", CLASSES, "", project.external_id),
        lambda: backend.push(project.external_id, [task("k")]),
    ):
        with pytest.raises(
            LabelConfigMismatch, match=r"a config without 'helmet', and .*'hard hat'.* instead"
        ):
            attempt()
    assert backend.find(project.external_id, ["k"]) == {}
    label_studio.call("PATCH", path, json={"label_config": before})
    backend.check(project.external_id, CLASSES)
    assert backend.push(project.external_id, [task("k")]).keys() == {"k"}


@pytest.mark.parametrize("images", ["local_files", "upload"])
def test_the_very_image_is_served(
    images: Any, project: LabelProject, label_studio: Studio, task: Callable[..., LabelTask]
) -> None:
    server, root = label_studio.server, label_studio.document_root
    other = picture(root / "frames" / "ü #1 %.jpg", [HELMET])
    backend = LabelStudio(server.url, server.token, images, root)
    made = backend.push(project.external_id, [task("first"), replace(task("second"), image=other)])
    for key, path in {"first": task("first").image, "second": other}.items():
        url = label_studio.call("GET", f"tasks/{made[key]}")["data"]["image"]
        answer = httpx.get(
            server.url + url, headers={"Authorization": f"Token {server.token}"}, trust_env=False
        )
        assert answer.content == Path(path).read_bytes()
        assert httpx.get(server.url + url, trust_env=False).status_code in (302, 401, 403)


def test_synchronizing_the_storage_by_accident_makes_no_tasks(
    backend: LabelStudio, project: LabelProject, label_studio: Studio, task: Callable[..., LabelTask]
) -> None:
    backend.push(project.external_id, [task("k")])
    storages = label_studio.call("GET", "storages/localfiles", params={"project": project.external_id})
    assert [one["path"] for one in storages] == [str(label_studio.document_root / "frames")]
    label_studio.call("POST", f"storages/localfiles/{storages[0]['id']}/sync", json={})
    assert label_studio.call("GET", f"projects/{project.external_id}")["task_number"] == 1


@pytest.mark.filterwarnings("ignore:The `parse_obj` method:DeprecationWarning")
def test_a_personal_access_token_works_too(
    project: LabelProject, label_studio: Studio, task: Callable[..., LabelTask]
) -> None:
    token = personal_token(label_studio)
    backend = LabelStudio(label_studio.server.url, token, document_root=label_studio.document_root)
    assert backend.push(project.external_id, [task("k")]) == {
        key: ids[0] for key, ids in backend.find(project.external_id, ["k"]).items()
    }
    forged = LabelStudio(
        label_studio.server.url, f"{token[:-6]}AAAAAA", document_root=label_studio.document_root
    )
    with pytest.raises(TokenRefused, match=r"got HTTP 401"):
        forged.check(project.external_id, CLASSES)


def personal_token(studio: Studio) -> str:
    """A refresh token, made as the account page makes it: after a login with the form."""
    server = studio.server
    with httpx.Client(base_url=server.url, follow_redirects=True, trust_env=False) as browser:
        form = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', browser.get("/user/login/").text)
        assert form is not None
        login = {"email": server.username, "password": server.password, "csrfmiddlewaretoken": form[1]}
        browser.post("/user/login/", data=login, headers={"Referer": server.url})
        made = browser.post(
            "/api/token/", headers={"X-CSRFToken": browser.cookies["csrftoken"], "Referer": server.url}
        )
        return str(made.raise_for_status().json()["token"])
