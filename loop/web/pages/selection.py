"""A batch as a page: what it buys, and every frame with its reason, beside the labeled frame it
resembles most.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryFile

from connectors.files import write_atomically
from loop.base.moments import shown
from loop.gaps.coverage_view import CoverageView
from loop.math.boxes.drawn import predicted_boxes
from loop.project.project import Project
from loop.selection.batch_cost import told_boxes
from loop.selection.select import Chosen, SelectReport
from loop.web.environment import page_environment
from loop.web.thumbnails import thumbnail

SHOWN = 200
SMALL = 120


@dataclass(frozen=True)
class FrameCard:
    """picture, nearest: data URIs, "" where there is none."""

    chosen: Chosen
    picture: str
    nearest: str
    similarity: float
    when: str
    nearest_file: str


def check_writable(path: Path) -> None:
    """Raises OSError where no page can be written; a batch that is queued already would be chosen
    once more.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryFile(dir=path.parent):
        pass


def write(project: Project, view: CoverageView, report: SelectReport, path: Path) -> None:
    """Writes the page. The report must have been made with an explanation."""
    write_atomically(path.resolve(), render(project, view, report))


def render(project: Project, view: CoverageView, report: SelectReport) -> str:
    """The page as HTML: one file, dark and light."""
    pages = page_environment(project.settings.frames.timezone)
    place = {seq: i for i, seq in enumerate(view.production.seq.tolist())}
    carded = report.chosen[:SHOWN]
    return pages.get_template("selection.html").render(
        name=project.settings.name,
        made=datetime.now(UTC),
        report=report,
        of=report.explanation,
        told_boxes=told_boxes,
        cards=[_card(project, view, report, item, place[item.frame]) for item in carded],
        left_out=len(report.chosen) - len(carded),
    )


def _card(project: Project, view: CoverageView, report: SelectReport, item: Chosen, row: int) -> FrameCard:
    frame, store, timezone = view.frames[row], project.store, project.settings.frames.timezone
    near = report.explanation.nearest.get(item.frame) if report.explanation else None
    return FrameCard(
        item,
        thumbnail(store / frame.path, predicted_boxes(view.detections[row], view.classes)),
        thumbnail(store / near.path, width=SMALL) if near else "",
        near.similarity if near else 0.0,
        shown(frame.captured_at, timezone) if frame.captured_at else "",
        near.file if near else "",
    )
