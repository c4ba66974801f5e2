"""ingest, analyze, gaps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from loop.cli.app import (
    BUSY,
    FAILED,
    HERE,
    JsonOption,
    ProjectOption,
    app,
    emit,
    fail,
    opened,
    progress_bar,
    say,
)


@app.command(epilog="Example: fieldloop ingest /mnt/cameras/2026-11-24")
def ingest(
    path: Annotated[
        str, typer.Argument(help="A folder or a video; the configured frames.path when left out.")
    ] = "",
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Take in production frames; what cannot be used is set aside with its reason."""
    from loop import stages
    from loop.insights import unplaced_lines

    place = opened(project)
    with progress_bar("ingest") as progress:
        report = stages.ingest(place, progress, path or None, until_whole=True)
    report.notes = unplaced_lines(place.project)
    emit(report, as_json, report.lines)


@app.command(epilog="Example: fieldloop analyze")
def analyze(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Embed, detect and measure every frame that the current models have not seen."""
    from loop import stages

    with progress_bar("analyze") as progress:
        report = stages.analyze(opened(project), progress)
    if report.busy:
        fail("another process is analyzing this project; it will do this work", BUSY)
    emit(
        report,
        as_json,
        lambda: [f"{report.analyzed} frames analyzed, {report.unreadable} could not be decoded"],
    )
    if report.failures:
        fail("; ".join(f"{kind} failed: {why}" for kind, why in report.failures.items()), FAILED)


@app.command(epilog="Example: fieldloop gaps --html gaps.html")
def gaps(
    html: Annotated[Path | None, typer.Option(help="Write the page with pictures to this file.")] = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """The conditions that production shows and the training set under-covers, worst first."""
    from loop import coverage_view, gaps_page

    place = opened(project)
    with progress_bar("gaps") as progress:
        view = coverage_view.build(place, progress)
        if html:
            gaps_page.write(place.project, view, html)
    emit(coverage_view.as_json(view), as_json, lambda: coverage_view.lines(view))
    if html:
        say(f"the page with pictures: {html}")
