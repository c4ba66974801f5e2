"""How far people agree: figures of a project in which two answered, what is wrong, and what to ask."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from connectors.ports import Box
from loop.cli import app
from loop.insights.agreement import agreement, lines
from loop.insights.frame_query import FrameQuery
from loop.insights.frames import frame_sets
from loop.insights.labels import findings
from loop.math.quality.disagreements import Differs, Topic, seen_objects
from tests.fakes import FakeParts
from tests.loop.desk import pull, rows
from tests.loop.seconded import HAT
from tests.loop.web.test_hostile_names import HTML_BYTES
from tests.loop.web.worker import FakeWorker, browsing


def test_figures_are_those_of_the_answers(answered: FakeParts) -> None:
    found = agreement(answered.project)
    told = found.all.figures
    assert (told.tasks, told.objects, told.missed, told.conflicts) == (12, 12, 3, 2)
    assert told.miss_rate.value == pytest.approx(3 / 21)
    assert told.conflict_rate.value == pytest.approx(2 / 9)
    assert told.alpha.value == pytest.approx((7 * 1 + 5 * 0) / 12)
    assert [row.name for row in found.of("people")] == ["ann@example.org and bob@example.org"]
    by_class = {row.name: row.figures for row in found.of("class")}
    assert (by_class["helmet"].tasks, by_class["person"].tasks) == (12, 2)
    assert by_class["person"].conflict_rate.value == 1.0
    assert [(tie.state) for tie in found.ties] == ["a third person is asked"] * 5


def test_where_nobody_is_asked_for_occlusion_nothing_is_known_of_it(answered: FakeParts) -> None:
    assert agreement(answered.project).all.figures.hidden_rate.value == 0.0
    chosen = answered.project.settings
    settings = chosen.model_copy(update={"labels": chosen.labels.model_copy(update={"ask_occlusion": False})})
    found = agreement(replace(answered.project, settings=settings))
    assert {row.figures.hidden_rate.value for row in (found.all, *found.rows)} == {None}
    assert "occlusion unknown" in lines(found)[0]


def test_what_is_disputed_is_asked_with_pictures(answered: FakeParts) -> None:
    found = {one.text: one for one in agreement(answered.project).questions}
    missed, conflict = found["When is a helmet to be drawn?"], found["Is this a helmet or a person?"]
    assert (missed.disputed, len(missed.pictures), conflict.disputed) == (3, 3, 2)
    assert missed.evidence.startswith("3 of 12 objects called helmet, on ")
    assert "Where does the box of a helmet end?" in found
    for picture in (*missed.pictures, *conflict.pictures):
        x, y, width, height = picture.crop
        assert 0 <= x <= 1 < 9 <= x + width <= picture.frame.width
        assert 0 <= y <= 2 < 10 <= y + height <= picture.frame.height
    assert [box for _, box in missed.pictures[0].answers] == [HAT, None]


def test_slices_have_their_own_figures_and_their_frames(answered: FakeParts) -> None:
    found = agreement(answered.project)
    sets = frame_sets(answered)
    assert found.of("slice")
    for row in (found.all, *found.of("slice")):
        assert sets.find(FrameQuery.parse(row.url.partition("?")[2])).count == row.figures.tasks
    contested = sets.find(FrameQuery.parse("label=contested"))
    assert contested.count == len(found.ties) == 5


def test_what_is_wrong_is_a_finding(answered: FakeParts) -> None:
    said = [one.text for one in findings(answered.project) if one.part == "agreement"]
    judging = sum(tie.judges for tie in agreement(answered.project).ties)
    judge = f", {judging} of which judge{'s' if judging == 1 else ''} models" if judging else ""
    assert said == [f"5 frames on which people contradict each other{judge}"]
    second = next(task for task in rows(answered) if task.slot == 2)
    answered.server.answer(second.key, [HAT], author="bob@example.org")
    pull(answered)
    said = [one.text for one in findings(answered.project) if one.part == "agreement"]
    assert "1 task for another person was answered by the same one" in said


def test_page_api_and_command_tell_the_same(answered: FakeParts) -> None:
    site = browsing(answered, FakeWorker(answered))
    page = site.get("/labels/agreement").text
    assert "Is this a helmet or a person?" in page
    assert page.count("nothing drawn") >= 3
    told = site.get("/api/labels/agreement").json()
    assert told["rows"][0]["figures"]["missed"] == 3
    assert told["rows"][0]["figures"]["alpha"]["value"] == pytest.approx(7 / 12)
    assert len(told["ties"]) == 5
    root = str(answered.project.root)
    said = CliRunner().invoke(app, ["labels", "agreement", "--project", root, "--json"])
    assert json.loads(said.output)["all"]["figures"]["conflicts"] == 2
    assert lines(agreement(answered.project))[0].startswith("all: K-alpha 0.58")


def test_without_second_answers_nothing_is_told(pushed: FakeParts) -> None:
    found = agreement(pushed.project)
    assert (found.all.figures.tasks, found.questions, found.ties) == (0, (), ())
    assert [one for one in findings(pushed.project) if one.part == "agreement"] == []
    assert (
        "No second person has answered" in browsing(pushed, FakeWorker(pushed)).get("/labels/agreement").text
    )


def test_topics_are_told_by_boxes() -> None:
    big, part = Box("person", (100, 100, 200, 200)), Box("person", (100, 100, 150, 200), occluded=True)
    seen = seen_objects([big, part], [big], 640, 480)
    assert [(one.differs, one.topics) for one in seen] == [
        (Differs.NOT, frozenset({Topic.OVERLAPPING})),
        (Differs.MISSED, frozenset({Topic.OVERLAPPING, Topic.OCCLUSION})),
    ]
    (edge,) = seen_objects(
        [Box("person", (0, 5, 20, 30))], [Box("person", (0, 5, 20, 32), truncated=True)], 640, 480
    )
    assert (edge.differs, edge.topics) == (Differs.HIDDEN, frozenset({Topic.SMALL, Topic.TRUNCATION}))


def test_the_page_stays_light_however_much_is_disputed(
    answered: FakeParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = agreement(answered.project)
    (question, tie) = found.questions[0], found.ties[0]
    pictures = (question.pictures * 4)[:4]
    names = ("class", "people", "slice")
    rows = [replace(found.all, what=what, name=f"{what} {at}") for what in names for at in range(80)]
    much = replace(
        found,
        rows=tuple(rows),
        questions=(replace(question, pictures=pictures),) * 12,
        ties=(tie,) * 500,
    )
    monkeypatch.setattr("loop.web.pages.labels_agreement.agreement", lambda project: much)
    page = browsing(answered, FakeWorker(answered)).get("/labels/agreement")
    assert len(page.content) <= HTML_BYTES
    assert page.text.count("70 more: ") == 3
    assert "3 more: " in page.text
    assert "480 more</a>" in page.text
