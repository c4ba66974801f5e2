"""The pages of collections: made, looked at, changed and changed back, with forms alone."""

from __future__ import annotations

import html
import re
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from db.engine import read
from db.slice_members import members
from loop.analysis.producers import producers
from loop.changes.audit import Who
from loop.changes.collections import make_by_rules
from loop.gaps import coverage_view
from loop.insights.collection_accuracy import keep_accuracy
from loop.insights.collections import all_collections, one_collection
from loop.settings.collections import Crowd
from loop.web.pages import collections as pages
from tests.fakes import FakeParts, quiet
from tests.loop.web.test_hostile_names import faults
from tests.loop.web.worker import FakeWorker, browsing, send

HERE = "/collections"
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def asked(analyzed: FakeParts) -> TestClient:
    coverage_view.build(analyzed, quiet)
    return browsing(analyzed, FakeWorker())


def made(asked: TestClient, **fields: str) -> int:
    answer = send(asked, HERE, HERE, **fields)
    assert answer.status_code == 303, html.unescape(answer.text)
    return int(answer.headers["location"].rpartition("/")[2])


def inside(parts: FakeParts, number: int) -> set[int]:
    with read(parts.project.engine) as session:
        return set(members(session, producers(parts).measure, number)[0].tolist())


def text(asked: TestClient, page: str, status: int = 200) -> str:
    answer = asked.get(page)
    assert answer.status_code == status
    assert len(answer.content) <= 60_000
    return html.unescape(re.sub(r"<[^>]+>", " ", answer.text))


def flash(asked: TestClient, page: str) -> tuple[str, str, dict[str, str]]:
    """What the page says once, and the form that takes it back."""
    found = re.search(r'<div class="flash"><span>(.*?)</span>(.*?)</div>', asked.get(page).text, re.DOTALL)
    assert found is not None
    undo = re.search(r'action="([^"]*)"', found[2])
    fields = dict(re.findall(r'<input type="hidden" name="(?!csrf)(\w+)" value="([^"]*)"', found[2]))
    return html.unescape(found[1]), undo[1] if undo else "", fields


def test_each_collection_has_a_card_that_leads_to_its_frames(asked: TestClient, analyzed: FakeParts) -> None:
    views = all_collections(analyzed.project)
    page = asked.get(HERE).text
    for view in views:
        assert f'<a href="/collections/{view.id}">{view.name}</a>' in page
        assert f'href="/frames?slice={view.id}&amp;origin=production"' in page
    night = next(view for view in views if view.name == "night")
    assert f">{night.inside}</a>" in page
    assert page.count("/thumbs/") >= 3
    assert "not known" in text(asked, HERE)


@pytest.mark.parametrize(
    ("fields", "how"),
    [
        ({"kind": "sentence", "sentence": "a photo at night"}, "sentence"),
        ({"kind": "frames", "address": "camera=cam0"}, "rules"),
        ({"kind": "crowd", "boxes": "1"}, "rules"),
        ({"kind": "overlap", "covered": "30"}, "rules"),
        ({"kind": "orientation", "spreads": "4"}, "rules"),
    ],
)
def test_one_is_made_with_a_form_and_undone(
    asked: TestClient, analyzed: FakeParts, fields: dict[str, str], how: str
) -> None:
    number = made(asked, name="mine", **fields)
    view = one_collection(analyzed.project, number)
    assert (view.name, view.how, view.judged) == ("mine", how, True)
    said, undo, _ = flash(asked, f"{HERE}/{number}")
    assert said.startswith("“mine” made: ")
    assert send(asked, undo, HERE).status_code == 303
    assert one_collection(analyzed.project, number).retired_at is not None
    _, again, _ = flash(asked, f"{HERE}/{number}")
    assert "retired" in text(asked, f"{HERE}?retired=yes")
    send(asked, again, HERE)
    assert one_collection(analyzed.project, number).retired_at is None


def test_examples_are_added_and_kept_out_and_back_again(asked: TestClient, analyzed: FakeParts) -> None:
    night = next(view.id for view in all_collections(analyzed.project) if view.name == "night")
    first, second, *_ = sorted(inside(analyzed, night))
    number, page = made(asked, name="mine", kind="examples", frames=f"{first}, {second}"), ""
    page = f"{HERE}/{number}"
    assert {first, second} <= inside(analyzed, number)
    send(asked, f"{page}/exclude", page, frame=[str(first)])
    assert first not in inside(analyzed, number)
    said, undo, fields = flash(asked, page)
    assert said == "1 frame kept out."
    send(asked, undo, page, **fields)
    view = one_collection(analyzed.project, number)
    assert (view.excluded, view.examples) == ((), (second,))
    send(asked, f"{page}/add", page, frames=str(first))
    assert one_collection(analyzed.project, number).examples == (first, second)


def test_names_switches_and_their_undo(asked: TestClient, analyzed: FakeParts) -> None:
    number = made(asked, name="mine", kind="crowd", boxes="1")
    page = f"{HERE}/{number}"
    for what, fields, is_changed in (
        ("name", {"name": "yours"}, lambda view: view.name == "yours"),
        ("judge", {"on": "no"}, lambda view: not view.judged),
        ("tab", {"on": "yes"}, lambda view: view.tab),
    ):
        assert send(asked, f"{page}/{what}", page, **fields).status_code == 303
        assert is_changed(one_collection(analyzed.project, number))
        _, undo, back = flash(asked, page)
        send(asked, undo, page, **back)
        assert not is_changed(one_collection(analyzed.project, number))


def test_what_cannot_be_is_said_and_what_was_given_stays(asked: TestClient, analyzed: FakeParts) -> None:
    before = [view.id for view in all_collections(analyzed.project, every=True)]
    for fields, said in (
        ({"name": "night", "kind": "crowd", "boxes": "3"}, "a name of its own"),
        ({"name": "x", "kind": "crowd", "boxes": "many"}, "a whole number, got 'many'"),
        ({"name": "x", "kind": "overlap", "covered": "900"}, "a number from 0.01 to 1"),
        ({"name": "x", "kind": "examples", "frames": "1 two"}, "numbers of frames, got 'two'"),
        ({"name": "x", "kind": "frames", "address": "kamera=1"}, "expected keys among"),
        ({"name": "x", "kind": "sentence", "sentence": "an xyzzy"}, "words that the embedder knows"),
        ({"name": "x", "kind": "magic"}, "a way of gathering"),
    ):
        answer = send(asked, HERE, HERE, **fields)
        assert answer.status_code == 400
        assert said in html.unescape(answer.text)
        for value in fields.values() if fields["kind"] != "magic" else ():
            assert f'value="{html.escape(value)}"' in answer.text
    assert [view.id for view in all_collections(analyzed.project, every=True)] == before
    answer = send(asked, f"{HERE}/{before[0]}/add", HERE)
    assert answer.status_code == 400
    assert "expected frames, got none" in html.unescape(answer.text)
    assert "the number of a collection" in text(asked, f"{HERE}/1", 404)
    assert send(asked, f"{HERE}/999999/retire", HERE).status_code == 404


def test_a_large_project_gathers_in_the_background(
    asked: TestClient, analyzed: FakeParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "is_small", lambda project: False)
    answer = send(asked, HERE, HERE, name="mine", kind="crowd", boxes="1")
    assert answer.headers["location"] == HERE
    assert "being gathered" in flash(asked, HERE)[0]
    assert [view.inside for view in all_collections(analyzed.project) if view.name == "mine"] == [36]


def test_hostile_names_are_text(asked: TestClient) -> None:
    number = made(asked, name=HOSTILE, kind="crowd", boxes="1")
    for page in (HERE, f"{HERE}/{number}"):
        assert HOSTILE not in asked.get(page).text
        assert html.escape(HOSTILE) in asked.get(page).text
        assert faults(asked.get(page).text) == []


def test_accuracy_and_growth_are_shown(labeled: FakeParts) -> None:
    coverage_view.build(labeled, quiet)
    asked = browsing(labeled, FakeWorker())
    number = made(asked, name="one camera", kind="frames", address="camera=cam0")
    assert "Not known: no model has seen" in text(asked, f"{HERE}/{number}")
    keep_accuracy(labeled, quiet)
    page = asked.get(f"{HERE}/{number}").text
    assert re.search(r"recall: \d+\.\d %", page)
    assert f"slice={number}&amp;role=evaluation&amp;labeled=yes" in page
    assert "<polyline points=" in page
    assert "By week" in page


def test_a_quota_of_the_settings_is_shown(analyzed: FakeParts) -> None:
    coverage_view.build(analyzed, quiet)
    settings = analyzed.project.settings
    quotas = settings.select.model_copy(update={"quotas": {"Night": 0.2}})
    object.__setattr__(analyzed.project, "settings", settings.model_copy(update={"select": quotas}))
    asked = browsing(analyzed, FakeWorker())
    assert "quota 20 %" in text(asked, HERE).replace("  ", " ")
    night = next(view.id for view in all_collections(analyzed.project) if view.name == "night")
    assert "20 % of each batch" in text(asked, f"{HERE}/{night}")
    crowds = next(view.id for view in all_collections(analyzed.project) if view.name == "crowds")
    assert "No quota" in text(asked, f"{HERE}/{crowds}")
    refused = send(asked, f"{HERE}/{night}/quota", HERE, quota="5")
    assert refused.status_code == 400
    assert "what fieldloop.yaml says holds" in html.unescape(refused.text)


def test_a_quota_is_set_cleared_and_dropped_with_its_collection(asked: TestClient) -> None:
    number = made(asked, name="dim", kind="crowd", boxes="3")
    page = f"{HERE}/{number}"

    def quota() -> float | None:
        found: float | None = asked.get(f"/api/collections/{number}").json()["quota"]
        return found

    def changed(what: str, **fields: str) -> tuple[str, str, dict[str, str]]:
        assert send(asked, f"{page}/{what}", HERE, **fields).status_code == 303
        return flash(asked, page)

    said, undo, fields = changed("quota", quota="20 %")
    assert (said, undo, fields) == (
        "20 % of each batch are of it from now on.",
        f"{page}/quota",
        {"quota": ""},
    )
    assert quota() == 0.2
    assert "20 % of each batch" in text(asked, page)
    said, undo, fields = changed("quota", quota="")
    assert quota() is None
    assert send(asked, undo, HERE, **fields).status_code == 303
    assert quota() == 0.2
    said, undo, fields = changed("retire")
    assert said == "“dim” retired, and its quota of 20 % of each batch dropped."
    assert quota() is None
    assert send(asked, undo, HERE, **fields).status_code == 303
    assert quota() == 0.2
    for wrong in ("half", "150 %", "-1", "2.5", "nan", "1e9"):
        assert send(asked, f"{page}/quota", HERE, quota=wrong).status_code == 400
    assert quota() == 0.2


def test_several_changes_by_the_api_happen_all_or_none(asked: TestClient, analyzed: FakeParts) -> None:
    number = made(asked, name="dim", kind="crowd", boxes="3")
    other = made(asked, name="other", kind="crowd", boxes="4")
    asked = browsing(analyzed, FakeWorker())
    address, before = f"/api/collections/{number}", asked.get(f"/api/collections/{number}").json()
    assert asked.patch(f"/api/collections/{other}", json={"quota": 0.7}).is_success
    for wrong in ({"quota": 0.5}, {"quota": 2.5}):
        answer = asked.patch(address, json={"name": "new", "judged": False, "tab": True} | wrong)
        assert answer.status_code == 422, answer.text
        assert asked.get(address).json() == before
    lines = [row["subject"] for row in asked.get("/api/changes").json()["changes"]]
    assert lines.count(f"collection {number}") == 1
    given = {"name": "new", "judged": False, "tab": True, "quota": 0.3}
    now = asked.patch(address, json=given).json()
    assert {key: now[key] for key in given} == given
    assert asked.patch(address, json={"retired": True}).json()["quota"] is None
    again = asked.patch(address, json={"retired": False, "quota": 4})
    assert (again.json()["retired_at"], again.json()["quota"]) == (None, 4)


def test_an_empty_project_says_what_to_do(parts: FakeParts) -> None:
    asked = browsing(parts, FakeWorker())
    assert "No collection is known yet" in text(asked, HERE)
    assert quote("collections") in asked.get(HERE).text


def test_a_page_says_what_is_hardly_found(asked: TestClient, analyzed: FakeParts) -> None:
    odd = next(view for view in all_collections(analyzed.project) if view.name == "odd orientation")
    assert odd.note in html.unescape(asked.get(f"{HERE}/{odd.id}").text)


def test_models_are_told_on_imported_frames_too(asked: TestClient, analyzed: FakeParts) -> None:
    """Nothing of production is labeled; eight objects tell recall, and no AP50 yet."""
    number = make_by_rules(analyzed, Who("ann", "page"), "any", [Crowd(1)])
    keep_accuracy(analyzed, quiet)
    page = asked.get(f"{HERE}/{number}").text
    row = page[page.index('data-of="recall"') : page.index('data-of="objects"')]
    assert "100%" in row
    assert "8 of them imported" in row
    assert "not known" in row[row.index('data-of="AP50"') : row.index('data-of="frames"')]
