"""The page Agreement in a real Chromium: both answers lie on the object, it fits, and it can be printed."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator

from tests.fakes import FakeParts
from tests.loop.seconded import HAT
from tests.loop.web.test_pages_browser import found_by_axe
from tests.loop.web.walking import served

pytestmark = pytest.mark.browser

SHOTS = os.environ.get("TEST_SHOTS", "")


def drawn_on(picture: Locator) -> tuple[float, ...]:
    """Corners of the green outline on a picture, in px of the frame."""
    x, y, width, height = (float(value) for value in (picture.get_attribute("viewBox") or "").split())
    screen = np.asarray(Image.open(io.BytesIO(picture.screenshot())).convert("RGB")).astype(int)
    red, green, blue = screen.transpose(2, 0, 1)
    rows, columns = np.nonzero((green > red + 40) & (green > blue + 20))
    assert len(rows), "no outline"
    scale = width / screen.shape[1]
    y -= (width - height) / 2  # what is shown stands in the middle of a square
    corners = columns.min() * scale + x, rows.min() * scale + y
    return *corners, columns.max() * scale + x, rows.max() * scale + y


def test_what_each_person_drew_is_shown_side_by_side(browser: Browser, answered: FakeParts) -> None:
    with served(answered) as address:
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(f"{address}/labels/agreement")
        question = page.locator(
            "article", has=page.get_by_role("heading", name="When is a helmet to be drawn?")
        )
        first, second = question.locator("svg").nth(0), question.locator("svg").nth(1)
        assert drawn_on(first) == pytest.approx(HAT.xyxy, abs=0.5)
        assert (
            second.get_attribute("aria-label") == "helmet, drawn by one alone: bob@example.org drew nothing"
        )
        page.emulate_media(media="print")
        assert question.get_by_text("The guideline shall say:").is_visible()
        assert not page.locator(".tabs").is_visible()
        if SHOTS:
            page.screenshot(path=Path(SHOTS) / "agreement-print.png", full_page=True)
        page.emulate_media(media="screen")
        page.get_by_role("link", name="12 frames").first.click()
        assert page.locator("h1").inner_text().startswith("12 frames")
        page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_it_fits_and_axe_finds_nothing(
    browser: Browser, answered: FakeParts, width: int, scheme: str
) -> None:
    with served(answered) as address:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(f"{address}/labels/agreement")
        if SHOTS:
            page.screenshot(path=Path(SHOTS) / f"agreement-{width}-{scheme}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert found_by_axe(page) == []
        context.close()
