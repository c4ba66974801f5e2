"""The pages of frames: each set with its filters and actions, each frame with all that is known."""

from __future__ import annotations

import html
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil
from starlette.testclient import TestClient

from connectors.ports import Box, Purpose
from db.changes import changes
from db.engine import read, write
from db.frames import frames
from db.labels import set_label
from db.reports import reports
from db.states import Origin, Role, TaskStatus
from db.tasks import batches, tasks
from loop.analysis.producers import producers
from loop.base.errors import ConfigError
from loop.changes.audit import Who
from loop.changes.frames import MOST_SENT, report_error, send_to_desk
from loop.gaps import coverage_view
from loop.gaps.kept_map import kept_map
from loop.gaps.upkeep import keep_map
from loop.insights.frame_map import set_on_map
from loop.insights.frame_page import frame_view
from loop.insights.frame_query import FrameQuery
from loop.insights.frames import frame_sets
from loop.web.pages.frame import resized
from loop.web.pages.frames import PAGE, box_path, ending
from tests.fakes import FakeParts, quiet
from tests.loop.web.worker import FakeWorker, browsing, csrf_of, send

ANN = Who("ann", "page")


@pytest.fixture
def asked(chosen: FakeParts) -> TestClient:
    return browsing(chosen, FakeWorker(chosen))


def seqs_of(text: str) -> list[int]:
    return [int(seq) for seq in re.findall(r'name="frame" value="(\d+)"', text)]


def unasked(parts: FakeParts, role: Role = Role.POOL) -> list[int]:
    with read(parts.project.engine) as session:
        taken = {task.frame for task in tasks(session)}
        rows = frames(session, origin=Origin.PRODUCTION, role=role)
    return [row.seq for row in rows if row.seq not in taken]


def test_a_set_shows_its_frames_its_count_and_how_to_leave_it(asked: TestClient, chosen: FakeParts) -> None:
    sets = frame_sets(chosen)
    found = sets.find(FrameQuery.parse("task=queued&order=worth"))
    text = asked.get("/frames?task=queued&order=worth").text
    assert "<h1>12 frames" in text
    assert seqs_of(text) == sets.ids(found).tolist()
    assert 'href="/frames?order=worth" aria-label="Remove task queued"' in text
    assert "worth 1.000" in text
    with read(chosen.project.engine) as session:
        reason = next(task.reason for task in tasks(session) if task.rank == 0)
    assert html.escape(reason[:40]) in text


def test_pages_of_a_set_lead_on_and_back(asked: TestClient, chosen: FakeParts) -> None:
    every = frame_sets(chosen).ids(frame_sets(chosen).find(FrameQuery())).tolist()
    first = asked.get("/frames").text
    assert seqs_of(first) == every[:PAGE]
    older = html.unescape(re.search(r'href="([^"]+)" rel="next"', first)[1])  # type: ignore[index]
    second = asked.get(older).text
    assert seqs_of(second) == every[PAGE : 2 * PAGE]
    newer = html.unescape(re.search(r'href="([^"]+)" rel="prev"', second)[1])  # type: ignore[index]
    assert seqs_of(asked.get(newer).text) == every[:PAGE]


@pytest.mark.parametrize("by", ["camera", "site", "day", "class", "slice", "task", "origin", "error"])
def test_bars_lead_to_sets_of_their_size(asked: TestClient, chosen: FakeParts, by: str) -> None:
    coverage_view.build(chosen, quiet)
    text = asked.get(f"/frames?spread={by}&origin=production").text
    rows = re.findall(r'<td class="num"><a href="([^"]+)">([\d,]+)</a></td>', text)
    assert rows
    for url, count in rows[:4]:
        assert f"<h1>{count} frame" in asked.get(html.unescape(url)).text


def test_the_form_of_filters_leads_to_a_short_address(asked: TestClient) -> None:
    text = asked.get("/frames?slice=1&slice=2&from=2026-03-01").text
    form = re.search(r'<form method="get" action="/frames">.*?</form>', text, re.DOTALL)
    assert form is not None
    hidden = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form[0])
    assert hidden == [("slice", "1"), ("slice", "2")]
    assert 'type="date" name="from" value="2026-03-01"' in form[0]
    answer = asked.get("/frames?camera=&slice=1&q=&spread=day&order=newest")
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        "/frames?slice=1&order=newest&spread=day",
    )


def test_what_is_no_set_is_refused_in_words(asked: TestClient) -> None:
    assert "expected keys among camera" in html.unescape(asked.get("/frames?kamera=1").text)
    assert asked.get("/frames?kamera=1").status_code == 400
    assert asked.get("/frames?slice=9999").status_code == 404
    assert asked.get("/frames?q=xyzzy").status_code == 400
    assert asked.get("/frames?after=x").status_code == 400
    assert asked.get("/frames?spread=moon").status_code == 400
    for seq in ("9999", "9" * 30):
        assert asked.get(f"/frames/{seq}").status_code == 404
    assert asked.get("/frames?camera=nowhere").text.count("No frame meets this") == 1


def test_a_chip_of_what_others_stand_beside_can_be_removed(asked: TestClient) -> None:
    text = asked.get("/frames?slice=1&order=clearest").text
    assert 'href="/frames" aria-label="Remove slice' in text
    text = asked.get("/frames?dataset=1&split=val").text
    assert 'href="/frames" aria-label="Remove dataset 1"' in text


def test_numbers_of_a_set_are_a_file(asked: TestClient, chosen: FakeParts) -> None:
    answer = asked.get("/frames/ids?origin=production")
    expected = frame_sets(chosen).ids(frame_sets(chosen).find(FrameQuery.parse("origin=production")))
    assert [int(line) for line in answer.text.split()] == expected.tolist()
    assert answer.headers["content-disposition"] == 'attachment; filename="frame-numbers.txt"'
    assert asked.get("/frames/ids?camera=nowhere").text == ""


def test_frames_that_are_picked_go_to_the_labelers_and_back(asked: TestClient, chosen: FakeParts) -> None:
    pool, judging = unasked(chosen)[:3], unasked(chosen, Role.EVALUATION)[:1]
    answer = send(asked, "/frames/desk", "/frames", frame=[*pool, *judging], why="odd", address="role=pool")
    assert answer.headers["location"] == "/frames?role=pool"
    said = asked.get("/frames").text
    assert f"{len(pool)} frames sent to be labeled" in said
    assert "1 left out: they judge models, and chance alone chooses those" in said
    with read(chosen.project.engine) as session:
        batch = batches(session)[-1]
        sent = tasks(session, batch=batch.id)
        (change, *_) = changes(session, 5)
    assert [task.frame for task in sent] == pool
    assert {task.status for task in sent} == {TaskStatus.PENDING}
    assert all(task.reason.endswith(": odd") and task.component == "hand" for task in sent)
    assert (change.what, change.subject, change.via) == (
        "frames sent to be labeled",
        f"batch {batch.id}",
        "page",
    )
    assert set(pool) <= set(seqs_of(asked.get("/frames?task=queued").text))
    undone = send(asked, "/frames/desk/undo", "/frames", batch=batch.id, address="")
    assert undone.status_code == 303
    with read(chosen.project.engine) as session:
        assert {task.status for task in tasks(session, batch=batch.id)} == {TaskStatus.CANCELLED}
    again = send_to_desk(chosen.project, ANN, pool)
    assert again.frames == pool


def test_nothing_is_sent_twice_or_without_end(chosen: FakeParts) -> None:
    pool = unasked(chosen)[:2]
    with read(chosen.project.engine) as session:
        asked_before = tasks(session)[0].frame
        imported = frames(session, origin=Origin.IMPORTED, labeled=True)[0].seq
    sent = send_to_desk(chosen.project, ANN, [pool[0], pool[0], asked_before, imported, 99999])
    assert sent.frames == pool[:1]
    assert sent.left_out == {
        "labeled, queued, answered or skipped before": 2,
        "there is no such frame": 1,
    }
    nothing = send_to_desk(chosen.project, ANN, [asked_before])
    assert (nothing.batch, nothing.frames) == (None, [])
    for wrong in ([], range(MOST_SENT + 1)):
        with pytest.raises(ConfigError, match="expected 1 to 500 frames"):
            send_to_desk(chosen.project, ANN, list(wrong))


def test_a_batch_is_chosen_from_the_set_in_the_background(chosen: FakeParts) -> None:
    worker = FakeWorker(chosen)
    asked = browsing(chosen, worker)
    camera = frame_sets(chosen).choices().cameras[0]
    answer = send(asked, "/frames/select", "/frames", address=f"camera={camera}", budget="2")
    assert answer.headers["location"] == f"/frames?camera={camera}"
    assert [one.title for one in worker.works] == [f"choose from camera={camera}"]
    with read(chosen.project.engine) as session:
        batch = batches(session)[-1]
        cameras = {
            row.camera
            for row in frames(session, seqs=[task.frame for task in tasks(session, batch=batch.id)])
        }
        (change, *_) = changes(session, 1)
    assert cameras == {camera}
    assert change.after["within"] == f"camera={camera}"
    assert send(asked, "/frames/select", "/frames", address="", budget="many").status_code == 400


def test_what_is_looked_at_becomes_a_collection(asked: TestClient, chosen: FakeParts) -> None:
    coverage_view.build(chosen, quiet)
    camera = frame_sets(chosen).choices().cameras[0]
    made = send(asked, "/frames/collect", "/frames", address=f"camera={camera}", name="that camera")
    assert re.fullmatch(r"/collections/\d+", made.headers["location"])
    number = int(made.headers["location"].rpartition("/")[2])
    own = frame_sets(chosen).find(FrameQuery.parse(f"camera={camera}&origin=production")).count
    assert frame_sets(chosen).find(FrameQuery.parse(f"slice={number}")).count == own
    some = unasked(chosen)[:2]
    picked = send(asked, "/frames/collect", "/frames", address="", name="those two", frame=some)
    number = int(picked.headers["location"].rpartition("/")[2])
    assert set(some) <= set(
        frame_sets(chosen).ids(frame_sets(chosen).find(FrameQuery().but(slice=number))).tolist()
    )
    assert send(asked, "/frames/collect", "/frames", address="", name="").status_code == 400


def test_a_set_is_drawn_on_the_map(asked: TestClient, chosen: FakeParts) -> None:
    assert "On the map" not in asked.get("/frames").text
    keep_map(chosen, quiet)
    sets = frame_sets(chosen)
    found = sets.find(FrameQuery.parse("task=queued"))
    drawn = set_on_map(chosen.project, found)
    assert drawn is not None
    assert drawn.placed == found.count
    points = [tuple(map(int, point)) for point in re.findall(r"M(\d+) (\d+)h0", drawn.own)]
    embedder = producers(chosen).embedder
    kept = kept_map(chosen.project, embedder)
    assert kept is not None
    rows, known = kept.rows(sets.ids(found))
    assert known.all()
    assert set(points) == {tuple(np.rint(300 * place).astype(int).tolist()) for place in kept.plane[rows]}
    assert "12 frames of this set on the map" in asked.get("/frames?task=queued").text


def test_a_search_before_the_first_analysis_says_what_to_do(parts: FakeParts) -> None:
    answer = browsing(parts, FakeWorker(parts)).get("/frames?near=1")
    assert answer.status_code == 409
    assert "expected frames that the embedder has seen, found none; run `fieldloop analyze`" in html.unescape(
        answer.text
    )


def test_a_picture_leads_to_the_frames_like_it(asked: TestClient, chosen: FakeParts) -> None:
    seq = unasked(chosen)[0]
    with read(chosen.project.engine) as session:
        data = (chosen.project.store / frames(session, seqs=[seq])[0].path).read_bytes()
    token = csrf_of(asked, "/frames")
    answer = asked.post("/frames/like", data={"csrf": token}, files={"picture": ("odd.jpg", data)})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/frames?near={seq}")
    for wrong in ({"picture": ("odd.jpg", b"no image")}, {"other": ("odd.jpg", data)}):
        assert asked.post("/frames/like", data={"csrf": token}, files=wrong).status_code == 400
    large = b"x" * (chosen.project.settings.frames.max_bytes + 20_000)
    assert (
        asked.post("/frames/like", data={"csrf": token}, files={"picture": ("a", large)}).status_code == 413
    )


def test_a_frame_shows_what_is_known_of_it(asked: TestClient, chosen: FakeParts) -> None:
    coverage_view.build(chosen, quiet)
    sets = frame_sets(chosen)
    with read(chosen.project.engine) as session:
        task = tasks(session)[0]
    view = frame_view(sets, task.frame, FrameQuery.parse("task=queued&order=worth"))
    text = html.unescape(asked.get(f"/frames/{task.frame}?task=queued&order=worth").text)
    assert f"<h1>{view.frame.source_key}</h1>" in text
    assert (
        f"chosen{' by chance, to judge models' if task.purpose == Purpose.EVALUATION else ''} in batch"
        in text
    )
    assert task.reason in text
    assert view.slices
    for one in view.slices:
        assert f'<a href="/frames?slice={one.id}">{one.name}</a>' in text
        assert one.origin in text
    assert view.after is not None
    assert f'rel="next" href="/frames/{view.after}?task=queued&order=worth"' in text
    assert len(view.production) == len(view.training) == 6
    assert task.frame not in [tile.seq for tile in view.production]
    values = [tile.value or 0 for tile in view.production]
    assert values == sorted(values, reverse=True)
    assert "whether the models are right is not known" in text


def test_models_are_right_or_wrong_by_the_label(asked: TestClient, chosen: FakeParts) -> None:
    seq = unasked(chosen)[0]
    seen = frame_view(frame_sets(chosen), seq).models[0].boxes
    assert seen
    with write(chosen.project.engine) as session:
        set_label(session, seq, [*seen, Box("helmet", (1, 1, 6, 6))], Purpose.TRAIN, "annotation")
    view = frame_view(frame_sets(chosen), seq)
    assert view.models[0].verdict == "1 object missed"
    text = asked.get(f"/frames/{seq}?show=truth").text
    assert re.search(r'id="show-truth" name="show" value="truth" checked', text)
    assert re.search(r'id="show-deployed" name="show" value="deployed">', text)
    assert "deployed model 1: 1 box, 1 object missed" in text
    with write(chosen.project.engine) as session:
        set_label(session, seq, seen, Purpose.TRAIN, "annotation")
    assert frame_view(frame_sets(chosen), seq).models[0].verdict == "right"


def test_errors_are_reported_closed_and_opened_again(asked: TestClient, chosen: FakeParts) -> None:
    seq = unasked(chosen)[0]
    fields = {
        "kind": "missed",
        "class": "helmet",
        "box": "1, 2, 9, 8",
        "note": "<b>at the door</b>",
        "model": "1",
    }
    answer = send(asked, f"/frames/{seq}/report", f"/frames/{seq}", address="role=pool", **fields)
    assert answer.headers["location"] == f"/frames/{seq}?role=pool"
    with read(chosen.project.engine) as session:
        (row,) = reports(session, frame=seq)
    assert (row.kind, row.class_name, row.box, row.note, row.model_id) == (
        "missed",
        "helmet",
        (1, 2, 9, 8),
        "<b>at the door</b>",
        1,
    )
    text = asked.get(f"/frames/{seq}").text
    assert "&lt;b&gt;at the door" in text
    assert "error reported by" in text
    send(asked, f"/frames/{seq}/report/close", f"/frames/{seq}", report=row.id)
    with read(chosen.project.engine) as session:
        assert reports(session, only_open=True) == []
    send(asked, f"/frames/{seq}/report/close", f"/frames/{seq}", report=row.id, again="yes")
    with read(chosen.project.engine) as session:
        assert len(reports(session, only_open=True)) == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": "odd"}, "kind: expected one of missed"),
        ({"kind": "missed", "class_name": "cat"}, "class: expected one of person, helmet"),
        ({"kind": "missed", "box": [1, 2, 3]}, "expected four numbers"),
        ({"kind": "missed", "box": [1, 2, float("nan"), 4]}, "expected four numbers"),
        ({"kind": "missed", "box": [5, 5, 900, 10]}, "expected corners within 32 x 24 pixels"),
        ({"kind": "other"}, "expected a note"),
        ({"kind": "missed", "text": "x" * 2001}, "at most 2000 characters"),
    ],
)
def test_what_is_no_report_is_refused_and_kept_nowhere(chosen: FakeParts, fields: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        report_error(chosen.project, ANN, unasked(chosen)[0], **fields)
    with read(chosen.project.engine) as session:
        assert reports(session) == []


def test_the_picture_is_bounded_and_may_be_kept(asked: TestClient, chosen: FakeParts) -> None:
    seq = unasked(chosen)[0]
    answer = asked.get(f"/frames/{seq}/picture")
    assert answer.headers["content-type"] == "image/webp"
    assert "immutable" in answer.headers["cache-control"]
    assert Pil.open(io.BytesIO(answer.content)).size == (32, 24)
    again = asked.get(f"/frames/{seq}/picture", headers={"if-none-match": answer.headers["etag"]})
    assert again.status_code == 304
    with read(chosen.project.engine) as session:
        row = frames(session, seqs=[seq])[0]
    (chosen.project.store / row.path).unlink()
    assert asked.get(f"/frames/{seq}/picture").status_code == 404


def test_large_pictures_are_made_smaller() -> None:
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8).repeat(40, 0).repeat(40, 1)
    Pil.fromarray(pixels).save(file, "JPEG")
    assert Pil.open(io.BytesIO(resized(file.getvalue()))).size == (1600, 1067)
    assert Pil.open(io.BytesIO(resized(file.getvalue(), 200))).size == (200, 133)


def test_boxes_are_one_path_and_names_keep_their_end() -> None:
    assert box_path([Box("a", (1, 2, 4, 8)), Box("b", (0, 0, 2, 2))]) == "M1 2h3v6h-3zM0 0h2v2h-2z"
    assert ending("x" * 80 + "/a.jpg").endswith("x/a.jpg")
    assert len(ending("x" * 80)) == 60
    assert ending(str(Path("gate") / "1.jpg")) == "gate/1.jpg"


def test_what_an_address_says_is_text(asked: TestClient) -> None:
    hostile = "<script>alert(1)</script>\" onload='x"
    text = asked.get("/frames", params={"camera": hostile, "class": hostile}).text
    assert "<script>alert" not in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 2
    assert '" onload=' not in text
    wrong = asked.get("/frames", params={hostile: "1"})
    assert wrong.status_code == 400
    assert "<script>alert" not in wrong.text


def test_choosing_from_nothing_is_refused_before_it_begins(analyzed: FakeParts) -> None:
    worker = FakeWorker()
    asked = browsing(analyzed, worker)
    for address, budget, said in (
        ("camera=nosuch", "5", "expected frames to choose from, found none"),
        ("", "0", "budget: expected a whole number from 1 to 100000"),
        ("", "1000000000", "budget: expected a whole number from 1 to 100000"),
    ):
        answer = send(asked, "/frames/select", address=address, budget=budget)
        assert answer.status_code == 400
        assert said in answer.text
    assert worker.asked == []
