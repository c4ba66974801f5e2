"""The stages of the loop over one project: each is small, repeatable and may be stopped at any point."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from connectors.errors import ModelError
from connectors.label_studio.server import ServerInfo
from connectors.ports import Detector, Embedder, Progress
from db.engine import read, write
from db.states import TaskStatus
from db.tasks import tasks
from loop.analysis import analyze as analysis
from loop.analysis import near_duplicates, producers
from loop.base.errors import ConfigError, ProjectError
from loop.base.lease import exclusive
from loop.gaps.coverage_view import CoverageView
from loop.ingest import ingest as ingestion
from loop.labeling import pull as pulling
from loop.labeling import push as pushing
from loop.project.project import home
from loop.project.wiring import NOTHING_GIVEN, Given, Parts
from loop.selection import select as selecting
from loop.selection.search_queries import query_vectors

SETTLING_PASSES = 5
LIKE = "targeted"


def ingest(
    parts: Parts,
    progress: Progress,
    path: str | None = None,
    until_whole: bool = False,
    given: Given = NOTHING_GIVEN,
) -> ingestion.IngestReport:
    """Takes in everything new from the source. until_whole: wait a little for files that are still being written.

    Raises SourceError, ConfigError.
    """
    settings = parts.project.settings
    rules = ingestion.rules_of(settings)
    source = parts.source(path, given)
    report = ingestion.ingest(parts.project.engine, parts.project.store, source, rules, progress)
    for _ in range(SETTLING_PASSES if until_whole else 0):
        if not report.unsettled:
            break
        progress(0, 0, f"waiting for {report.unsettled} files that are still being written")
        time.sleep(settings.frames.settle_s)
        report.add(ingestion.ingest(parts.project.engine, parts.project.store, source, rules, progress))
    return report


def analyze(parts: Parts, progress: Progress) -> analysis.AnalyzeReport:
    """Computes what is missing of embeddings, detections and measurements."""
    with exclusive(parts.project.engine, "analyze") as mine:
        if not mine:
            return analysis.AnalyzeReport(busy=True)
        failures: dict[str, str] = {}
        embedder, detector = _embedder(parts, failures), _detector(parts, failures)
        project = parts.project
        report = analysis.analyze(
            project.engine,
            project.store,
            embedder,
            detector,
            progress,
            batch=project.settings.embedder.batch,
            max_pixels=project.settings.frames.max_pixels,
        )
        report.failures.update(failures)
        with read(project.engine) as session:
            known = producers.known_embedder(session, project.settings)
        if known is not None:
            near_duplicates.update(project.engine, known, progress)
        return report


def select(
    parts: Parts,
    progress: Progress,
    *,
    budget: int | None = None,
    strategy: str | None = None,
    seed: int | None = None,
    dry_run: bool = False,
    like: Sequence[str] = (),
    explain: bool = False,
    page: Path | None = None,
) -> selecting.SelectReport:
    """Chooses a batch; the settings decide what is not given. like: sentences or image files that `targeted` looks for.

    page: where to explain the batch with pictures. Raises ConfigError; OSError where the page cannot be written, before
    anything is chosen.
    """
    from loop.web.pages import selection

    def show(view: CoverageView, report: selecting.SelectReport) -> None:
        if page is not None:
            selection.write(parts.project, view, report, page)

    with exclusive(parts.project.engine, "select") as mine:
        if not mine:
            return selecting.SelectReport(busy=True)
        if page is not None:
            selection.check_writable(page)
        chosen = parts.project.settings.select
        request = selecting.Request(
            budget or chosen.budget,
            _looking_for(like, strategy) or chosen.strategy,
            seed,
            dry_run,
            explain or page is not None,
            query_vectors(parts.embedder(), like) if like else (),
        )
        return selecting.select(parts, request, progress, show)


def _looking_for(like: Sequence[str], strategy: str | None) -> str | None:
    if like and strategy not in (None, LIKE):
        raise ConfigError(
            f"--like: expected the strategy {LIKE}, which looks for it, got {strategy}; leave one of them out"
        )
    return LIKE if like else strategy


def push(parts: Parts, progress: Progress, new_project: bool = False) -> pushing.PushReport:
    """Sends pending tasks to Label Studio. Raises LabelStudioError, ConfigError."""
    project = parts.project
    backend = parts.label_backend()
    return pushing.push(
        project.engine,
        project.store,
        backend,
        project.settings.name,
        project.classes,
        project.settings.label_studio.instructions,
        project.settings.label_studio.project_id,
        progress,
        new_project=new_project,
    )


def pull(parts: Parts, progress: Progress) -> pulling.PullReport:
    """Fetches answers. Raises LabelStudioError; ProjectError before the first push."""
    project = parts.project
    external = pushing.label_studio_project(project.engine, project.settings.label_studio.project_id)
    if external is None:
        raise ProjectError("expected a Label Studio project, found none yet; `fieldloop push` makes it")
    return pulling.pull(project.engine, parts.label_backend(), external, project.classes, progress)


def start_label_studio(parts: Parts, progress: Progress) -> ServerInfo:
    """Our own server for this project. Raises LabelStudioError."""
    from connectors.label_studio.server import start

    project = parts.project
    project.store.mkdir(parents=True, exist_ok=True)
    return start(project.label_studio, project.store, home(), project.settings.label_studio.port, progress)


def _embedder(parts: Parts, failures: dict[str, str]) -> Embedder | None:
    try:
        embedder = parts.embedder()
    except ModelError as error:
        failures["embedder"] = str(error)
        return None
    with write(parts.project.engine) as session:
        producers.register_embedder(session, parts.project.settings, embedder)
    return embedder


def _detector(parts: Parts, failures: dict[str, str]) -> Detector | None:
    try:
        sha256, detector = producers.deployed_detector(parts)
    except ModelError as error:
        failures["detector"] = str(error)
        return None
    with write(parts.project.engine) as session:
        producers.register_detector(session, parts.project.settings, sha256, detector)
    return detector


def anything_to_push(parts: Parts) -> bool:
    with read(parts.project.engine) as session:
        return bool(tasks(session, status=(TaskStatus.PENDING, TaskStatus.SENT), limit=1))


def anything_to_pull(parts: Parts) -> bool:
    project = parts.project
    return pushing.label_studio_project(project.engine, project.settings.label_studio.project_id) is not None
