"""A project of a million rows that pages are measured on: frames, vectors, boxes, slices, tasks, a
judged round. Pictures come from a small pool, so that thumbnails are real ones.
"""

from __future__ import annotations

import threading
from pathlib import Path

from starlette.applications import Starlette

from benchmarks.scale import late, verbs
from benchmarks.scale.project import make
from db.engine import read
from db.frames import frame_counts
from db.models import deployed
from db.reports import reports
from db.states import Origin
from db.tasks import tasks
from loop.changes.audit import Who
from loop.changes.frames import report_error
from loop.gaps.upkeep import compare_anew, keep_map
from loop.insights.frame_query import FrameQuery
from loop.insights.frames import frame_sets
from loop.project.wiring import Parts
from loop.rounds.kept_preflight import keep_preflight
from loop.service.scheduler import Service
from loop.web.app import build_app


def project_of(work: Path, size: int) -> Path:
    """The folder of the project of this size, with its comparison, its map and what a round could
    show as this version keeps them; minutes at a million where they are not there.
    """
    folder = work / str(size)
    make(folder, size)
    parts = late.opened(folder)
    for keeping in (compare_anew, keep_map, keep_preflight):
        print(f"  {keeping(parts, verbs.quiet) or 'up to date'}", flush=True)
    with read(parts.project.engine) as session:
        reported = reports(session, frame=size, limit=1)
    if not reported:
        report_error(parts.project, Who("bench", "command"), size, "missed", text="a report")
    verbs.close(parts)
    return folder


def opened(folder: Path) -> Parts:
    """The project with models that cost nothing."""
    return late.opened(folder)


def app_of(parts: Parts) -> Starlette:
    """The pages as the service shows them, its jobs at rest."""
    return build_app(parts, Service(parts, threading.Event(), ()))


def addresses(parts: Parts) -> dict[str, str]:
    """What is measured beside every page without a parameter: an address by what it is called."""
    sets, project = frame_sets(parts), parts.project
    choices = sets.choices()
    with read(project.engine) as session:
        production = frame_counts(session)[Origin.PRODUCTION]
        asked = tasks(session, limit=1)[0].frame
        model = deployed(session)
    spread = sets.distribution(sets.find(FrameQuery()), "slice").bars
    number = spread[-1].query.slice[0] if spread else 0
    camera = next(name for name in choices.cameras if name != "unknown")
    second = sets.page(sets.find(FrameQuery())).after
    frames = {
        "all frames": "",
        "the second page of all": f"after={second}",
        "one camera": f"camera={camera}",
        "one month": "from=2026-03-01&to=2026-03-31",
        "a slice, clearest first": f"slice={number}&order=clearest",
        "two slices": f"slice={number}&slice={spread[0].query.slice[0]}" if spread else "",
        "a class, not labeled": f"class={project.classes[0]}&labeled=no",
        "tasks by worth": "task=queued&order=worth",
        "labeled, by class": "labeled=yes&spread=class",
        "all, by slice": "spread=slice",
        "all, by day": "spread=day",
        "all, by state of tasks": "spread=task",
        "a dataset version": "dataset=1&split=train",
        "what the model misses": "model_error=missed" if model else "",
        "a part of the map": "in=300-300_700-300_700-700_300-700",
        "a sentence": "q=forklift at night",
        "a sentence at one camera": f"q=forklift at night&camera={camera}",
        "like one frame": f"near={production}",
    }
    found = {f"frames: {name}": f"/frames?{address}" for name, address in frames.items()}
    found["a frame that was asked about"] = f"/frames/{asked}"
    found["a frame within a set"] = f"/frames/{production}?camera={camera}"
    found["the picture of a frame"] = f"/frames/{production}/picture"
    found["a round"] = "/rounds/1"
    found["queue: pinned"] = "/queue?tab=pinned"
    return found | of_api(camera, asked)


def of_api(camera: str, frame: int) -> dict[str, str]:
    """What programs ask, by what it is called."""
    asked = {
        "frames of a camera": f"frames?camera={camera}",
        "count of what is not labeled": "frames/count?labeled=no",
        "spread over slices": "frames/spread?by=slice",
        "a thousand numbers": f"frames/ids?camera={camera}&limit=1000",
        "one frame": f"frames/{frame}",
        "queue": "queue",
        "rounds": "rounds",
        "coverage": "coverage",
        "slices": "slices",
        "changes": "changes",
        "status": "status",
    }
    return {f"API: {name}": f"/api/{address}" for name, address in asked.items()}
