"""The pages of rounds and models, as a browser without scripts uses them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from starlette.testclient import TestClient

from db.changes import changes
from db.engine import read, write
from db.models import deployments
from db.rounds import advance
from db.states import RoundStatus, WorkKind
from db.work import end_work
from loop.changes.asking import ask_for
from loop.changes.audit import Who
from loop.insights.rounds import ProgressView
from loop.project.training_curve import Curve
from loop.rounds import rounds
from loop.web.pages.rounds import HEIGHT, LOOKING, WIDTH, by_epoch, chosen_of, drawn, time_left
from tests.fakes import FakeParts, FakeTrainer, weights
from tests.loop.judged import BASE, BETTER, in_production, run, sha_of, started
from tests.loop.web.worker import FakeWorker, browsing, csrf_of, well


def working() -> dict[str, Any]:
    found = well()
    return found | {"jobs": found["jobs"] | {"round": found["jobs"]["push"]}}


def at(parts: FakeParts) -> TestClient:
    return browsing(parts, FakeWorker(said=working))


def post(asked: TestClient, to: str, **fields: str) -> Any:
    return asked.post(to, data={"csrf": csrf_of(asked), **fields})


def followed(asked: TestClient, answer: Any) -> str:
    assert answer.status_code == 303, answer.text
    return str(asked.get(answer.headers["location"]).text)


def waiting(labeled: FakeParts) -> FakeParts:
    parts = started(labeled, approval="manual")
    assert run(parts).status is RoundStatus.AWAITING_APPROVAL
    return parts


def test_a_project_without_rounds_says_what_one_is(parts: FakeParts) -> None:
    text = at(parts).get("/rounds").text
    assert "No round yet." in text
    assert "brought by the team" in text
    assert "There is no former model to go back to." in text
    assert "style=" not in text


def test_the_former_address_leads_here(parts: FakeParts) -> None:
    answer = at(parts).get("/models")
    assert (answer.status_code, answer.headers["location"]) == (308, "/rounds")


def test_a_round_is_started_after_what_it_could_show_was_read(labeled: FakeParts) -> None:
    asked = at(labeled)
    assert "Not looked up yet." in asked.get("/rounds/start").text
    text = followed(asked, post(asked, "/rounds/start/look"))
    assert "all held-out frames: " in text
    assert "four rounds of five would show a rise" in text
    fields = {
        name: value
        for name, value in re.findall(r'<input name="(\w+)" value="([^"]*)"', text)
        if name not in ("csrf", "next")
    }
    assert fields["epochs"] == "3"
    fields |= {"optimizer": "SGD", "lr0": "0.02", "approval": "manual"}
    said = followed(asked, post(asked, "/rounds", **fields))
    assert "Round 1 is open." in said
    row = rounds.current(labeled.project)
    assert row is not None
    assert (row.settings["optimizer"], row.settings["lr0"], row.settings["train"]) == ("SGD", 0.02, {})
    with read(labeled.project.engine) as session:
        (line,) = changes(session, 5)
    assert line.after == {"optimizer": "SGD", "lr0": 0.02, "approval": "manual"}
    assert "One round at a time" in asked.get("/rounds/start").text
    assert post(asked, "/rounds").status_code == 409


def test_what_cannot_be_told_before_a_round_is_said(parts: FakeParts) -> None:
    parts.dead.add("detector")
    asked = at(parts)
    text = followed(asked, post(asked, "/rounds/start/look"))
    assert "It cannot be told yet: expected a detector, got a damaged file" in text


def test_scripts_ask_for_what_is_old_and_not_again_for_what_failed(labeled: FakeParts) -> None:
    worker = FakeWorker(said=working)
    asked = browsing(labeled, worker)
    assert 'hx-post="/rounds/start/look" hx-trigger="load' in asked.get("/rounds/start").text
    number = ask_for(labeled.project, Who("ann", "page"), WorkKind.PREFLIGHT, LOOKING)
    worker.now[number] = "0 of 0"
    text = asked.get("/rounds/start").text
    assert 'hx-trigger="every 2s"' in text
    assert "being looked up now" in text
    with write(labeled.project.engine) as session:
        end_work(session, number, "failed", "the disk is <full>")
    text = asked.get("/rounds/start").text
    assert "It could not be looked up: the disk is &lt;full&gt;" in text
    assert "hx-trigger" not in text.partition("<main")[2]
    text = followed(asked, post(asked, "/rounds/start/look"))
    assert "It could not be looked up" not in text
    assert "hx-post" not in text


def test_settings_that_no_training_takes_are_refused(labeled: FakeParts) -> None:
    answer = post(at(labeled), "/rounds", epochs="0")
    assert answer.status_code == 400
    assert "epochs: expected" in answer.text
    assert rounds.current(labeled.project) is None


def test_the_verdict_is_read_the_worst_line_first_and_the_candidate_approved(labeled: FakeParts) -> None:
    parts = waiting(labeled)
    asked = at(parts)
    assert "waits for a person" in asked.get("/rounds").text.lower()
    text = asked.get("/rounds/1").text
    assert "Verdict:" in text
    statuses = re.findall(r'<span class="tag (\w+)"', text)
    assert statuses == sorted(statuses, key=["fail", "unverifiable", "pass"].index)
    assert 'href="/frames?class=helmet&amp;role=evaluation&amp;labeled=yes"' in text
    assert 'href="/frames?dataset=1&amp;split=train"' in text
    assert "style=" not in text
    assert post(asked, "/rounds/1/approve", reason=" ").status_code == 400
    assert in_production(parts) == sha_of(BASE)
    said = followed(asked, post(asked, "/rounds/1/approve", reason="better at night"))
    assert "Model 2 is deployed." in said
    assert "Candidate approved by" in said
    assert "better at night" in said
    assert in_production(parts) == sha_of(BETTER)
    assert post(asked, "/rounds/1/approve", reason="again").status_code == 409


def test_what_is_deployed_is_rolled_back_with_a_reason(labeled: FakeParts) -> None:
    run(started(labeled))
    asked = at(labeled)
    assert "Roll back to model 1" in asked.get("/rounds").text
    assert "Roll back to model 1" in asked.get("/rounds/1").text
    assert post(asked, "/rounds/roll-back", reason="", deployed="2").status_code == 400
    assert post(asked, "/rounds/roll-back", reason="wrong one", deployed="1").status_code == 409
    said = followed(asked, post(asked, "/rounds/roll-back", reason="false alarms", deployed="2"))
    assert "Model 1 is back in production." in said
    with read(labeled.project.engine) as session:
        assert deployments(session)[-1].reason == "rollback: false alarms"
    said = followed(asked, post(asked, "/rounds/promote", reason="it was the lamp", model="2"))
    assert "by hand: it was the lamp" in said
    assert in_production(labeled) == sha_of(BETTER)


def test_a_candidate_is_rejected_and_a_round_cancelled(labeled: FakeParts) -> None:
    parts = waiting(labeled)
    asked = at(parts)
    said = followed(asked, post(asked, "/rounds/1/reject", reason="too slow"))
    assert "The candidate of round 1 was rejected." in said
    assert "Candidate rejected by" in said
    rounds.start(parts)
    assert "Round 2 was ended." in followed(asked, post(asked, "/rounds/2/cancel", reason=""))
    assert post(asked, "/rounds/2/cancel").status_code == 409
    assert asked.get("/rounds/7").status_code == 404


def test_a_refused_candidate_shows_why_and_where(labeled: FakeParts) -> None:
    run(started(labeled, weights(blind_to=["helmet"])))
    text = at(labeled).get("/rounds/1").text
    first = text.split("<tbody>", 1)[1].split("</tr>", 1)[0]
    assert "class helmet" in first
    assert ">fell<" in first
    assert re.search(r"better overall.*?>better<", text, re.DOTALL)
    assert "by the gate: class helmet fell" in at(labeled).get("/rounds").text


def test_names_in_a_verdict_are_text(labeled: FakeParts) -> None:
    bad = "<script>alert(1)</script>"
    run(started(labeled))
    told = {"name": f"no fall: condition {bad}", "status": "fail", "text": bad, "before": 0.5, "after": 0.1}
    verdict = {"promote": False, "reasons": [bad], "checks": [told | {"objects": 3, "frames": 3}]}
    with write(labeled.project.engine) as session:
        advance(session, 1, RoundStatus.PROMOTED, RoundStatus.REJECTED, verdict=verdict, error=bad)
    for page in ("/rounds", "/rounds/1", "/rounds/1?kind=condition"):
        text = at(labeled).get(page).text
        assert bad not in text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_long_verdicts_come_in_pages(labeled: FakeParts, monkeypatch: pytest.MonkeyPatch) -> None:
    from loop.web.pages import rounds as page

    monkeypatch.setattr(page, "LINES", 3)
    run(started(labeled))
    asked = at(labeled)
    first = asked.get("/rounds/1").text
    assert first.count("<tr data-item>") == 3
    assert 'href="/rounds/1?kind=&amp;from=3"' in first
    second = asked.get("/rounds/1?kind=&from=3").text
    assert "Worse lines" in second
    assert asked.get("/rounds/1?from=x").status_code == 400
    classes = asked.get("/rounds/1?kind=class").text.split("<tbody>", 1)[1].split("</tbody>", 1)[0]
    assert classes.count("<tr data-item>") == 3
    assert set(re.findall(r">(class|condition) ", classes)) == {"class"}


def test_a_training_shows_its_progress_and_its_curves(labeled: FakeParts) -> None:
    parts = started(labeled)
    seen: list[str] = []

    def during(epoch: int) -> None:
        folder = parts.project.rounds / "1"
        with (folder / "progress.jsonl").open("a") as file:
            line = {"epoch": epoch, "epochs": 3, "metrics": {"train/<b>loss": 3.0 / epoch}}
            file.write(json.dumps(line) + "\n")
        seen.append(at(parts).get("/rounds/1").text)

    parts.fake_trainer = FakeTrainer(BETTER, during)
    run(parts)
    assert "time left not known yet" not in seen[0], "no epoch is over"
    assert "epoch 1 of 3, <span" in seen[1]
    assert "epoch 2 of 3, less than a minute left" in seen[2]
    assert 'http-equiv="refresh"' in seen[2]
    assert "<polyline points=" in seen[2]
    assert "train/&lt;b&gt;loss" in seen[2]
    asked = at(parts)
    told = asked.get("/rounds/1", headers={"hx-request": "true"}).text
    assert 'href="/rounds/1?from=0">Read the verdict' in told, "only what stands at the top is exchanged"
    done = asked.get("/rounds/1").text
    assert "Read the verdict" not in done
    assert 'http-equiv="refresh"' not in done
    assert "It was trained with AdamW, learning rate 0.001" in done


def test_a_curve_is_drawn_within_its_bounds() -> None:
    found = drawn(Curve("loss", (1, 2, 3), (4.0, 1.0, 2.0)))
    assert found.points == f"0.0,0.0 {WIDTH / 2:.1f},{HEIGHT:.1f} {WIDTH:.1f},80.0"
    assert drawn(Curve("flat", (1,), (2.0,))).points == f"0.0,{HEIGHT:.1f}"


def test_a_table_of_many_epochs_keeps_the_first_and_the_last() -> None:
    curve = Curve("loss", tuple(range(1, 301)), tuple(float(n) for n in range(300)))
    rows = by_epoch([curve, Curve("map", (300,), (0.5,))], most=50)
    assert (rows[0], rows[-1]) == ((1, [0.0, None]), (300, [299.0, 0.5]))
    assert len(rows) <= 51


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, ""), (20, "less than a minute left"), (600, "about 10 min left"), (9000, "about 2.5 h left")],
)
def test_time_left_in_words(seconds: float | None, said: str) -> None:
    assert time_left(ProgressView(1, 3, seconds, None)) == said


def test_only_what_differs_is_chosen(parts: FakeParts) -> None:
    usual = parts.project.settings.round
    same = {name: str(value) for name, value in usual.model_dump().items()}
    assert chosen_of(same, usual) == {}
    assert chosen_of({"epochs": "7", "device": "0", "train": "{mosaic: 0.0}"}, usual) == {
        "epochs": 7,
        "device": "0",
        "train": {"mosaic": 0.0},
    }
