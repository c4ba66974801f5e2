"""What labelers are told and asked in a real Label Studio, also in a project that people changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from connectors.errors import LabelConfigMismatch
from connectors.label_studio.backend import LabelStudio
from connectors.ports import Box
from tests.studio import Person, Studio, label_task, picture

pytestmark = [pytest.mark.studio, pytest.mark.slow]

CLASSES = ("person", "helmet")
PLACE = (40.0, 50.0, 120.0, 170.0)
OLD = """<View>
  <RectangleLabels name="label" toName="image" canRotate="false" showInline="true">
    <Label value="person" background="#010203" hotkey="p"/>
    <Label value="helmet" background="#f22424"/>
  </RectangleLabels>
  <Choices name="light" toName="image"><Choice value="dim"/></Choices>
  <Image name="image" value="$image"/>
</View>"""


@pytest.fixture
def project(label_studio: Studio) -> Iterator[dict[str, Any]]:
    """A project as it was before, which a person has changed."""
    made = {"title": "changed by people", "label_config": OLD, "show_collab_predictions": True}
    number = label_studio.call("POST", "projects", json=made)["id"]
    yield {"id": number}
    label_studio.call("DELETE", f"projects/{number}")


def desk(studio: Studio, **more: Any) -> LabelStudio:
    return LabelStudio(studio.server.url, studio.server.token, "local_files", studio.document_root, **more)


def test_a_project_that_people_changed_gets_question_tabs_and_guideline(
    label_studio: Studio, project: dict[str, Any]
) -> None:
    number, path = project["id"], f"projects/{project['id']}"
    label_studio.call("PATCH", path, json={"expert_instruction": "<b>Ours</b>"})
    backend = desk(label_studio)
    for told in ("<p>one</p>", "<p>two</p>"):
        backend.ensure_project("any", CLASSES, told, number)
    now = label_studio.call("GET", path)
    before, after = OLD.split("  <Choices")
    assert now["label_config"].startswith(before.rstrip())
    assert now["label_config"].endswith("  <Choices" + after)
    assert now["label_config"].count('name="seen"') == 1
    assert now["expert_instruction"] == ('<b>Ours</b>\n<section class="fieldloop">\n<p>two</p>\n</section>')
    assert now["show_instruction"]
    titles = [view["data"]["title"] for view in label_studio.call("GET", f"dm/views?project={number}")]
    wanted = ["To label, most valuable first", "Evaluation", "Consensus", "Suspects", "Inspection"]
    assert [title for title in titles if title in wanted] == wanted
    desk(label_studio, ask_occlusion=False).ensure_project("any", CLASSES, "", number)
    now = label_studio.call("GET", path)
    assert (now["label_config"], now["expert_instruction"]) == (OLD, "<b>Ours</b>")


def test_what_is_said_of_a_box_comes_back_with_it_under_the_names_of_labelers(
    label_studio: Studio, project: dict[str, Any]
) -> None:
    number = project["id"]
    renamed = OLD.replace('"person"', '"worker"')
    label_studio.call("PATCH", f"projects/{number}", json={"label_config": renamed})
    with pytest.raises(LabelConfigMismatch, match=r"set labels\.class_names: \{person: worker\}"):
        desk(label_studio).check(number, CLASSES)
    backend = desk(label_studio, names={"person": "worker"})
    backend.ensure_project("any", CLASSES, "", number)
    image = picture(label_studio.document_root / "frames" / "asked.jpg", [PLACE])
    boxes = [Box("person", PLACE, occluded=True), Box("helmet", (150, 20, 200, 60))]
    made = backend.push(number, [label_task("asked", image, boxes)])
    shown = label_studio.call("GET", f"tasks/{made['asked']}")["predictions"][0]["result"]
    assert [one["value"].get("rectanglelabels") for one in shown] == [["worker"], ["helmet"], None]
    Person(label_studio).accept(made["asked"])
    (answered,) = backend.answers(number, None)
    (answer,) = answered.answers
    assert answer.unknown_classes == ()
    said = [(box.class_name, box.occluded, box.truncated) for box in answer.boxes]
    assert said == [("person", True, False), ("helmet", False, False)]


def test_boxes_of_a_former_model_stay_to_be_seen(label_studio: Studio, project: dict[str, Any]) -> None:
    number = project["id"]
    drawn = [{"model_version": "v1", "result": []}]
    old = {"data": {"image": "/a.jpg", "fieldloop_key": "old"}, "predictions": drawn}
    label_studio.call("POST", f"projects/{number}/import?return_task_ids=true", json=[old])
    assert label_studio.call("GET", f"projects/{number}")["model_version"] == "v1"
    backend = desk(label_studio)
    backend.ensure_project("any", CLASSES, "", number)
    image = picture(label_studio.document_root / "frames" / "later.jpg")
    backend.push(number, [label_task("bare", image, model_version=""), label_task("later", image)])
    tasks = backend.find(number, ["old", "bare", "later"])
    assert label_studio.call("GET", f"projects/{number}")["model_version"] == "fieldloop"
    for (task,) in tasks.values():
        drawn = label_studio.call("GET", f"tasks/{task}")["predictions"]
        assert [one["model_version"] for one in drawn] == ["fieldloop"]
