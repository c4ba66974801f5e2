"""The page of the map: without scripts, with them in a real Chromium, and its thumbnails."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from itertools import combinations, pairwise

import numpy as np
import pytest
from playwright.sync_api import Page, Route, sync_playwright
from starlette.testclient import TestClient

from db.changes import changes
from db.engine import read
from db.frames import frames
from loop.analysis.thumbnails import thumbnail
from loop.gaps.upkeep import keep_map
from loop.insights.lasso import frames_in
from loop.insights.space import map_points, map_view
from loop.project.project import Project
from tests.fakes import FakeParts, quiet
from tests.loop.web.walking import served
from tests.loop.web.worker import FakeWorker, browsing, send
from tests.studio import chromium

WEBGL = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]


@pytest.fixture(scope="module")
def mapped(full: Project) -> Project:
    keep_map(FakeParts(full), quiet)
    return full


@pytest.fixture
def pages(mapped: Project) -> TestClient:
    return browsing(FakeParts(mapped), FakeWorker())


def hashes(project: Project) -> list[str]:
    with read(project.engine) as session:
        return [row.content_hash for row in frames(session)]


def test_a_thumbnail_is_kept_by_the_browser_for_good(pages: TestClient, mapped: Project) -> None:
    first, *_ = hashes(mapped)
    answer = pages.get(f"/thumbs/{first}.webp")
    assert answer.content == thumbnail(mapped, first)
    assert answer.headers["content-type"] == "image/webp"
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    again = pages.get(f"/thumbs/{first}.webp", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "name",
    ["0" * 64, "a" * 63, "A" * 64, "..%2F..%2Ffieldloop", "%00", "../" * 3 + "fieldloop.yaml", "a" * 5000],
)
def test_nothing_else_is_a_thumbnail(pages: TestClient, name: str) -> None:
    assert pages.get(f"/thumbs/{name}.webp").status_code == 404


def test_the_map_without_scripts(pages: TestClient, mapped: Project) -> None:
    answer, view = pages.get("/map"), map_view(FakeParts(mapped))
    assert view is not None
    assert answer.status_code == 200
    assert len(answer.content) < 60_000
    assert "style=" not in answer.text
    drawn = re.findall(r'<path class="points (\w+)" d="([^"]*)"', answer.text)
    assert sum(path.count("M") for _, path in drawn) == view.points
    for cell in view.cells:
        assert f'href="/frames?in={cell.area}"' in answer.text
    for region in view.regions:
        assert f'href="/frames?slice={region.slice_id}"' in answer.text


def test_points_are_asked_for_once_while_nothing_changes(pages: TestClient, mapped: Project) -> None:
    points = map_points(FakeParts(mapped))
    assert points is not None
    answer = pages.get("/map.bin")
    assert answer.content == points.body()
    assert pages.get("/map.bin", headers={"If-None-Match": answer.headers["etag"]}).status_code == 304


def test_what_stands_under_the_pointer(pages: TestClient, mapped: Project) -> None:
    with read(mapped.engine) as session:
        row = frames(session)[-1]
    told = pages.get(f"/map/frames/{row.seq}").json()
    assert (told["file"], told["content_hash"]) == (row.source_key, row.content_hash)
    assert pages.get(f"/map/frames/{row.seq}.webp").content == thumbnail(mapped, row.content_hash)
    assert pages.get("/map/frames/999999").status_code == 404
    assert pages.get("/map/frames/999999.webp").status_code == 404


def test_a_region_is_named_in_place_and_on_record(pages: TestClient, mapped: Project) -> None:
    view = map_view(FakeParts(mapped))
    assert view is not None
    region = view.regions[0]
    answer = send(pages, f"/map/regions/{region.slice_id}/name", "/map", name="<b>the ramp</b>")
    assert (answer.status_code, answer.headers["location"]) == (303, "/map")
    text = pages.get("/map").text
    assert "&lt;b&gt;the ramp&lt;/b&gt;" in text
    assert "<b>the ramp" not in text
    undo = re.search(
        r'action="(\S+/name)">(?:(?!</form>).)*name="name" value="([^"]*)"><button[^>]*data-undo', text
    )
    assert undo is not None
    assert undo.groups() == (f"/map/regions/{region.slice_id}/name", html.escape(region.name))
    with read(mapped.engine) as session:
        [told] = changes(session, 1)
    assert (told.what, told.subject, told.via) == ("slice named", f"slice {region.slice_id}", "page")
    assert send(pages, f"/map/regions/{region.slice_id}/name", "/map", name="").status_code == 303
    assert send(pages, f"/map/regions/{region.slice_id}/name", "/map").status_code == 422


def test_a_map_is_made_anew_in_the_background(mapped: Project) -> None:
    worker = FakeWorker()
    pages = browsing(FakeParts(mapped), worker)
    before = map_view(FakeParts(mapped))
    assert before is not None
    assert send(pages, "/map/anew", "/map").status_code == 303
    after = map_view(FakeParts(mapped))
    assert after is not None
    assert after.made > before.made
    assert [work.title for work in worker.works] == ["a new map of the frames"]


def test_a_project_without_a_map_says_what_to_do(empty: Project) -> None:
    text = browsing(FakeParts(empty), FakeWorker()).get("/map").text
    assert "There is no map yet." in text
    assert "fieldloop map" in text


@pytest.fixture
def address(mapped: Project) -> Iterator[str]:
    with served(FakeParts(mapped), FakeWorker()) as found:
        yield found


@pytest.mark.browser
def test_the_map_in_a_browser(address: str, mapped: Project) -> None:
    points = map_points(FakeParts(mapped))
    assert points is not None
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=WEBGL)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        wrong: list[str] = []
        page.on("console", lambda said: wrong.append(said.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(f"{address}/map")
        page.wait_for_selector(f'#map[data-ready="{len(points)}"]')
        _looks_at_a_point(page, points.frames[0], points.plane[0])
        _lassos_everything(page, mapped, len(points))
        browser.close()
    assert wrong == []


@pytest.mark.browser
def test_names_of_regions_lie_apart_and_the_smaller_wait_for_the_pointer(address: str) -> None:
    """Twelve regions with one middle: a field holds a few names there, a dot stands for the others."""

    def crowded(route: Route) -> None:
        text = route.fetch().text()
        one = re.search(r'<li id="region-\d+"', text)
        assert one is not None
        item = '<li id="region-{0}" data-x="0.5" data-y="0.5" data-name="a long name of region {0}">{0}</li>'
        route.fulfill(body=text.replace(one[0], "".join(map(item.format, range(900, 912))) + one[0], 1))

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=WEBGL)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.route("**/map", lambda route: crowded(route))
        page.goto(f"{address}/map")
        page.wait_for_selector("#map[data-ready]")
        page.wait_for_selector(".map-labels a.dropped")
        told = page.locator(".map-labels a:not(.dropped)")
        boxes = [box for place in range(told.count()) if (box := told.nth(place).bounding_box())]
        assert len(boxes) >= 3
        assert told.first.inner_text() == "a long name of region 900"
        for one, other in combinations(boxes, 2):
            assert (
                one["x"] + one["width"] <= other["x"]
                or other["x"] + other["width"] <= one["x"]
                or one["y"] + one["height"] <= other["y"]
                or other["y"] + other["height"] <= one["y"]
            )
        dropped = page.locator(".map-labels a.dropped").first
        small = dropped.bounding_box()
        page.hover(f"#{str(dropped.get_attribute('href'))[1:]}")
        large = page.locator(".map-labels a.raised").bounding_box()
        assert small is not None
        assert large is not None
        assert small["width"] < 20 < large["width"]
        browser.close()


def _on_screen(page: Page, place: np.ndarray) -> tuple[float, float]:
    box = page.locator(".map-field").bounding_box()
    assert box is not None
    side = 0.95 * min(box["width"], box["height"])
    middle = np.array([box["x"] + box["width"] / 2, box["y"] + box["height"] / 2])
    x, y = middle + (place - 0.5) * side
    return float(x), float(y)


def _looks_at_a_point(page: Page, seq: int, place: np.ndarray) -> None:
    page.mouse.move(*_on_screen(page, place))
    page.wait_for_selector(f'.map-tip[data-seq="{seq}"]')
    page.locator(".map-tip span", has_text=".jpg").wait_for()
    assert page.locator(".map-tip img").evaluate("async (img) => (await img.decode(), img.naturalWidth)") > 0


def _lassos_everything(page: Page, project: Project, count: int) -> None:
    page.click("[data-mode=lasso]")
    corners = [(0.2, 0.2), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0), (0.2, 0.2)]
    page.mouse.move(*_on_screen(page, np.array(corners[0])))
    page.mouse.down()
    for start, end in pairwise(corners):
        for step in np.linspace(0, 1, 8):
            page.mouse.move(*_on_screen(page, (1 - step) * np.array(start) + step * np.array(end)))
    page.mouse.up()
    link = page.locator(".map-found a")
    area = str(link.get_attribute("href")).partition("in=")[2]
    inside = len(frames_in(project, area))
    assert 0 < inside < count
    assert link.inner_text() == f"Look at {inside} frames"
    page.uncheck("[data-layer=production]")
    page.keyboard.press("Escape")
