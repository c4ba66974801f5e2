"""In a real Chromium, with and without scripts: forms, sign-in, and the way from another site."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from loop.project.project import Project
from loop.web.guard import TOKEN
from tests.fakes import FakeParts
from tests.loop.web.walking import page_of, served
from tests.loop.web.worker import SECRET, FakeWorker, exposed

pytestmark = pytest.mark.browser
RENEWED_MS = 20_000
"""The overview renews itself every 10 s."""


@pytest.mark.parametrize("scripts", [True, False])
def test_a_job_is_paused_and_that_undone(browser: Browser, full: Project, scripts: bool) -> None:
    worker = FakeWorker()
    with served(FakeParts(full), worker) as address, page_of(browser, scripts) as page:
        page.goto(address)
        page.get_by_role("button", name="Pause ingest").click()
        expect(page.get_by_role("status")).to_contain_text("ingest is paused.")
        expect(page.get_by_role("row", name="ingest")).to_contain_text("paused since")
        if scripts:
            page.keyboard.press("u")
        else:
            page.get_by_role("button", name="Undo").click()
        expect(page.get_by_role("status")).to_contain_text("ingest runs again.")
    assert worker.asked == [("pause", "ingest"), ("resume", "ingest")]


def test_the_overview_renews_itself_and_keeps_what_is_open(browser: Browser, full: Project) -> None:
    worker = FakeWorker()
    with served(FakeParts(full), worker) as address, page_of(browser) as page:
        page.goto(address)
        page.get_by_role("button", name="Run ingest now").focus()
        worker.pause("push")
        expect(page.get_by_role("row", name="push")).to_contain_text("paused since", timeout=RENEWED_MS)
        assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Run ingest now"


def test_signing_in_and_out(browser: Browser, full: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, SECRET)
    with served(FakeParts(exposed(full)), FakeWorker()) as address, page_of(browser, scripts=False) as page:
        page.goto(f"{address}/changes?subject=x")
        page.get_by_label("Token").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("expected the token of FIELDLOOP_WEB_TOKEN")
        page.get_by_label("Token").fill(SECRET)
        page.get_by_label("Your name").fill("Anna")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("link", name="Anna")).to_be_visible()
        assert SECRET not in page.url
        page.goto(f"{address}/?token={SECRET}")
        assert page.url == f"{address}/"
        page.locator(".who a").click()
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("Token")).to_be_visible()
        page.goto(address)
        expect(page.get_by_label("Token")).to_be_visible()


def test_a_link_on_another_site_leads_to_who_is_signed_in(
    browser: Browser, full: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN, SECRET)
    with served(FakeParts(exposed(full)), FakeWorker()) as address, page_of(browser, scripts=False) as page:
        page.goto(f"{address}/?token={SECRET}")
        page.goto("about:blank")
        page.set_content(f'<a href="{address}/changes">there</a>')
        page.get_by_role("link", name="there").click()
        expect(page.get_by_role("heading", name="Changes")).to_be_visible()


def test_a_form_of_another_site_changes_nothing(browser: Browser, full: Project) -> None:
    worker = FakeWorker()
    with served(FakeParts(full), worker) as address, page_of(browser, scripts=False) as page:
        page.goto(address)
        page.goto("about:blank")
        page.set_content(
            f'<form method="post" action="{address}/jobs/ingest/pause"><button>Win</button></form>'
        )
        page.get_by_role("button", name="Win").click()
        expect(page.locator("body")).to_contain_text("expected a form of these pages")
    assert worker.asked == []
