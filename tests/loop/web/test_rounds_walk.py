"""In a real Chromium: start a round, read its verdict, approve it, roll back, with and without scripts; and
work through the queue by keyboard.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from db.engine import write
from db.rounds import advance, update_progress
from db.states import RoundStatus
from loop.rounds import rounds
from tests.fakes import FakeParts, FakeTrainer, weights
from tests.loop.desk import pull
from tests.loop.judged import BASE, BETTER, in_production, sha_of, with_round
from tests.loop.web.walking import page_of, served

pytestmark = pytest.mark.browser
SHOTS = os.environ.get("TEST_SHOTS", "")


def shot(page: Page, name: str) -> None:
    if not SHOTS:
        return
    for width, scheme in ((1280, "light"), (390, "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.screenshot(path=Path(SHOTS) / f"{name}-{width}-{scheme}.png", full_page=True)
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(color_scheme="light")


def decide(page: Page, summary: str, why: str, button: str) -> None:
    page.get_by_text(summary).first.click()
    form = page.locator("details[open] form")
    form.get_by_label("Why").fill(why)
    form.get_by_role("button", name=button).click()


@pytest.mark.parametrize("scripts", [True, False])
def test_a_round_is_started_read_approved_and_rolled_back(
    browser: Browser, labeled: FakeParts, scripts: bool
) -> None:
    parts = with_round(labeled, approval="manual")

    def during(epoch: int) -> None:
        line = {"epoch": epoch, "metrics": {"train/box_loss": 2 / epoch, "train/cls_loss": 3 - epoch}}
        with (parts.project.rounds / "1" / "progress.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")

    parts.fake_trainer = FakeTrainer(BETTER, during)
    with served(parts) as address, page_of(browser, scripts) as page:
        page.goto(f"{address}/rounds")
        page.get_by_role("link", name="Start a round").click()
        if not scripts:
            page.get_by_role("button", name="Look it up").click()
        page.wait_for_selector("text=rise of AP50")
        shot(page, "start")
        page.get_by_text("As in fieldloop.yaml").click()
        page.get_by_label("epochs").fill("2")
        page.get_by_role("button", name="Start the round").click()
        assert page.locator("h1").inner_text() == "Round 1"
        assert "Waits for a person" in page.locator("#standing").inner_text()
        assert page.locator("table.verdict tbody tr").count() > 3
        assert page.locator("svg.curve polyline").count() == 2
        shot(page, "verdict")
        decide(page, "Approve …", "better at night", "Approve and deploy")
        assert "Model 2 is deployed." in page.get_by_role("status").inner_text()
        assert in_production(parts) == sha_of(BETTER)
        parts.fake_trainer = FakeTrainer(weights(blind_to=["helmet"]))
        page.goto(f"{address}/rounds/start")
        page.get_by_role("button", name="Start the round").click()
        assert "class helmet" in page.locator("table.verdict tbody tr").first.inner_text()
        shot(page, "refused")
        page.goto(f"{address}/rounds")
        shot(page, "rounds")
        decide(page, "Roll back to model 1", "false alarms at the gate", "Roll back")
        assert "Model 1 is back in production." in page.get_by_role("status").inner_text()
        assert "rollback: false alarms at the gate" in page.locator("main").inner_text()
    assert in_production(parts) == sha_of(BASE)
    (spec,) = parts.fake_trainer.specs
    assert spec.epochs == 3, "what was chosen for one round is not for the next"


def test_the_progress_of_a_training_is_followed_without_loading_the_page(
    browser: Browser, labeled: FakeParts
) -> None:
    number = rounds.start(labeled)

    def trained(epoch: int) -> None:
        with write(labeled.project.engine) as session:
            advance(session, number, RoundStatus.FREEZING, RoundStatus.TRAINING)
            update_progress(session, number, {"epoch": epoch, "epochs": 3})

    trained(1)
    with served(labeled) as address:
        page = browser.new_page()
        page.goto(f"{address}/rounds/{number}")
        page.get_by_text("Cancel …").click()
        page.get_by_label("Why").fill("wrong labels")
        assert "epoch 1 of 3" in page.locator("#standing").inner_text()
        trained(2)
        page.wait_for_selector("#standing:has-text('epoch 2 of 3')", timeout=15_000)
        assert page.get_by_label("Why").input_value() == "wrong labels", "what was typed stays"
        page.get_by_role("button", name="Cancel the round").click()
        assert "Round 1 was ended." in page.get_by_role("status").inner_text()
        page.close()


def test_the_queue_is_worked_through_by_keyboard_and_undone(browser: Browser, pushed: FakeParts) -> None:
    pull(pushed)
    with served(pushed) as address:
        page = browser.new_page()
        page.goto(f"{address}/queue")
        shot(page, "queue")
        files = page.locator(".tile .file").all_inner_texts()
        for key in ("j", "x", "j", "j", "Shift+X"):
            page.keyboard.press(key)
        assert page.locator(".tile input:checked").count() == 3
        page.get_by_role("button", name="Drop").click()
        assert "3 tasks dropped" in page.get_by_role("status").inner_text()
        assert page.locator(".tile .file").all_inner_texts() == files[3:]
        assert len(pushed.server.tasks) == 9
        page.keyboard.press("u")
        page.wait_for_selector("text=3 tasks taken back")
        assert page.locator(".tile .file").all_inner_texts() == files
        assert len(pushed.server.tasks) == 12
        page.keyboard.press("k")
        page.keyboard.press("x")
        page.get_by_role("button", name="Pin").click()
        assert page.locator(".tile .file").first.inner_text() == files[-1]
        page.close()
