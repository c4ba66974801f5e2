"""A collection made, looked at and put to use in a real Chromium."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from loop.gaps import coverage_view
from loop.insights.collections import all_collections, one_collection
from tests.fakes import FakeParts, quiet
from tests.loop.web.test_pages_browser import found_by_axe
from tests.loop.web.walking import served

pytestmark = pytest.mark.browser


def test_from_a_sentence_to_a_judged_tab(browser: Browser, analyzed: FakeParts) -> None:
    coverage_view.build(analyzed, quiet)
    project = analyzed.project
    with served(analyzed) as address:
        page = browser.new_page()
        page.goto(address)
        page.get_by_role("link", name="Collections", exact=True).click()
        form = page.locator("form", has=page.get_by_role("button", name="Gather by sentence"))
        form.get_by_label("Name").fill("in the dark")
        form.get_by_label("What its frames show").fill("a photo at night")
        form.get_by_role("button").click()
        assert page.get_by_role("status").inner_text().startswith("“in the dark” made: 6 frames gathered.")
        (number,) = [view.id for view in all_collections(project) if view.name == "in the dark"]
        assert page.url == f"{address}/collections/{number}"
        page.locator(".tile input").first.check()
        page.locator("#pick").get_by_role("button", name="Keep out").click()
        assert one_collection(project, number).inside == 5
        page.get_by_role("status").get_by_role("button", name="Undo").click()
        assert one_collection(project, number).inside == 6
        page.get_by_role("button", name="Judge it no longer").click()
        page.get_by_role("button", name="Make it a tab").click()
        view = one_collection(project, number)
        assert (view.judged, view.tab) == (False, True)
        page.get_by_role("link", name="Show all 6").click()
        assert page.locator("h1").inner_text().startswith("6 frames")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_both_pages_fit_and_axe_finds_nothing(
    browser: Browser, compared_one: tuple[FakeParts, int], width: int, scheme: str
) -> None:
    parts, number = compared_one
    with served(parts) as address:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
        page = context.new_page()
        for path in ("/collections", f"/collections/{number}"):
            page.goto(address + path)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert found_by_axe(page) == []
        context.close()


@pytest.fixture
def compared_one(analyzed: FakeParts) -> tuple[FakeParts, int]:
    """A comparison, and the number of its largest collection."""
    coverage_view.build(analyzed, quiet)
    return analyzed, all_collections(analyzed.project)[0].id
