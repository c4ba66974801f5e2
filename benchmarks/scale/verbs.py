"""The product's verbs as this benchmark calls them. Where a signature changes, this file alone
follows.

A project's embedder and detector are given; every other connector is the product's own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from starlette.routing import Route
from starlette.testclient import TestClient

from connectors.ports import Detector, Embedder
from connectors.times import camera_day
from db.states import Role
from loop.analysis.producers import producers
from loop.gaps import arrivals, coverage_view
from loop.gaps.coverage_view import CoverageView
from loop.ingest import ingest as ingestion
from loop.ingest.camera_days import evaluation_role
from loop.insights.overview import overview, overview_lines
from loop.project.project import open_project
from loop.project.wiring import Parts, deployed_weights
from loop.rounds import rounds
from loop.rounds.freeze import ensure_analyzed, freeze_dataset
from loop.rounds.judge import check_held_out, held_out
from loop.selection import select as selection
from loop.service.scheduler import Service
from loop.web.app import build_app
from loop.web.pages import gaps as gaps_page

View = CoverageView
LOCAL = "http://localhost:8765"
STATES = ("/healthz", "/readyz")


class GivenParts(Parts):
    """Connectors of a project whose models are given, whatever its settings and its weights say."""

    def __init__(self, root: Path, embedder: Embedder, detector: Detector) -> None:
        super().__init__(open_project(root), watching=True)
        self._models = embedder, detector

    def embedder(self) -> Embedder:
        return self._models[0]

    def detector(self) -> Detector:
        deployed_weights(self.project)
        return self._models[1]


def close(parts: Parts) -> None:
    parts.project.engine.dispose()


def status(parts: Parts) -> list[str]:
    """What `fieldloop status` prints."""
    return overview_lines(overview(parts.project))


def gaps(parts: Parts) -> View:
    return coverage_view.build(parts, quiet)


def gap_lines(view: View) -> list[str]:
    """What `fieldloop gaps` prints."""
    return coverage_view.lines(view)


def write_gaps_page(parts: Parts, view: View) -> None:
    """What `fieldloop gaps --html` and the service write."""
    gaps_page.write(parts.project, view, parts.project.pages / "gaps.html")


def select(parts: Parts, budget: int) -> list[str]:
    """What `fieldloop select --dry-run` prints."""
    return selection.select(parts, quiet, budget=budget, dry_run=True).lines()


def freeze(parts: Parts) -> int:
    """All that a round does before it trains: opens, looks at the backlog, freezes, exports; the id of
    its dataset.
    """
    row = rounds.reread(parts.project, rounds.start(parts))
    ensure_analyzed(parts, row, quiet, analyze=False)
    check_held_out(parts.project)
    return freeze_dataset(parts.project, producers(parts).embedder, row)


def look_up(parts: Parts) -> int:
    """All that judging does beside running both models and comparing what they saw; how many frames
    are held out.
    """
    row = rounds.current(parts.project)
    assert row is not None
    return len(held_out(parts.project, producers(parts), row.base_model_id).rows)


def pages(parts: Parts) -> dict[str, Callable[[], int]]:
    """Every page without a parameter, by path: opens it, answers the status code. How a service is,
    which does not run here, is no page.
    """
    app = build_app(parts, Service(parts, threading.Event(), ()))
    client = TestClient(app, base_url=LOCAL)
    read = [route for route in app.routes if isinstance(route, Route) and "GET" in (route.methods or ())]
    paths = [route.path for route in read if "{" not in route.path and route.path not in STATES]
    return {path: _opener(client, path) for path in paths}


def ingest(parts: Parts) -> int:
    """How many new frames came in from the configured folder."""
    return ingestion.ingest(parts, quiet).stored


def analyze(parts: Parts) -> int:
    """How many frames were analyzed. Brings every derived fact up to date, near-duplicates too."""
    report = arrivals.analyze(parts, quiet)
    if report.failures or report.busy:
        raise RuntimeError(f"expected every frame to be analyzed, got {report}")
    return report.analyzed


def group_of(camera: str, captured_at: datetime) -> str:
    """The key of a production frame's group."""
    return camera_day(camera, captured_at)


def role_of(key: str, secret: str, share: float) -> Role:
    return evaluation_role(key, secret, share)


def quiet(done: int, total: int, what: str) -> None:
    """A Progress that says nothing."""


def _opener(client: TestClient, path: str) -> Callable[[], Any]:
    return lambda: client.get(path).status_code
