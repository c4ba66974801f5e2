"""The pages in a real Chromium: nothing breaks, nothing sticks out, pictures load."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page
from starlette.requests import Request

from loop.insights.overview import overview, round_line
from loop.insights.rounds import round_view, verdict_view
from loop.labeling.mending import Mend
from loop.project.project import Project
from loop.service.jobs import JOBS
from loop.service.scheduler import State
from loop.web.guard import SESSION
from loop.web.pages.overview import aged
from loop.web.session import Signer, new_session
from loop.web.site import Site
from loop.web.static_files import contents
from tests.fakes import FakeParts
from tests.loop.web.addresses import PAGES, PICTURED
from tests.loop.web.shots import compared
from tests.loop.web.walking import served
from tests.loop.web.worker import FakeWorker, browsing

pytestmark = pytest.mark.browser

WIDTHS = (390, 1280)
LONG = "Ueberwachungskamera_Nordeingang_Parkhaus-Ebene-3"
BROKEN = """() => {
    const broken = [], texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const text = texts.currentNode;
        for (const word of text.data.matchAll(/(?<!\\S)[A-Za-z]{3,16}(?!\\S)/g)) {
            const range = document.createRange();
            range.setStart(text, word.index);
            range.setEnd(text, word.index + word[0].length);
            if (new Set(Array.from(range.getClientRects(), box => Math.round(box.top))).size > 1)
                broken.push(word[0]);
        }
    }
    return broken;
}"""
"""Words of letters alone, none very long, that stand on several lines."""
LOADED = """() => Promise.all(Array.from(document.images, async image => {
    image.loading = "eager";
    await image.decode();
    return image.naturalWidth;
}))"""
"""The widths of all pictures, once they are there."""
STICKING_OUT = """() => Array.from(document.querySelectorAll('main *'))
    .filter(part => part.getBoundingClientRect().right > document.documentElement.clientWidth + 1
        && !part.closest('.wide, .bulk, svg, nav'))
    .map(part => part.outerHTML.slice(0, 120)).slice(0, 5)"""
"""Parts of a page that reach beyond the window, apart from what scrolls by itself."""
DRIVER = "GL Driver Message (OpenGL, Performance"
"""Begins what the software renderer says of its own slowness."""
LOOKED_AT = ("/", "/frames/40", "/queue", "/rounds", "/sign-in")
"""Pages whose first screen is compared with the one that somebody looked at."""
SHOTS = os.environ.get("TEST_SHOTS", "")


def health() -> dict[str, Any]:
    idle = State("", "done", "", datetime(2026, 5, 1, 8, tzinfo=UTC))
    states = {job.name: idle for job in JOBS} | {"analyze": State("31/74 embedded")}
    return {"ok": True, "problems": [], "notes": [], "jobs": states, "label_studio": "http://127.0.0.1:8080"}


@pytest.fixture(scope="module")
def address(full: Project) -> Iterator[str]:
    with served(FakeParts(full), FakeWorker(said=health)) as found:
        yield found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("path", PAGES)
def test_a_page_fits_and_loads(browser: Browser, address: str, path: str, width: int, scheme: Any) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    problems: list[str] = []
    page.on("console", lambda said: DRIVER in said.text or problems.append(said.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("requestfailed", lambda request: problems.append(request.url[:90]))
    answer = page.goto(address + path)
    assert answer is not None
    assert answer.ok
    page.evaluate("document.querySelectorAll('img').forEach(image => image.loading = 'eager')")
    page.wait_for_load_state("networkidle")
    assert problems == []
    assert page.evaluate(STICKING_OUT) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert lightness(page) == scheme
    pictures = page.evaluate(LOADED)
    assert all(pictures)
    assert bool(pictures) == (path in PICTURED)
    assert page.evaluate(BROKEN) == []
    assert found_by_axe(page) == []
    name = f"{re.sub('[^a-z0-9]+', '-', path.strip('/')) or 'overview'}-{width}-{scheme}"
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)
    if path in LOOKED_AT:
        assert compared(name, page.screenshot()) == ""
    page.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_the_file_of_the_gaps_fits(browser: Browser, full: Project, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto((full.pages / "gaps.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert all(pictures := page.evaluate(LOADED))
    assert pictures
    page.close()


@pytest.mark.parametrize("width", [390, 641, 900, 1280])
def test_no_word_is_broken_in_its_middle(browser: Browser, full: Project, width: int) -> None:
    """However long the names beside it are."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    for text in (with_long_names(full), round_with_long_names(full)):
        page.set_content(text)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("document.querySelectorAll('td').length") > 6
        assert page.evaluate(BROKEN) == []
    page.set_content(f"<p style='width: 3rem; overflow-wrap: anywhere'>{LONG[:14]}</p>")
    assert page.evaluate(BROKEN) == [LONG[:14]]
    page.close()


def with_long_names(project: Project) -> str:
    view = overview(project)
    shown = replace(
        view,
        rounds=[replace(view.rounds[0], verdict={"checks": [], "reasons": [f"{LONG} fell"]})],
        to_mend=[Mend(4711, "http://localhost/", f"{LONG}/{LONG}.jpg", "unknown class; rename it")],
        recent_rejects=[{"file": LONG * 3 + ".jpg", "reason": "expected an image, got a file of 0 bytes"}],
    )
    site = Site(FakeParts(project), FakeWorker(said=health), Signer(b"key"))
    request = Request({"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []})
    request.scope[SESSION] = new_session()
    now = datetime(2026, 5, 1, 9, tzinfo=UTC)
    more = {
        "aged": [aged(stage, now) for stage in shown.stages],
        "ticks": [],
        "now": now,
        "first": shown.needs,
    }
    said = {"view": shown, "round_line": round_line, "sentence": LONG}
    answer = site.render(request, "overview.html", **said, **more)
    return styled(bytes(answer.body).decode())


def round_with_long_names(project: Project) -> str:
    numbers = {"before": 0.8, "after": 0.4, "frames": 1200, "objects": 3400, "groups": 31}
    checks = [
        {"name": f"no fall: {LONG}", "status": "unverifiable", "text": "too few frames, 3 groups are needed"},
        {"name": "no fall: class extinguisher", "status": "fail", "text": f"of {LONG} nothing is known"},
    ]
    verdict = {"promote": False, "reasons": [f"{LONG} fell"], "checks": [one | numbers for one in checks]}
    view = replace(round_view(project, 1), verdict=verdict_view(verdict))
    with patch("loop.web.pages.rounds.round_view", return_value=view):
        return styled(browsing(FakeParts(project), FakeWorker(said=health)).get("/rounds/1").text)


def styled(text: str) -> str:
    return text.replace("<body>", f"<style>{contents()['style.css'].decode()}</style><body>")


def test_a_click_leads_from_page_to_page(browser: Browser, address: str) -> None:
    page = browser.new_page()
    page.goto(address)
    for link in ("Changes", "Overview"):
        page.get_by_role("link", name=link, exact=True).click()
        page.wait_for_url(f"{address}/{link.lower()}" if link != "Overview" else f"{address}/")
        assert page.locator("h1").inner_text()
    page.close()


def found_by_axe(page: Page) -> list[str]:
    """What axe has against a page: the rule, and the first places."""
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {[node['html'][:160] for node in one['nodes'][:4]]}" for one in found]


def lightness(page: Page) -> str:
    """What the page's background is to an eye."""
    color = page.evaluate("getComputedStyle(document.body).backgroundColor")
    parts = [int(part) for part in color.removeprefix("rgb(").rstrip(")").split(",")]
    return "light" if sum(parts) > 3 * 128 else "dark"
