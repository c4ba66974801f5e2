"""The page of ties, as a browser without scripts uses it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.testclient import TestClient

from benchmarks.bias.project import NoDetector, NoEmbedder, project_of
from benchmarks.scale.verbs import GivenParts, close
from db.changes import changes
from db.engine import read, write
from db.states import WorkKind
from db.work import end_work
from loop.base.errors import ConfigError
from loop.changes.asking import ask_for
from loop.changes.audit import Who
from loop.changes.bias import decide
from loop.gaps.bias import keep as keep_report
from loop.gaps.bias import kept
from loop.gaps.bias_report import REPORTS, Tie
from loop.gaps.counterfactual import Counterfactual, Followed, Rate, keep
from loop.insights.bias import bias_view, survey
from loop.web.pages.bias import TRYING
from tests.fakes import quiet
from tests.loop.web.worker import FakeWorker, browsing, send

ANN = Who("ann", "page")


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a planted tie that was looked at once."""
    folder = tmp_path_factory.mktemp("ties") / "project"
    project_of(folder, seed=2, share=0.3, blind=False)
    parts = GivenParts(folder, NoEmbedder(), NoDetector())
    survey(parts, quiet)
    close(parts)
    return folder


@pytest.fixture
def parts(looked: Path, tmp_path: Path) -> Iterator[GivenParts]:
    shutil.copytree(looked, tmp_path / "project")
    made = GivenParts(tmp_path / "project", NoEmbedder(), NoDetector())
    yield made
    close(made)


@pytest.fixture
def asked(parts: GivenParts) -> TestClient:
    return browsing(parts, FakeWorker())


def first(parts: GivenParts) -> Tie:
    found = kept(parts.project)
    assert found is not None
    return found[1].shown[0]


def test_a_finding_is_a_sentence_with_bars_and_frames_behind_its_numbers(
    asked: TestClient, parts: GivenParts
) -> None:
    answer = asked.get("/bias")
    assert answer.status_code == 200
    text, tie = answer.text, first(parts)
    assert len(answer.content) <= 60_000
    assert f"forklift is tied to {tie.kind} {tie.place}" in text
    assert "What to collect" in text
    assert "up to 30 % of the next batch look for it" in text
    assert text.count('class="bar"') > 4
    assert "style=" not in text
    view = bias_view(parts.project)
    assert view is not None
    (finding,) = [one for one in view.findings if one.tie.id == tie.id]
    place = finding.places[0]
    assert (place.name, place.labeled.showing, place.labeled.frames) == (tie.place, tie.showing, tie.frames)
    linked = parse_qs(urlsplit(place.labeled.url).query)
    assert linked == {
        tie.kind: [tie.place],
        "class": ["forklift"],
        "labeled": ["yes"],
        "role": ["pool"],
    }
    assert place.labeled.url.replace("&", "&amp;") in text
    for want in finding.collect:
        assert want.url.replace("&", "&amp;") in text


def test_numbers_lead_to_as_many_frames(asked: TestClient, parts: GivenParts) -> None:
    view = bias_view(parts.project)
    assert view is not None
    place = view.findings[0].places[0]
    for counted in (place.labeled, place.production):
        text = asked.get(counted.url).text
        assert re.search(rf"\b{counted.showing}\b", text), counted


def test_the_table_of_classes_by_places_is_chosen_by_address(asked: TestClient) -> None:
    text = asked.get("/bias?by=site|site&of=production").text
    heat = text[text.index('<table class="heat">') : text.index('<h2 id="recall">')]
    assert heat.count('<th scope="row">') == 2
    assert "/frames?site=A&amp;origin=production" in heat
    assert '<option value="site|site" selected>' in text
    assert asked.get("/bias?by=nothing").status_code == 200


def test_a_tie_is_ignored_with_a_reason_undone_and_collected(asked: TestClient, parts: GivenParts) -> None:
    tie = first(parts)
    fields = {"tie": tie.id, "choice": "ignored", "reason": "only A has a dock"}
    answer = send(asked, "/bias/decide", "/bias", **fields)
    assert answer.status_code == 303
    text = asked.get(answer.headers["location"]).text
    assert "Ignored: only A has a dock" in text
    assert first(parts).targeted is False
    undo = re.search(r'<form method="post" action="/bias/decide">(.*?)</form>', text, re.S)
    assert undo is not None
    given = dict(re.findall(r'name="(\w+)" value="([^"]*)"', undo[1]))
    assert (given["choice"], given["reason"]) == ("", "")
    assert send(asked, "/bias/decide", "/bias", tie=tie.id, choice="").status_code == 303
    assert first(parts).choice == ""
    send(asked, "/bias/decide", "/bias", tie=tie.id, choice="wanted")
    assert "to be loosened" in asked.get("/bias").text
    with read(parts.project.engine) as session:
        rows = changes(session, 10)
    assert [row.what for row in rows] == ["tie to be loosened", "tie left to itself", "tie ignored"]
    assert rows[2].after == {"choice": "ignored", "reason": "only A has a dock"}
    assert rows[2].subject == f"tie of forklift to {tie.kind} {tie.place}"


def test_what_cannot_be_decided_says_why(asked: TestClient, parts: GivenParts) -> None:
    tie = first(parts)
    for given, said in (
        ((tie.id, "ignored", ""), "expected why the tie may stay"),
        ((tie.id, "perhaps", ""), "expected wanted, ignored"),
        (("x|y", "wanted", ""), "expected one that was found"),
        ((tie.id, "ignored", "w" * 301), "at most 300"),
    ):
        with pytest.raises(ConfigError, match=said):
            decide(parts.project, ANN, *given)
    assert send(asked, "/bias/decide", "/bias", tie="x|y", choice="wanted").status_code >= 400
    assert first(parts) == tie


def test_it_is_looked_at_again_in_the_background(parts: GivenParts) -> None:
    worker = FakeWorker()
    asked = browsing(parts, worker)
    before = kept(parts.project)
    assert send(asked, "/bias/look", "/bias").status_code == 303
    assert worker.works[0].detail.endswith("tied to a place")
    after = kept(parts.project)
    assert before is not None
    assert after is not None
    assert after[0] > before[0]


def test_where_nothing_was_looked_at_the_page_says_what_to_do(site: TestClient, empty: object) -> None:
    text = site.get("/bias").text
    assert "No class is tied to a place." in text or "Nothing has been looked at yet." in text
    assert 'action="/bias/look"' in text


def test_what_was_tried_elsewhere_is_shown_with_intervals(parts: GivenParts) -> None:
    rate, few = Rate(30, 32, (0.8, 0.99)), Rate(2, 3, None)
    rows = (
        Followed("forklift", "", rate, rate, Rate(9, 32, (0.1, 0.5)), 0.66, (0.4, 0.9)),
        Followed("vest", "A", Rate(0, 0, None), few, few, 0.0, None),
    )
    keep(parts.project, Counterfactual("site", 105, rows, "1 object could not be read"))
    text = browsing(parts, FakeWorker()).get("/bias").text
    tried = text[text.index('id="tried"') :]
    assert "105 images by site" in tried
    assert "-66 points, between -90 and -40" in tried
    assert tried.count("bound to its place") == 1
    assert "vest of A" in tried
    assert "too few camera-days to tell" in tried
    assert "none was found before" in tried


def test_objects_are_tried_in_the_background_and_what_failed_is_said(parts: GivenParts) -> None:
    worker = FakeWorker()
    number = ask_for(parts.project, ANN, WorkKind.COUNTERFACTUAL, TRYING)
    with write(parts.project.engine) as session:
        end_work(session, number, "failed", "expected labeled objects")
    asked = browsing(parts, worker)
    assert "Trying failed: expected labeled objects" in asked.get("/bias").text
    worker.now[ask_for(parts.project, ANN, WorkKind.COUNTERFACTUAL, TRYING)] = "7/80 objects"
    text = asked.get("/bias").text
    assert "Objects are being tried: 7/80 objects." in text
    assert 'action="/bias/try"' not in text


def test_names_from_users_show_as_text(parts: GivenParts) -> None:
    found = kept(parts.project)
    assert found is not None
    hostile = "<script>alert(1)</script>\\\" onload='x'"
    renamed = REPORTS.dump_json(found[1]).decode().replace("forklift", hostile).replace('"A"', f'"{hostile}"')
    keep_report(parts.project, REPORTS.validate_json(renamed))
    text = browsing(parts, FakeWorker()).get("/bias").text
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "\" onload='x'" not in text
