"""Frames in a real Chromium: by keyboard through a set, boxes on and off, and what is picked is done."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser

from db.engine import read
from db.frames import frames
from db.states import Origin, Role
from db.tasks import batches, tasks
from loop.gaps import coverage_view
from loop.insights.frame_query import FrameQuery
from loop.insights.frames import frame_sets
from tests.fakes import FakeParts, quiet
from tests.loop.web.walking import served
from tests.loop.web.worker import FakeWorker

pytestmark = pytest.mark.browser


def test_a_set_is_walked_and_worked_by_keyboard(browser: Browser, chosen: FakeParts) -> None:
    coverage_view.build(chosen, quiet)
    address = "role=pool&origin=production&task=none"
    sets = frame_sets(chosen)
    order = sets.ids(sets.find(FrameQuery.parse(address))).tolist()
    with served(chosen, FakeWorker()) as url:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        problems: list[str] = []
        page.on("console", lambda message: problems.append(message.text))
        page.goto(f"{url}/frames?{address}")
        for key in ("j", "x", "j", "j", "x"):
            page.keyboard.press(key)
        picked = page.locator("input[name=frame]:checked")
        assert [picked.nth(place).input_value() for place in range(2)] == [str(order[0]), str(order[2])]
        page.get_by_role("button", name="Send to be labeled").click()
        page.get_by_text("2 frames sent to be labeled").wait_for()
        with read(chosen.project.engine) as session:
            sent = tasks(session, batch=batches(session)[-1].id)
        assert [task.frame for task in sent] == [order[0], order[2]]
        page.keyboard.press("u")
        page.get_by_text("2 frames taken back").wait_for()

        page.keyboard.press("j")  # the two have a task now, withdrawn as it is
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile(rf"/frames/{order[1]}\?"))
        page.keyboard.press("]")
        page.wait_for_url(re.compile(rf"/frames/{order[3]}\?"))
        layer = page.locator("svg.layer.model")
        assert layer.is_visible()
        page.locator("#show-deployed").uncheck()
        assert not layer.is_visible()
        assert page.locator(".stage img").evaluate("image => image.naturalWidth") == 32
        page.locator("aside a", has_text="camera:").first.click()
        page.wait_for_url(re.compile(r"/frames\?slice=\d+"))
        assert problems == []
        page.close()


def test_a_filter_is_chosen_and_a_mistake_reported_without_scripts(
    browser: Browser, chosen: FakeParts
) -> None:
    with read(chosen.project.engine) as session:
        row = frames(session, origin=Origin.PRODUCTION, role=Role.POOL)[0]
    with served(chosen, FakeWorker()) as url:
        context = browser.new_context(java_script_enabled=False)
        page = context.new_page()
        page.goto(f"{url}/frames")
        page.get_by_text("Filter", exact=True).click()
        page.locator("select[name=camera]").select_option(row.camera)
        page.locator("select[name=labeled]").select_option("no")
        page.get_by_role("button", name="Show", exact=True).click()
        assert page.url.endswith(f"/frames?camera={row.camera}&labeled=no")
        count = frame_sets(chosen).find(FrameQuery.parse(f"camera={row.camera}&labeled=no")).count
        assert page.locator("h1").inner_text().startswith(f"{count} frames")
        page.get_by_label("Remove labeled no").click()
        assert page.url.endswith(f"/frames?camera={row.camera}")
        page.goto(f"{url}/frames/{row.seq}")
        page.get_by_text("Report an error").click()
        page.get_by_label("What is wrong").select_option("missed")
        page.get_by_label("Note").fill("behind the fence")
        page.get_by_role("button", name="Report", exact=True).click()
        assert "behind the fence" in page.content()
        context.close()
