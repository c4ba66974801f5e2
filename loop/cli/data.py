"""ingest, analyze, gaps, bias, duplicates."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from loop.base.jsonable import plain
from loop.base.wording import counted
from loop.cli.app import (
    BUSY,
    FAILED,
    HERE,
    JsonOption,
    ProjectOption,
    app,
    emit,
    fail,
    moment,
    opened,
    progress_bar,
    say,
)


@app.command(epilog="Example: fieldloop ingest /mnt/cameras/2026-11-24")
def ingest(
    path: Annotated[
        str, typer.Argument(help="A folder or a video; the configured frames.path when left out.")
    ] = "",
    camera: Annotated[
        str, typer.Option(help="The camera of all that this run takes in, where nothing else names one.")
    ] = "",
    site: Annotated[str, typer.Option(help="Likewise its site.")] = "",
    sequence: Annotated[str, typer.Option(help="Likewise its sequence: frames that belong together.")] = "",
    started_at: Annotated[
        datetime | None,
        typer.Option(
            help=(
                "Likewise when a video begins, or when images were taken: ISO 8601, in frames.timezone"
                " without an offset."
            ),
            parser=moment,
            metavar="TIME",
        ),
    ] = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Take in production frames; what cannot be used is set aside with its reason."""
    from loop.ingest import ingest as ingestion
    from loop.insights.placing import unplaced_lines
    from loop.project.wiring import Given

    place = opened(project)
    with progress_bar("ingest") as progress:
        given = Given(camera, site, sequence, started_at)
        report = ingestion.ingest(place, progress, path or None, until_whole=True, given=given)
    report.notes += unplaced_lines(place.project)
    emit(report, as_json, report.lines)


@app.command(epilog="Example: fieldloop analyze")
def analyze(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Embed, detect and measure every frame that the current models have not seen."""
    from loop.gaps import arrivals

    with progress_bar("analyze") as progress:
        report = arrivals.analyze(opened(project), progress)
    if report.busy:
        fail("another process is analyzing this project; it will do this work", BUSY)
    emit(
        report,
        as_json,
        lambda: [f"{counted(report.analyzed, 'frame')} analyzed, {report.unreadable} could not be decoded"],
    )
    if report.failures:
        fail("; ".join(f"{kind} failed: {why}" for kind, why in report.failures.items()), FAILED)


@app.command(epilog="Example: fieldloop gaps --html gaps.html")
def gaps(
    html: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write the page with pictures to this file.")
    ] = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """The conditions that production shows and the training set under-covers, worst first."""
    from loop.gaps import coverage_view
    from loop.web.pages.gaps import write

    place = opened(project)
    with progress_bar("gaps") as progress:
        view = coverage_view.build(place, progress)
        if html:
            write(place.project, view, html)
    emit(coverage_view.as_json(view), as_json, lambda: coverage_view.lines(view))
    if html:
        say(f"the page with pictures: {html}")


@app.command("map", epilog="Example: fieldloop map --anew")
def map_(
    anew: Annotated[
        bool, typer.Option("--anew", help="Make it from the frames of now, whatever it was made from.")
    ] = False,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Give every analyzed frame a place on the map of the embedding space, which the pages show."""
    from loop.gaps.upkeep import keep_map, make_map_anew

    place = opened(project)
    with progress_bar("map") as progress:
        said = (make_map_anew if anew else keep_map)(place, progress)
    emit({"done": said}, as_json, lambda: [said or "nothing is new; --anew makes the map anew"])


@app.command(epilog="Example: fieldloop bias --counterfactual")
def bias(
    counterfactual: Annotated[
        bool,
        typer.Option(
            "--counterfactual",
            help="Also paste labeled objects elsewhere and paint them over: does the detector follow them?",
        ),
    ] = False,
    images: Annotated[
        int, typer.Option(min=3, help="With --counterfactual: so many images the detector looks at.")
    ] = 240,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Is a class tied to a place, so that a model may learn the place? And what to collect then."""
    from loop.gaps import counterfactual as trying
    from loop.insights import bias as reading

    place = opened(project)
    with progress_bar("bias") as progress:
        report = reading.survey(place, progress)
        tried = trying.look(place, progress, images) if counterfactual else None
    told = reading.as_json(report) | ({"counterfactual": plain(tried)} if tried else {})
    emit(told, as_json, lambda: [*reading.lines(report), *(trying.lines(tried) if tried else [])])


@app.command(epilog="Example: fieldloop duplicates --html duplicates.html")
def duplicates(
    html: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write the page with pictures to this file.")
    ] = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """What each camera shows again and again: near-duplicates are labeled once, and never on both
    sides of a split.
    """
    from loop.insights.duplicates import as_json as for_programs
    from loop.insights.duplicates import survey
    from loop.project.project import open_project
    from loop.web.pages.duplicates import write

    place = open_project(project)
    with progress_bar("duplicates") as progress:
        found = survey(place, progress)
        if html:
            write(place, found, html)
    emit(for_programs(found), as_json, found.lines)
    if html:
        say(f"the page with pictures: {html}")
