"""What a labeler sees: the image itself, with the model's boxes on the objects, in a real browser."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from connectors.label_studio.backend import LabelStudio
from connectors.ports import Box
from tests.studio import Corners, Studio, chromium, label_task, picture

pytestmark = [pytest.mark.studio, pytest.mark.browser, pytest.mark.slow]

CLASSES = ("person", "helmet", "vehicle")
RED_THING: Corners = (40, 50, 120, 170)
REASON = "rare class: helmet <seldom> & in fog"


@pytest.fixture
def page(label_studio: Studio) -> Iterator[Page]:
    """A page of a person who has logged in."""
    server = label_studio.server
    with sync_playwright() as playwright:
        quiet = ["--no-sandbox", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=chromium(), args=quiet)
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(90_000)
        page.goto(f"{server.url}/user/login/")
        page.fill("input[name=email]", server.username)
        page.fill("input[name=password]", server.password)
        page.click("button[type=submit]")
        page.wait_for_url(lambda url: "/user/login" not in url)
        yield page
        browser.close()


@pytest.mark.parametrize("images", ["local_files", "upload"])
def test_the_image_is_shown_with_its_box_on_the_object(images: Any, page: Page, label_studio: Studio) -> None:
    server, root = label_studio.server, label_studio.document_root
    elsewhere: list[str] = []
    page.on("request", lambda request: elsewhere.append(request.url))
    backend = LabelStudio(server.url, server.token, images, root)
    project = backend.ensure_project(f"Seen through {images}", CLASSES, "", None)
    image = picture(root / "frames" / "seen in a browser.jpg", [RED_THING])
    task = label_task("seen", image, [Box("helmet", RED_THING, confidence=0.8)], reason=REASON, priority=0.87)
    made = backend.push(project.external_id, [task])
    page.goto(f"{server.url}/projects/{project.external_id}/data?task={made['seen']}")
    shown = page.locator("img[alt=image]").first
    shown.wait_for(state="visible")
    assert shown.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [320, 240]
    assert page.get_by_role("heading", name=REASON, exact=True).is_visible()
    assert page.get_by_role("heading", name="priority 0.87 north gate").is_visible()
    page.get_by_text("0.80").wait_for(state="visible")
    page.wait_for_function("() => document.querySelector('canvas') !== null")
    page.wait_for_timeout(1500)
    box = shown.bounding_box()
    assert box is not None
    screen = np.asarray(Image.open(io.BytesIO(page.screenshot(path=os.environ.get("FIELDLOOP_SCREENSHOT")))))
    assert outlined(screen, box) == pytest.approx(RED_THING, abs=2)
    assert [url for url in elsewhere if url.startswith("http") and not url.startswith(server.url)] == []


def test_a_labeler_reads_the_guideline_and_marks_a_box_as_occluded(page: Page, label_studio: Studio) -> None:
    server, root = label_studio.server, label_studio.document_root
    backend = LabelStudio(server.url, server.token, "local_files", root)
    told = "<h2>Shadows</h2>\n<p>No box for &lt;i&gt;shadows&lt;/i&gt;.</p>"
    project = backend.ensure_project("Asked in a browser", CLASSES, told, None).external_id
    image = picture(root / "frames" / "asked in a browser.jpg", [RED_THING])
    meta = {"site": "north", "camera": "gate", "slices": "night"}
    made = backend.push(project, [label_task("asked", image, [Box("helmet", RED_THING)], meta=meta)])
    page.goto(f"{server.url}/projects/{project}/data?labeling=1")
    page.get_by_text("No box for <i>shadows</i>.").wait_for(state="visible")
    page.keyboard.press("Escape")
    page.goto(f"{server.url}/projects/{project}/data?task={made['asked']}")
    shown = page.locator("img[alt=image]").first
    shown.wait_for(state="visible")
    assert page.get_by_role("heading", name="priority 0.5 north gate").is_visible()
    page.wait_for_function("() => document.querySelector('canvas') !== null")
    page.wait_for_timeout(1500)
    box = shown.bounding_box()
    assert box is not None
    x1, y1, x2, y2 = (side * box["width"] / 320 for side in RED_THING)
    page.mouse.click(box["x"] + (x1 + x2) / 2, box["y"] + (y1 + y2) / 2)
    page.get_by_text("occluded", exact=True).first.click()
    page.screenshot(path=os.environ.get("FIELDLOOP_SCREENSHOT_ASKED"))
    page.get_by_role("button", name="Submit").click()
    page.get_by_role("button", name="Update").wait_for(state="visible")
    (answered,) = backend.answers(project, None)
    (drawn,) = answered.answers[0].boxes
    assert (drawn.class_name, drawn.occluded, drawn.truncated) == ("helmet", True, False)
    assert drawn.xyxy == pytest.approx(RED_THING, abs=2)


def outlined(screen: NDArray[np.uint8], box: Any) -> tuple[float, ...]:
    """Corners of everything green on the screen's picture, in px of a 320 x 240 image."""
    left, top, width, height = (round(box[side]) for side in ("x", "y", "width", "height"))
    red, green, blue = screen[top : top + height, left : left + width, :3].astype(int).transpose(2, 0, 1)
    rows, columns = np.nonzero((green > red + 15) & (green > blue + 40))
    assert len(rows), "no outline in the color of the class"
    scale = width / 320
    return columns.min() / scale, rows.min() / scale, columns.max() / scale, rows.max() / scale
