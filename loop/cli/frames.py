"""frames: any set of frames, by its address."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from loop.cli.app import HERE, JsonOption, ProjectOption, app, emit, opened

LISTED = 20


@app.command(epilog='Example: fieldloop frames "camera=gate&slice=12&labeled=no" --count')
def frames(
    address: Annotated[
        str,
        typer.Argument(
            help=(
                "Which frames: what stands behind the ? of a page of frames, such as"
                " class=helmet&from=2026-11-01; all of them when left out."
            ),
        ),
    ] = "",
    count: Annotated[bool, typer.Option("--count", help="Say only how many there are.")] = False,
    ids: Annotated[bool, typer.Option("--ids", help="Print only their numbers, one a line.")] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help=f"At most so many; {LISTED} when listed, all with --ids.")
    ] = None,
    distribution: Annotated[
        str | None,
        typer.Option(
            help="Say how they are spread over camera, site, day, class, slice, task, origin or error."
        ),
    ] = None,
    like: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="List those of them most like this image file."),
    ] = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Find frames: by camera, time, slice, class, task, a sentence, or a frame that looks like them."""
    from loop.insights.frame_list import counted_frames, frame_ids, listed, spread
    from loop.insights.frame_query import FrameQuery

    query = FrameQuery.parse(address)
    parts = opened(project)
    if distribution is not None:
        told = spread(parts, query, distribution)
        emit(told, as_json, told.lines)
    elif count:
        number = counted_frames(parts, query)
        emit(number, as_json, number.lines)
    elif ids:
        found = frame_ids(parts, query, limit)
        emit(found, as_json, lambda: map(str, found))
    else:
        page = listed(parts, query, limit or LISTED, like)
        emit(page.as_json(), as_json, page.lines)
