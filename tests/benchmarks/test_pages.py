"""The benchmark of the pages: what it asks for, and what its page says."""

from __future__ import annotations

import os
from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from benchmarks.pages.__main__ import cpu_of, document, map_section, plain_pages, push_section, timed


def nothing(request: Any) -> PlainTextResponse:
    return PlainTextResponse("well")


def one(p95: float, size: int, kind: str = "text/html") -> dict[str, Any]:
    said = {"address": "/x", "p50": p95, "first": 2 * p95, "cpu": p95 / 2, "status": 200}
    return said | {"p95": p95, "bytes": size, "type": kind}


def test_every_page_without_a_parameter_is_asked() -> None:
    routes = [
        Route("/", nothing),
        Route("/frames", nothing),
        Route("/frames/{seq:int}", nothing),
        Route("/frames/desk", nothing, methods=["POST"]),
        Route("/sign-out", nothing, methods=["POST"]),
        Mount("/api", routes=[Route("/frames", nothing)]),
    ]
    assert plain_pages(routes) == {"/": "/", "/frames": "/frames"}


def test_the_page_names_what_is_over_an_aim() -> None:
    pages = {"quick": one(0.1, 1000), "slow": one(0.5, 1000), "large": one(0.1, 70_000)}
    pages["file"] = one(0.2, 10**7, "text/plain")
    starts = {"/frames": {"ready": [2.0, 3.0], "first": [0.1, 0.04]}}
    about = {"size": 10, "times": 5, "labels": 3, "cores": 2, "load": 1.0}
    text = document({**about, "pages": pages, "starts": starts})
    assert "3 of 4 addresses are within 300 ms, 2\nof 3 pages within 60 kB. Over an aim: slow, large." in text
    assert "| slow | `/x` | 250 | 500 | 500 | 1000 | 1.0 | 200 |" in text
    assert "| `/frames` | 100 | 3000 |" in text


def test_the_map_has_its_figures_beside_the_pages() -> None:
    spans = {key: {"p50": 10.4, "p95": 20.6} for key in ("hover_ms", "nearest_ms", "draw_ms")}
    found = {"points": 200_000, "cores": 2, "load": 1.5, "hovers": 9, "ready_s": 0.84, "made_s": 22.8} | spans
    text = map_section(found)
    assert "| hover, p50 of 9 | 10 ms, p95 21 ms |" in text
    assert "200,000\npoints, 2 cores (load 1.5)" in text


def test_what_cameras_pushed_stands_there_too() -> None:
    found = {"cameras": 5, "seconds": 120.4, "cores": 2, "sent": 9, "accepted": 8, "stored": 7, "left": 1}
    found |= {
        "again": 3,
        "ms_median": 5.2,
        "ms_p95": 6.6,
        "ms_most": 9.9,
        "late": 0,
        "bytes_of_a_frame": 1500,
    }
    assert "| 9 | 8 | 7 | 1 | 3 | 5 | 7 | 10 | 0 |" in push_section(found)


def test_an_answer_is_timed_and_weighed() -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, text="well"))
    with httpx.Client(transport=transport, base_url="http://localhost") as client:
        found = timed(client, "/x", 3, os.getpid())
    assert (found["bytes"], found["status"]) == (4, 200)
    assert 0 < found["p50"] <= found["p95"]
    assert found["cpu"] == pytest.approx(0, abs=1)
    assert cpu_of(os.getpid()) > 0
