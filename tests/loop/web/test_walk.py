"""From a gap to a batch in a real Chromium, with and without scripts; test_rounds_walk goes from a round to
its end.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from db.changes import changes
from db.engine import read
from db.slices import slices
from db.states import SliceKind
from db.tasks import batches
from loop.gaps.upkeep import compare
from tests.fakes import FakeParts, quiet
from tests.loop.web.walking import page_of, served

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("scripts", [True, False])
def test_from_a_gap_to_a_batch(browser: Browser, analyzed: FakeParts, scripts: bool) -> None:
    compare(analyzed, quiet)
    with served(analyzed) as address, page_of(browser, scripts) as page:
        page.goto(address)
        page.get_by_role("link", name="Coverage", exact=True).click()
        gap = page.locator(".gap").first
        frames = gap.get_by_role("link", name="frames").inner_text()
        gap.get_by_role("link", name="brightness: dark", exact=True).click()
        assert page.locator("h1").inner_text().startswith(frames)
        assert page.locator(".tile").count() == int(frames.split()[0])
        page.get_by_label("Name of a collection", exact=True).fill("dark corners")
        page.get_by_role("button", name="Collect all of these").click()
        assert "dark corners" in page.locator("h1").inner_text()
        page.get_by_role("link", name=frames.split()[0]).first.click()
        page.get_by_label("Frames to choose").fill("3")
        page.get_by_role("button", name="Select from here").click()
        assert "Choosing has begun" in page.get_by_role("status").inner_text()
        page.goto(f"{address}/queue")
        page.get_by_role("link", name="On their way 3").click()
        assert page.locator(".tile").count() == 3
        page.goto(f"{address}/changes")
        listed = page.locator("main").inner_text()
    with read(analyzed.project.engine) as session:
        (batch,) = batches(session)
        (made,) = [
            row for row in slices(session) if row.kind is SliceKind.COLLECTION and row.name == "dark corners"
        ]
        told = [row.what for row in changes(session, 10)]
    assert batch.settings["within"] == f"slice={made.id}&origin=production"
    assert "collection made" in told
    assert all(what in listed for what in told)
