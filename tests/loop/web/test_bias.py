"""The page of ties, as a browser without scripts uses it."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.testclient import TestClient

from benchmarks.scale.verbs import GivenParts
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
from loop.insights.bias import bias_view
from loop.web.pages.bias import TRYING
from tests.loop.web.worker import FakeWorker, browsing, send

ANN = Who("ann", "page")


@pytest.fixture
def asked(tied: GivenParts) -> TestClient:
    return browsing(tied, FakeWorker())


def first(tied: GivenParts) -> Tie:
    found = kept(tied.project)
    assert found is not None
    return found[1].shown[0]


def test_a_finding_is_a_sentence_with_bars_and_frames_behind_its_numbers(
    asked: TestClient, tied: GivenParts
) -> None:
    answer = asked.get("/bias")
    assert answer.status_code == 200
    text, tie = answer.text, first(tied)
    assert len(answer.content) <= 60_000
    assert f"forklift is tied to {tie.kind} {tie.place}" in text
    assert "What to collect" in text
    assert "up to 30 % of the next batch look for it" in text
    assert text.count('class="bar"') > 4
    assert "style=" not in text
    view = bias_view(tied.project)
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


def test_numbers_lead_to_as_many_frames(asked: TestClient, tied: GivenParts) -> None:
    view = bias_view(tied.project)
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


def test_a_tie_is_ignored_with_a_reason_undone_and_collected(asked: TestClient, tied: GivenParts) -> None:
    tie = first(tied)
    fields = {"tie": tie.id, "choice": "ignored", "reason": "only A has a dock"}
    answer = send(asked, "/bias/decide", "/bias", **fields)
    assert answer.status_code == 303
    text = asked.get(answer.headers["location"]).text
    assert "Ignored: only A has a dock" in text
    assert first(tied).targeted is False
    undo = re.search(r'<form method="post" action="/bias/decide">(.*?)</form>', text, re.S)
    assert undo is not None
    given = dict(re.findall(r'name="(\w+)" value="([^"]*)"', undo[1]))
    assert (given["choice"], given["reason"]) == ("", "")
    assert send(asked, "/bias/decide", "/bias", tie=tie.id, choice="").status_code == 303
    assert first(tied).choice == ""
    send(asked, "/bias/decide", "/bias", tie=tie.id, choice="wanted")
    assert "to be loosened" in asked.get("/bias").text
    with read(tied.project.engine) as session:
        rows = changes(session, 10)
    assert [row.what for row in rows] == ["tie to be loosened", "tie left to itself", "tie ignored"]
    assert rows[2].after == {"choice": "ignored", "reason": "only A has a dock"}
    assert rows[2].subject == f"tie of forklift to {tie.kind} {tie.place}"


def test_what_cannot_be_decided_says_why(asked: TestClient, tied: GivenParts) -> None:
    tie = first(tied)
    for given, said in (
        ((tie.id, "ignored", ""), "expected why the tie may stay"),
        ((tie.id, "perhaps", ""), "expected wanted, ignored"),
        (("x|y", "wanted", ""), "expected one that was found"),
        ((tie.id, "ignored", "w" * 301), "at most 300"),
    ):
        with pytest.raises(ConfigError, match=said):
            decide(tied.project, ANN, *given)
    assert send(asked, "/bias/decide", "/bias", tie="x|y", choice="wanted").status_code >= 400
    assert first(tied) == tie


def test_it_is_looked_at_again_in_the_background(tied: GivenParts) -> None:
    worker = FakeWorker()
    asked = browsing(tied, worker)
    before = kept(tied.project)
    assert send(asked, "/bias/look", "/bias").status_code == 303
    assert worker.works[0].detail.endswith("tied to a place")
    after = kept(tied.project)
    assert before is not None
    assert after is not None
    assert after[0] > before[0]


def test_where_nothing_was_looked_at_the_page_says_what_to_do(site: TestClient, empty: object) -> None:
    text = site.get("/bias").text
    assert "No class is tied to a place." in text or "Nothing has been looked at yet." in text
    assert 'action="/bias/look"' in text


def test_what_was_tried_elsewhere_is_shown_with_intervals(tied: GivenParts) -> None:
    rate, few = Rate(30, 32, (0.8, 0.99)), Rate(2, 3, None)
    rows = (
        Followed("forklift", "", rate, rate, Rate(9, 32, (0.1, 0.5)), 0.66, (0.4, 0.9)),
        Followed("vest", "A", Rate(0, 0, None), few, few, 0.0, None),
    )
    keep(tied.project, Counterfactual("site", 105, rows, "1 object could not be read"))
    text = browsing(tied, FakeWorker()).get("/bias").text
    tried = text[text.index('id="tried"') :]
    assert "105 images by site" in tried
    assert "-66 points, between -90 and -40" in tried
    assert tried.count("bound to its place") == 1
    assert "vest of A" in tried
    assert "too few camera-days to tell" in tried
    assert "none was found before" in tried


def test_objects_are_tried_in_the_background_and_what_failed_is_said(tied: GivenParts) -> None:
    worker = FakeWorker()
    number = ask_for(tied.project, ANN, WorkKind.COUNTERFACTUAL, TRYING)
    with write(tied.project.engine) as session:
        end_work(session, number, "failed", "expected labeled objects")
    asked = browsing(tied, worker)
    assert "Trying failed: expected labeled objects" in asked.get("/bias").text
    worker.now[ask_for(tied.project, ANN, WorkKind.COUNTERFACTUAL, TRYING)] = "7/80 objects"
    text = asked.get("/bias").text
    assert "Objects are being tried: 7/80 objects." in text
    assert 'action="/bias/try"' not in text


def test_names_from_users_show_as_text(tied: GivenParts) -> None:
    found = kept(tied.project)
    assert found is not None
    hostile = "<script>alert(1)</script>\\\" onload='x'"
    renamed = REPORTS.dump_json(found[1]).decode().replace("forklift", hostile).replace('"A"', f'"{hostile}"')
    keep_report(tied.project, REPORTS.validate_json(renamed))
    text = browsing(tied, FakeWorker()).get("/bias").text
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "\" onload='x'" not in text
