"""How quick the map of the embedding space is in a real Chromium: made, loaded, drawn, hovered over.

    python -m benchmarks.pages.space --work /data/pages [--size 1000000] [--hovers 100]

It takes the project of `python -m benchmarks.pages`, whose map shows 200,000 of its frames, and makes it
where there is none. Chromium draws by SwiftShader, so without a graphics card. A hover lasts from the
movement of the pointer to the picture being there, decoded, for a frame that was not looked at before.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.pages.__main__ import MAP, publish
from benchmarks.pages.world import app_of, opened, project_of
from db.engine import read
from db.frames import frames
from loop.analysis import producers
from loop.analysis.thumbnails import keep
from loop.gaps.kept_map import kept_map
from loop.gaps.space_map import map_of
from loop.insights.space import map_points
from loop.project.wiring import Parts

Place = tuple[float, float]
WAIT_S = 60.0
"""So long anything in the browser may take."""
LONGEST_MS = 5000
"""A hover that takes longer counts as this."""
CHROMIUM = "/usr/bin/chromium"
WEBGL = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
UNDER = """places => places.map(([x, y]) => {
    const field = document.querySelector('.map-field > canvas'), tip = document.querySelector('.map-tip');
    field.dispatchEvent(new PointerEvent('pointermove', { clientX: x, clientY: y, bubbles: true }));
    return tip.hidden ? null : Number(tip.dataset.seq);
})"""
"""The frame under each place, null for none."""
HOVER = """([x, y, most]) => new Promise(resolve => {
    const field = document.querySelector('.map-field > canvas'), tip = document.querySelector('.map-tip');
    const before = tip.dataset.seq, begun = performance.now();
    field.dispatchEvent(new PointerEvent('pointermove', { clientX: x, clientY: y, bubbles: true }));
    const found = performance.now();
    const seq = tip.hidden ? null : tip.dataset.seq;
    if (!seq || seq === before) return resolve(null);
    setTimeout(() => resolve({ nearest: found - begun, shown: most }), most);
    tip.querySelector('img').decode().then(
        () => resolve({ nearest: found - begun, shown: performance.now() - begun }),
        error => resolve({ failed: String(error) }));
})"""
"""Milliseconds until the nearest point is known, and until its picture is there, at most `most`; null where
the pointer is at no other frame than before.
"""
DRAW = """() => new Promise(resolve => {
    const gl = document.querySelector('.map-field > canvas').getContext('webgl2'), times = [];
    const button = document.querySelector('[data-zoom="1.5"]');
    const back = document.querySelector('[data-zoom="0"]');
    const once = () => {
        if (times.length === 20) return resolve(times);
        const begun = performance.now();
        (times.length % 2 ? back : button).click();
        requestAnimationFrame(() => requestAnimationFrame(() => {
            gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
            times.push(performance.now() - begun);
            once();
        }));
    };
    once();
})"""
"""Milliseconds from a click that zooms until the points are drawn; two frames of the screen at least."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("runs/pages"), help="where the project is made")
    parser.add_argument("--size", type=int, default=1_000_000)
    parser.add_argument("--hovers", type=int, default=100)
    given = parser.parse_args()
    results = measure(opened(project_of(given.work, given.size)), given.hovers)
    MAP.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(publish())


def measure(parts: Parts, hovers: int) -> dict[str, Any]:
    """Seconds to make the map and to bring it up to date, megabytes of memory that takes, and what the
    browser says.
    """
    with read(parts.project.engine) as session:
        embedder = producers.known_embedder(session, parts.project)
    assert embedder is not None
    before = _peak_mb()
    made = _seconds(lambda: map_of(parts.project, embedder, _quiet, anew=True))
    followed = _seconds(lambda: map_of(parts.project, embedder, _quiet))
    after = _peak_mb()
    kept = kept_map(parts.project, embedder)
    assert kept is not None
    body = _seconds(lambda: map_points(parts))
    return {
        "points": len(kept),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "made_s": made,
        "followed_s": followed,
        "peak_mb": [before, after],
        "points_s": [body, _seconds(lambda: map_points(parts))],
        **in_browser(parts, hovers),
    }


def in_browser(parts: Parts, hovers: int) -> dict[str, Any]:
    """Milliseconds until the points are drawn first, of each drawing, and of each hover."""
    server = uvicorn.Server(uvicorn.Config(app_of(parts), port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=WEBGL)
        try:
            places = pictured(opened_map(browser, port), parts, hovers)
            begun = time.perf_counter()
            page = opened_map(browser, port)
            ready = time.perf_counter() - begun
            looked = hovered(page, places)
            drawn = page.evaluate(DRAW)
        finally:
            browser.close()
    server.should_exit = True
    thread.join(WAIT_S)
    return {
        "ready_s": ready,
        "draw_ms": _quantiles(drawn),
        "hovers": len(looked),
        "nearest_ms": _quantiles([one["nearest"] for one in looked]),
        "hover_ms": _quantiles([one["shown"] for one in looked]),
    }


def opened_map(browser: Browser, port: int) -> Page:
    """The map in a window of its own, which has fetched nothing before, once its points are there."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.set_default_timeout(1000 * WAIT_S)
    page.goto(f"http://localhost:{port}/map")
    page.wait_for_selector("#map[data-ready]")
    page.locator(".map-field").scroll_into_view_if_needed()
    return page


def pictured(page: Page, parts: Parts, count: int) -> list[Place]:
    """Places on the screen by chance, each with another frame under it, whose thumbnail is kept: rows of
    the project stand for frames that were analyzed, which made theirs.
    """
    box = page.locator(".map-field").bounding_box()
    assert box is not None
    rng = np.random.default_rng(0)
    places = (box["x"], box["y"]) + rng.random((50 * count, 2)) * (box["width"], box["height"])
    places = places[places[:, 1] < 880]
    under: dict[int, Place] = {}
    for (x, y), seq in zip(places.tolist(), page.evaluate(UNDER, places.tolist()), strict=True):
        if seq is not None and seq not in under and len(under) < count:
            under[seq] = (x, y)
    with read(parts.project.engine) as session:
        rows = frames(session, seqs=sorted(under))
    for row in rows:
        coarse = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        keep(parts.project, row.content_hash, cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_LINEAR))
    page.context.close()
    return list(under.values())


def hovered(page: Page, places: list[Place]) -> list[dict[str, float]]:
    """What the hover over each of these places took. Raises RuntimeError where a picture cannot be shown."""
    found = [told for x, y in places if (told := page.evaluate(HOVER, [x, y, LONGEST_MS]))]
    if failed := [told for told in found if "failed" in told]:
        raise RuntimeError(f"expected a picture under the pointer, got {failed[0]['failed']}")
    return found


def _quantiles(values: list[float]) -> dict[str, float]:
    return {f"p{round(100 * q)}": float(np.quantile(values, q)) for q in (0.5, 0.95)} if values else {}


def _seconds(what: Any) -> float:
    begun = time.perf_counter()
    what()
    return time.perf_counter() - begun


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _quiet(done: int, total: int, what: str) -> None:
    pass


if __name__ == "__main__":
    main()
