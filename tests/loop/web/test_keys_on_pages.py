"""The keyboard on the real pages with lists, in a real Chromium: J, K, X, Enter, ?, /, [, ] and U."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page

from benchmarks.scale.verbs import GivenParts
from db.engine import read, write
from db.tasks import tasks
from loop.changes.audit import Who, note
from loop.gaps import coverage_view
from loop.insights.collections import all_collections, one_collection
from loop.insights.labels import findings
from loop.rounds import rounds
from loop.rounds.suspects import judge_labels
from tests.fakes import FakeParts, quiet
from tests.loop.desk import push
from tests.loop.planted import wrong
from tests.loop.web.walking import served
from tests.loop.web.worker import FakeWorker

pytestmark = pytest.mark.browser
HERE = "[...document.querySelectorAll('[data-item]')].findIndex(item => item.classList.contains('here'))"
FIRST_LINK = "document.querySelector('[data-item] a[href]')?.href"


@pytest.mark.parametrize(
    "path", ["/frames", "/collections", "one collection", "/queue", "/rounds", "/coverage", "/changes"]
)
def test_the_keyboard_walks_selects_and_opens(browser: Browser, chosen: FakeParts, path: str) -> None:
    project = chosen.project
    coverage_view.build(chosen, quiet)
    push(chosen)
    rounds.start(chosen)
    rounds.cancel(chosen)
    with write(project.engine) as session:
        for number in (1, 2):
            note(session, Who("ana", "page"), "model promoted", f"model {number}")
    if path == "one collection":
        path = next(f"/collections/{row.id}" for row in all_collections(project) if row.inside > 1)
    with served(chosen, FakeWorker()) as address:
        page = browser.new_page()
        page.goto(address + path)
        walk_items(page)
        page.close()


def test_the_keyboard_works_on_what_is_wrong_with_labels(browser: Browser, labeled: FakeParts) -> None:
    wrong(labeled)
    judge_labels(labeled, quiet)
    expected = [one.address for one in findings(labeled.project)]
    assert "/labels/suspects" in expected
    with served(labeled, FakeWorker()) as address:
        page = browser.new_page()
        page.goto(f"{address}/labels")
        assert page.locator("[data-item]").count() == len(expected)
        walk_items(page)
        assert page.url == address + expected[0]
        page.close()


def test_search_pages_and_undo_have_keys(browser: Browser, chosen: FakeParts) -> None:
    push(chosen)
    with served(chosen, FakeWorker()) as address:
        page = browser.new_page()
        page.goto(f"{address}/frames")
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.id") == "look"
        page.keyboard.press("Escape")
        first = page.locator("[data-item] a[href]").first
        first.click()
        page.wait_for_load_state()
        begun = page.url
        with page.expect_navigation():
            page.keyboard.press("]")
        assert page.url != begun
        with page.expect_navigation():
            page.keyboard.press("[")
        assert page.url == begun

        page.goto(f"{address}/queue")
        page.keyboard.press("j")
        page.keyboard.press("x")
        with page.expect_navigation():
            page.get_by_role("button", name="Pin", exact=True).click()
        assert pinned(chosen) == 1
        with page.expect_navigation():
            page.keyboard.press("u")
        assert pinned(chosen) == 0
        page.close()


def test_the_keyboard_works_on_ties_of_classes(browser: Browser, tied: GivenParts) -> None:
    with served(tied, FakeWorker()) as address:
        page = browser.new_page()
        page.goto(f"{address}/bias")
        walk_items(page)
        page.close()


def pinned(parts: FakeParts) -> int:
    with read(parts.project.engine) as session:
        return sum(task.pinned for task in tasks(session))


def walk_items(page: Page) -> None:
    """J, K, X, ? and Enter on a page with items."""
    count = page.locator("[data-item]").count()
    assert count, "the page has items"
    page.keyboard.press("j")
    assert page.evaluate(HERE) == 0
    if count > 1:
        page.keyboard.press("j")
        assert page.evaluate(HERE) == 1
        page.keyboard.press("k")
        assert page.evaluate(HERE) == 0
    box = page.locator("[data-item] input[type=checkbox]")
    if box.count():
        page.keyboard.press("x")
        assert box.first.is_checked()
        page.keyboard.press("x")
        assert not box.first.is_checked()
    page.keyboard.press("?")
    assert page.locator("#keys").evaluate("dialog => dialog.open")
    page.keyboard.press("Escape")
    opens = page.evaluate(FIRST_LINK)
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert page.url == opens


def test_the_keyboard_searches_turns_pages_and_takes_back(browser: Browser, chosen: FakeParts) -> None:
    collection = all_collections(chosen.project)[0]
    with served(chosen, FakeWorker()) as address:
        page = browser.new_page()
        page.goto(f"{address}/frames?origin=production")
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.type") == "search"
        page.goto(page.evaluate(FIRST_LINK))
        first = page.url
        with page.expect_navigation():
            page.keyboard.press("]")
        assert page.url != first
        with page.expect_navigation():
            page.keyboard.press("[")
        assert page.url == first
        page.goto(f"{address}/collections/{collection.id}")
        named = page.locator(f'form[action$="/collections/{collection.id}/name"] input[name=name]').first
        with page.expect_navigation():
            named.evaluate("input => { input.value = 'wet ramps'; input.form.requestSubmit(); }")
        assert one_collection(chosen.project, collection.id).name == "wet ramps"
        with page.expect_navigation():
            page.keyboard.press("u")
        assert one_collection(chosen.project, collection.id).name == collection.name
        page.close()
