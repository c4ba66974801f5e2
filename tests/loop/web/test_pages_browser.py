"""The pages in a real Chromium: nothing breaks, nothing sticks out, pictures load."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright

from loop.project.project import Project
from loop.service.jobs import JOBS
from loop.service.process import listen
from loop.service.scheduler import State
from loop.settings.settings import Web
from loop.web.app import build_app
from tests.studio import chromium

pytestmark = pytest.mark.browser
PAGES = ("/", "/gaps", "/models")
WIDTHS = (390, 1280)
SHOTS = os.environ.get("TEST_SHOTS", "")


def health() -> dict[str, Any]:
    idle = State("", "done", "", datetime(2026, 5, 1, 8, tzinfo=UTC))
    states = {job.name: idle for job in JOBS} | {"analyze": State("31/74 embedded")}
    return {"ok": True, "jobs": states, "label_studio": "http://127.0.0.1:8080"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def address(full: Project) -> Iterator[str]:
    listening = listen(Web(host="127.0.0.1", port=0), lambda said: None)
    server = uvicorn.Server(uvicorn.Config(build_app(full, health), log_level="warning"))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("path", PAGES)
def test_a_page_fits_and_loads(browser: Browser, address: str, path: str, width: int, scheme: Any) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("requestfailed", lambda request: problems.append(request.url[:90]))
    answer = page.goto(address + path)
    assert answer is not None
    assert answer.ok
    assert problems == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert lightness(page) == scheme
    pictures = page.evaluate("Array.from(document.images, image => image.complete && image.naturalWidth)")
    assert all(pictures)
    assert bool(pictures) == (path == "/gaps")
    if SHOTS:
        name = f"{path.strip('/') or 'status'}-{width}-{scheme}.png"
        page.screenshot(path=Path(SHOTS) / name, full_page=True)
    page.close()


def test_a_click_leads_from_page_to_page(browser: Browser, address: str) -> None:
    page = browser.new_page()
    page.goto(address)
    for link in ("Models", "Status", "Gaps"):
        page.get_by_role("link", name=link, exact=True).click()
        page.wait_for_url(f"{address}/{link.lower()}" if link != "Status" else f"{address}/")
        assert page.locator("h1").inner_text()
    page.close()


def lightness(page: Page) -> str:
    """What the page's background is to an eye."""
    color = page.evaluate("getComputedStyle(document.body).backgroundColor")
    parts = [int(part) for part in color.removeprefix("rgb(").rstrip(")").split(",")]
    return "light" if sum(parts) > 3 * 128 else "dark"
