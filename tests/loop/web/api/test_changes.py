"""What the API changes, it changes as pages and commands do: once, on record, and refused with a reason."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from db.engine import read
from db.tasks import task_counts
from loop.gaps.coverage_view import CoverageView
from loop.insights.bias import survey
from loop.rounds import rounds
from tests.fakes import FakeParts, quiet
from tests.loop.judged import run, started
from tests.loop.web.api.test_push import problem
from tests.loop.web.worker import FakeWorker, browsing, client


def post(asked: TestClient, path: str, given: dict[str, Any] | None = None, **headers: str) -> httpx.Response:
    return asked.post(f"/api{path}", json=given or {}, headers=headers)


def log(asked: TestClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = asked.get("/api/changes").json()["changes"]
    return found


def test_a_slice_is_named_retired_and_restored_on_record(parts: FakeParts, view: CoverageView) -> None:
    asked = client(parts.project)
    number = asked.get("/api/slices?every=true").json()["slices"][0]["id"]
    read_first = asked.get(f"/api/slices/{number}")
    tag = {"If-Match": read_first.headers["etag"]}
    named = asked.patch(f"/api/slices/{number}", json={"name": "dusk"}, headers=tag)
    assert named.json()["name"] == "dusk"
    problem(
        asked.patch(f"/api/slices/{number}", json={"name": "dawn"}, headers=tag), 412, "changed-meanwhile"
    )
    assert asked.patch(f"/api/slices/{number}", json={"retired": True}).json()["retired_at"]
    assert asked.patch(f"/api/slices/{number}", json={"retired": False}).json()["retired_at"] is None
    assert asked.get(f"/api/slices/{number}").json()["name"] == "dusk"
    assert [(row["what"], row["via"]) for row in log(asked)] == [
        ("slice restored", "api"),
        ("slice retired", "api"),
        ("slice named", "api"),
    ]
    assert (log(asked)[2]["before"], log(asked)[2]["after"]) == ({"name": ""}, {"name": "dusk"})
    problem(asked.patch("/api/slices/99999", json={"name": "x"}), 404, "not-known")
    problem(asked.patch(f"/api/slices/{number}", json={"nme": "x"}), 422, "invalid")


def test_tasks_are_dropped_pinned_hurried_and_that_is_undone(chosen: FakeParts) -> None:
    asked = client(chosen.project)
    first, second, *_ = [task["id"] for task in asked.get("/api/queue?tab=sending").json()["tasks"]]
    dropped = post(asked, "/queue/drop", {"tasks": [first], "reason": "a mirror"}).json()
    assert (dropped["done"], dropped["refused"]) == ([first], {})
    again = post(asked, "/queue/drop", {"tasks": [first]}).json()
    assert again["refused"] == {str(first): "it is dropped"}
    assert post(asked, "/queue/undo", {"changes": dropped["changes"]}).json()["done"] == [first]
    assert post(asked, "/queue/pin", {"tasks": [second]}).json()["done"] == [second]
    assert asked.get("/api/queue?tab=pinned").json()["tasks"][0]["id"] == second
    assert post(asked, "/queue/unpin", {"tasks": [second]}).json()["done"] == [second]
    assert post(asked, "/queue/hurry", {"tasks": [second]}).json()["done"] == [second]
    assert [row["what"] for row in log(asked)] == [
        "task hurried",
        "task unpinned",
        "task pinned",
        "task dropped, taken back",
        "task dropped",
    ]
    assert log(asked)[4]["after"]["reason"] == "a mirror"
    problem(post(asked, "/queue/drop", {"tasks": []}), 422, "invalid")
    with read(chosen.project.engine) as session:
        assert task_counts(session)["cancelled"] == 0


def test_a_round_is_started_once_and_cancelled_with_its_reason(labeled: FakeParts) -> None:
    asked = client(labeled.project)
    key = {"Idempotency-Key": "one"}
    begun = post(asked, "/rounds", {"settings": {"epochs": 2}}, **key)
    assert (begun.status_code, begun.json()["words"]) == (201, "freezing its dataset")
    assert post(asked, "/rounds", {"settings": {"epochs": 2}}, **key).json() == begun.json()
    problem(post(asked, "/rounds"), 409, "not-now")
    problem(post(asked, "/rounds", {"settings": {"epoch": 2}}), 422, "invalid")
    number = begun.json()["id"]
    told = asked.get(f"/api/rounds/{number}").json()
    assert told["settings"]["epochs"] == 2
    post(asked, f"/rounds/{number}/cancel", {"reason": "wrong data"})
    assert [(row["what"], row["subject"]) for row in log(asked)] == [
        ("round cancelled", f"round {number}"),
        ("round started", f"round {number}"),
    ]
    assert log(asked)[0]["after"]["reason"] == "wrong data"


def test_a_candidate_is_approved_with_a_reason_and_rolled_back(labeled: FakeParts) -> None:
    row = run(started(labeled, approval="manual"))
    asked = client(labeled.project)
    told = asked.get(f"/api/rounds/{row.id}")
    assert told.json()["round"]["words"] == "waits for a person", told.json()["verdict"]["reasons"]
    problem(post(asked, f"/rounds/{row.id}/approve"), 422, "invalid")
    stale = {"If-Match": '"0000"'}
    problem(post(asked, f"/rounds/{row.id}/approve", {"reason": "better"}, **stale), 412, "changed-meanwhile")
    tag = {"If-Match": told.headers["etag"]}
    before = asked.get("/api/models").json()
    approved = post(asked, f"/rounds/{row.id}/approve", {"reason": "better by night"}, **tag)
    assert approved.json()["round"]["status"] == "promoted", approved.text
    now = asked.get("/api/models").json()
    assert (now["deployed"], now["back"]) == (row.candidate_id, before["deployed"])
    problem(post(asked, f"/rounds/{row.id}/reject", {"reason": "late"}), 409, "not-now")
    problem(post(asked, "/models/roll-back", {"reason": "x", "expected": before["deployed"]}), 409, "not-now")
    back = post(asked, "/models/roll-back", {"reason": "slow", "expected": row.candidate_id}).json()
    assert back["deployed"] == before["deployed"]
    forth = post(asked, f"/models/{row.candidate_id}/promote", {"reason": "after all"}).json()
    assert forth["deployed"] == row.candidate_id
    assert [line["what"] for line in log(asked)][:3] == [
        "model promoted",
        "model rolled back",
        "candidate approved",
    ]
    problem(post(asked, "/models/999/promote", {"reason": "x"}), 404, "not-known")


def test_a_candidate_is_rejected_with_a_reason(labeled: FakeParts) -> None:
    row = run(started(labeled, approval="manual"))
    asked = client(labeled.project)
    told = post(asked, f"/rounds/{row.id}/reject", {"reason": "misses hats"}).json()
    assert (told["round"]["status"], told["decisions"][0]["reason"]) == ("rejected", "misses hats")
    assert rounds.current(labeled.project) is None


def test_jobs_are_run_paused_and_resumed(analyzed: FakeParts) -> None:
    worker = FakeWorker()
    asked = browsing(analyzed, worker)
    assert post(asked, "/jobs/ingest/pause").json()["jobs"]["ingest"]["paused_at"]
    assert post(asked, "/jobs/ingest/resume").json()["jobs"]["ingest"]["paused_at"] is None
    assert post(asked, "/jobs/push/run").status_code == 200
    told = [(row["what"], row["before"], row["after"]) for row in log(asked)]
    assert told[1:] == [
        ("job resumed", {"paused": True}, {"paused": False}),
        ("job paused", {"paused": False}, {"paused": True}),
    ]
    assert worker.asked == [("pause", "ingest"), ("resume", "ingest"), ("run_now", "push")]
    assert [row["what"] for row in log(asked)] == ["job started", "job resumed", "job paused"]
    problem(post(asked, "/jobs/nothing/run"), 422, "invalid")


def test_a_batch_is_chosen_from_an_address(analyzed: FakeParts) -> None:
    asked = client(analyzed.project)
    camera = asked.get("/api/frames/spread?origin=production&by=camera").json()["bars"][0]["name"]
    given = {"address": f"camera={camera}", "budget": 3}
    answer = post(asked, "/selections", given)
    assert (answer.status_code, answer.json()["outcome"]) == (202, "done"), answer.text
    assert asked.get("/api/jobs").json()["work"][0]["id"] == answer.json()["id"]
    tasks = asked.get("/api/queue?tab=sending").json()["tasks"]
    assert tasks
    assert {task["camera"] for task in tasks if task["purpose"] == "train"} == {camera}
    problem(post(asked, "/selections", {"address": "camera=nowhere"}), 422, "invalid")
    assert log(asked)[0]["what"] == "batch chosen within a set"


def test_a_collection_is_made_changed_and_retired(analyzed: FakeParts) -> None:
    asked = client(analyzed.project)
    first, second, third = sorted(asked.get("/api/frames/ids?origin=production&limit=3").json()["ids"])
    made = post(asked, "/collections", {"name": "mirrors", "frames": [first, second]})
    assert (made.status_code, made.json()["outcome"]) == (202, "done"), made.text
    number = int(made.json()["detail"].removeprefix("collection "))
    assert made.headers["location"] == f"/api/work/{made.json()['id']}"
    assert asked.get(made.headers["location"]).json() == made.json()
    problem(asked.get("/api/work/999"), 404, "not-known")
    told = asked.get(f"/api/collections/{number}").json()
    assert (told["name"], told["how"], told["examples"]) == ("mirrors", "examples", [first, second])
    post(asked, f"/collections/{number}/examples", {"add": [third], "exclude": [first]})
    changed = asked.patch(f"/api/collections/{number}", json={"name": "glass", "judged": False, "tab": True})
    assert (changed.json()["name"], changed.json()["judged"], changed.json()["tab"]) == ("glass", False, True)
    assert (changed.json()["examples"], changed.json()["excluded"]) == ([second, third], [first])
    assert asked.patch(f"/api/collections/{number}", json={"retired": True}).json()["retired_at"]
    assert number not in {one["id"] for one in asked.get("/api/collections").json()["collections"]}
    assert asked.patch(f"/api/collections/{number}", json={"retired": False}).json()["retired_at"] is None
    assert {row["via"] for row in log(asked)} == {"api"}
    assert log(asked)[-1]["what"] == "collection made"
    problem(post(asked, "/collections", {"name": "x", "frames": [first], "sentence": "rain"}), 422, "invalid")
    problem(asked.get("/api/collections/99999"), 404, "not-known")


def test_a_collection_is_made_by_address_and_by_sentence(analyzed: FakeParts) -> None:
    asked = client(analyzed.project)
    camera = asked.get("/api/frames/spread?origin=production&by=camera").json()["bars"][0]
    given = {"name": "one camera", "address": camera["address"]}
    number = int(post(asked, "/collections", given).json()["detail"].removeprefix("collection "))
    assert asked.get(f"/api/collections/{number}").json()["inside"] == camera["count"]
    dark = post(asked, "/collections", {"name": "darkness", "sentence": "a dark photo"}).json()
    number = int(dark["detail"].removeprefix("collection "))
    assert asked.get(f"/api/collections/{number}").json()["how"] == "sentence"


def test_a_mistake_is_reported_closed_and_opened_again(analyzed: FakeParts) -> None:
    asked = client(analyzed.project)
    (seq,) = asked.get("/api/frames/ids?origin=production&limit=1").json()["ids"]
    key = {"Idempotency-Key": "r1"}
    given = {"kind": "missed", "class": "helmet", "box": [1, 2, 30, 20], "note": "behind glass"}
    made = post(asked, f"/frames/{seq}/reports", given, **key)
    assert made.status_code == 201, made.text
    assert post(asked, f"/frames/{seq}/reports", given, **key).json() == made.json()
    (told,) = asked.get(f"/api/frames/{seq}").json()["reports"]
    assert (told["kind"], told["class"], told["note"]) == ("missed", "helmet", "behind glass")
    number = made.json()["id"]
    other = next(one["seq"] for one in asked.get("/api/frames").json()["frames"] if one["seq"] != seq)
    assert post(asked, f"/frames/{other}/reports/{number}/close").json() == {"changed": False}
    assert post(asked, f"/frames/{seq}/reports/{number}/close").json() == {"changed": True}
    assert post(asked, f"/frames/{seq}/reports/{number}/close").json() == {"changed": False}
    assert post(asked, f"/frames/{seq}/reports/{number}/reopen").json() == {"changed": True}
    assert [row["what"] for row in log(asked)] == ["report opened again", "report closed", "error reported"]
    closed = log(asked)[1]
    assert closed["before"] == {"report": number, "open": True}
    assert closed["after"] == {"report": number, "open": False}
    problem(post(asked, f"/frames/{seq}/reports", given | {"box": [5, 5, 1, 1]}), 422, "invalid")
    problem(post(asked, f"/frames/{seq}/reports", given | {"kind": "ugly"}), 422, "invalid")
    problem(post(asked, "/frames/99999/reports", given), 404, "not-known")


def test_a_tie_is_ignored_for_a_reason(labeled: FakeParts) -> None:
    asked = client(labeled.project)
    problem(post(asked, "/bias/decisions", {"tie": "none such", "choice": "wanted"}), 422, "invalid")
    tie = survey(labeled, quiet).ties[0].id
    problem(post(asked, "/bias/decisions", {"tie": tie, "choice": "ignored"}), 422, "invalid")
    given = {"tie": tie, "choice": "ignored", "reason": "there are none elsewhere"}
    assert post(asked, "/bias/decisions", given).status_code == 200
    assert (log(asked)[0]["what"], log(asked)[0]["via"]) == ("tie ignored", "api")
    assert log(asked)[0]["after"]["reason"] == "there are none elsewhere"


def test_frames_are_sent_to_be_labeled(analyzed: FakeParts) -> None:
    asked = client(analyzed.project)
    frames = asked.get("/api/frames?origin=production&role=pool&limit=2").json()["frames"]
    seqs = [frame["seq"] for frame in frames]
    sent = post(asked, "/desk", {"frames": seqs, "why": "new helmets"}).json()
    assert sent["frames"] == seqs
    again = post(asked, "/desk", {"frames": seqs}).json()
    assert (again["batch"], sum(again["left_out"].values())) == (None, 2)
    assert {task["frame"] for task in asked.get("/api/queue?tab=sending").json()["tasks"]} == set(seqs)


@pytest.mark.parametrize(
    "path", ["/rounds", "/queue/drop", "/jobs/ingest/pause", "/models/roll-back", "/selections", "/frames"]
)
def test_a_page_of_another_site_changes_nothing(analyzed: FakeParts, path: str) -> None:
    worker = FakeWorker()
    asked = browsing(analyzed, worker)
    answer = post(asked, path, {}, Origin="https://evil.example")
    problem(answer, 403, "forbidden")
    assert (worker.asked, log(asked)) == ([], [])


def test_pausing_what_is_paused_is_no_change(analyzed: FakeParts) -> None:
    asked = browsing(analyzed, FakeWorker())
    for _ in range(2):
        assert post(asked, "/jobs/ingest/pause").status_code == 200
    assert len(log(asked)) == 1


def test_no_number_is_too_large_to_be_refused(analyzed: FakeParts) -> None:
    asked = client(analyzed.project)
    problem(post(asked, "/rounds", {"settings": {"epochs": int("9" * 4000)}}), 422, "invalid")
    assert log(asked) == []


def test_a_body_that_is_no_json_is_refused_with_what_would_be(analyzed: FakeParts) -> None:
    asked = client(analyzed.project)
    kinds = ("text/plain", "application/x-www-form-urlencoded", None)
    for kind in kinds:
        answer = asked.post(
            "/api/queue/drop", content=b'{"tasks": [1]}', headers={"content-type": kind} if kind else {}
        )
        told = problem(answer, 415, "unsupported-media-type")
        assert (told["expected"], told["got"]) == ("application/json", kind or "none")
    bodies = ((b"{", 422), (b'{"reason": "\xff"}', 400), (b"[" * 90_000 + b"]" * 90_000, 400))
    for body, status in bodies:
        answer = asked.post("/api/queue/drop", content=body, headers={"content-type": "application/json"})
        told = problem(answer, status, "invalid" if status == 422 else "bad-request")
        assert told["expected"] == "JSON in UTF-8"
        assert told["next"] == "see /api/openapi.json"
