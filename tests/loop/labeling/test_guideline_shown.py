"""The guideline before labelers: shown by a push, and kept with every answer."""

from __future__ import annotations

from db.engine import read
from db.guidelines import guidelines
from db.labels import answers
from loop.insights.guideline import guideline_view
from loop.insights.labels import findings
from loop.labeling.push import anything_to_push
from loop.project.guideline import PLACE, template
from tests.fakes import CLASSES, FakeParts
from tests.loop.desk import HAT, a_key, pull, push, row
from tests.loop.web.test_hostile_names import HTML_BYTES
from tests.loop.web.worker import FakeWorker, browsing


def settle_shadows(parts: FakeParts, text: str) -> None:
    filled = template(CLASSES).replace("## Shadows\n", f"## Shadows\n\n{text}\n")
    (parts.project.root / PLACE).write_text(filled, encoding="utf-8")


def answered(parts: FakeParts) -> int | None:
    """The guideline of a new answer."""
    key = a_key(parts)
    parts.server.answer(key, [HAT])
    pull(parts)
    with read(parts.project.engine) as session:
        return answers(session, [row(parts, key).id])[-1].guideline


def test_a_changed_guideline_is_shown_by_the_next_push_and_kept_with_answers(pushed: FakeParts) -> None:
    assert (pushed.project.root / PLACE).read_text(encoding="utf-8") == template(CLASSES)
    assert [*pushed.server.told.values()] == [""]
    assert not anything_to_push(pushed)
    settle_shadows(pushed, "No box for <b>shadows</b>.")
    before = answered(pushed)
    assert anything_to_push(pushed)
    assert "labelers are shown the guideline as it is now" in push(pushed).lines()
    (told,) = pushed.server.told.values()
    assert told.endswith("<p>No box for &lt;b&gt;shadows&lt;/b&gt;.</p>")
    assert "?" not in told, "notes to the team are not shown"
    after = answered(pushed)
    with read(pushed.project.engine) as session:
        assert [before, after] == [one.id for one in guidelines(session)]
    assert not push(pushed).guideline


def test_what_the_guideline_leaves_open_and_old_answers_are_found(pushed: FakeParts) -> None:
    answered(pushed)
    settle_shadows(pushed, "No.")
    said = [one.text for one in findings(pushed.project) if one.part == "guideline"]
    assert said[:3] == [
        "Classes without a definition in the guideline: person, helmet",
        "The guideline says nothing of occlusion, truncation, reflections, overlapping, small objects",
        "The guideline was changed and labelers do not see it yet",
    ]
    push(pushed)
    found = guideline_view(pushed.project)
    assert (found.waiting, found.outdated, [one.answers for one in found.versions]) == (False, 1, [0, 1])
    assert found.outdated_url == "/frames?label=outdated"


def test_a_guideline_that_cannot_be_read_hides_no_other_finding(pushed: FakeParts) -> None:
    others = [one for one in findings(pushed.project) if one.part != "guideline"]
    (pushed.project.root / PLACE).write_bytes(b"\xff\xfe\x00")
    found = findings(pushed.project)
    (unread,) = [one for one in found if one.part == "guideline"]
    assert "expected text in UTF-8" in unread.text
    assert [one for one in found if one.part != "guideline"] == others


def test_the_page_of_a_long_guideline_stays_light(pushed: FakeParts) -> None:
    settle_shadows(pushed, "No box. " * 15_000)
    page = browsing(pushed, FakeWorker(pushed)).get("/labels/guideline")
    assert len(page.content) <= HTML_BYTES
    assert "The guideline is too long to be shown here." in page.text
