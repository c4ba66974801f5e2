"""How quick the map of the embedding space is in a real Chromium: made, loaded, drawn, hovered over.

    python -m benchmarks.pages.space --work /data/pages [--size 200000] [--hovers 60]

Chromium draws by SwiftShader, so without a graphics card. A hover lasts from the movement of the pointer to
the picture being there, decoded, for a frame that was not looked at before.
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

import numpy as np
import uvicorn
from playwright.sync_api import Page, sync_playwright

from benchmarks.pages.world import app_of, opened, project_of
from db.engine import read
from loop.analysis import producers
from loop.gaps.kept_map import kept_map
from loop.gaps.space_map import MOST, map_of
from loop.insights.space import map_points
from loop.project.wiring import Parts

RESULTS = Path(__file__).parents[1] / "results" / "map.json"
CHROMIUM = "/usr/bin/chromium"
WEBGL = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
HOVER = """([x, y]) => new Promise(resolve => {
    const field = document.querySelector('.map-field > canvas'), tip = document.querySelector('.map-tip');
    const before = tip.dataset.seq, begun = performance.now();
    field.dispatchEvent(new PointerEvent('pointermove', { clientX: x, clientY: y, bubbles: true }));
    const found = performance.now();
    const seq = tip.hidden ? null : tip.dataset.seq;
    if (!seq || seq === before) return resolve(null);
    tip.querySelector('img').decode().then(
        () => resolve({ seq, nearest: found - begun, shown: performance.now() - begun }),
        () => resolve(null));
})"""
"""Milliseconds until the nearest point is known, and until its picture is there; null where there is none."""
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
    parser.add_argument("--size", type=int, default=MOST)
    parser.add_argument("--hovers", type=int, default=60)
    given = parser.parse_args()
    results = measure(opened(project_of(given.work, given.size)), given.hovers)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(results, indent=1))


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
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        begun = time.perf_counter()
        page.goto(f"http://localhost:{port}/map")
        page.wait_for_selector("#map[data-ready]", timeout=120_000)
        ready = time.perf_counter() - begun
        drawn = page.evaluate(DRAW)
        looked = hovered(page, hovers)
        browser.close()
    server.should_exit = True
    thread.join()
    return {
        "ready_s": ready,
        "draw_ms": _quantiles(drawn),
        "hovers": len(looked),
        "nearest_ms": _quantiles([one["nearest"] for one in looked]),
        "hover_ms": _quantiles([one["shown"] for one in looked]),
    }


def hovered(page: Page, count: int) -> list[dict[str, float]]:
    """What each hover took, at places of the map by chance."""
    box = page.locator(".map-field").bounding_box()
    assert box is not None
    rng, found = np.random.default_rng(0), []
    for _ in range(20 * count):
        x, y = (box["x"], box["y"]) + rng.random(2) * (box["width"], box["height"])
        if told := page.evaluate(HOVER, [float(x), float(y)]):
            found.append(told)
        if len(found) == count:
            break
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
